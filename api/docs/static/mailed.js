// The page behind a mailed link. It reads the token from the fragment, asks the service what the token is for, names the account,
// and does nothing before a person agrees.

const element = (id) => document.getElementById(id);
const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";

// What each kind of token asks, what its button says, where it is sent, and what is said when that worked.
const STORIES = {
  verify_email: {
    question: (found) => `Confirm that ${found.email} belongs to the account ${found.username}. ` +
      `If ${found.username} is not your account, close this page: somebody else has given your address.`,
    button: "Confirm the address",
    path: "/v1/auth/email/verify",
    done: (found) => `${found.email} now belongs to the account ${found.username}. You can close this page.`,
  },
  change_email: {
    question: (found) => `Confirm that ${found.email} is to be the address of the account ${found.username}. ` +
      `If ${found.username} is not your account, close this page.`,
    button: "Confirm the new address",
    path: "/v1/auth/email/verify",
    password: { label: "Password of the account", autocomplete: "current-password", member: "password", later: true },
    done: (found) => `${found.email} is now the address of the account ${found.username}. You can close this page.`,
  },
  reset_password: {
    question: (found) => `Choose a new password for the account ${found.username}.`,
    button: "Set the password",
    path: "/v1/auth/password/reset",
    password: { label: "New password", autocomplete: "new-password", member: "new_password" },
    done: (found) => `The account ${found.username} has a new password. Everybody was signed out: sign in with it.`,
  },
  undo_email: {
    question: (found) => `Bring ${found.email} back as the address of the account ${found.username}, and sign everybody out.`,
    button: "Undo the change",
    path: "/v1/auth/email/undo",
    done: (found) => `${found.email} is the address of the account ${found.username} again, and everybody was signed out. ` +
      "A mail is on its way with which you can choose a new password: do so, because somebody else may know the old one.",
    then: (found) => send("/v1/auth/password/forgot", { email: found.email }),
  },
};

start().catch(() => say("The service does not answer. Try again in a moment."));

async function start() {
  if (!token) return say("Open the link from the mail: this page has no token.");
  const answer = await send("/v1/auth/mailed-token", { token });
  if (!answer.ok) return say(await reason(answer));
  const found = await answer.json();
  const story = STORIES[found.purpose];
  if (!story) return say("This link is for another page.");
  await ask(story, found);
}

async function ask(story, found) {
  const form = element("form");
  element("question").textContent = story.question(found);
  form.elements.username.value = found.username;
  form.querySelector("button").textContent = story.button;
  if (story.password && !story.password.later) await showPassword(story.password);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    form.querySelector("button").disabled = true;
    finish(story, found).catch(() => say("The service does not answer. Try again in a moment."))
      .finally(() => { form.querySelector("button").disabled = false; });
  });
  say("");
  form.hidden = false;
}

async function showPassword({ label, autocomplete, member }) {
  const field = element("password");
  document.querySelector("label[for=password]").textContent = label;
  field.autocomplete = autocomplete;
  field.required = true;
  element("password-field").hidden = false;
  if (member === "new_password") {
    const config = await fetch("/v1/config", { credentials: "omit" });
    element("hint").textContent = (await config.json()).password_policy.description;
  }
  field.focus();
}

async function finish(story, found) {
  const body = { token };
  if (!element("password-field").hidden) body[story.password.member] = element("password").value;
  const answer = await send(story.path, body, { withSession: Boolean(story.password?.later) });
  if (answer.ok) {
    element("form").hidden = true;
    history.replaceState(null, "", location.pathname); // the token is used up
    await story.then?.(found);
    return say(story.done(found));
  }
  if ((await slug(answer)) === "confirmation-required") {
    await showPassword(story.password);
    return say("This browser did not ask for the change. Give the password of the account.");
  }
  say(await reason(answer));
}

// With the cookies of a session, if there are any: the session that asked for a change may finish it without the password.
async function send(path, body, { withSession = false } = {}) {
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), credentials: "omit" };
  if (!withSession) return fetch(path, options);
  const answer = await fetch(path, { ...options, headers: { ...options.headers, ...(await csrf()) }, credentials: "same-origin" });
  return answer.status === 401 || (await slug(answer)) === "csrf-failed" ? fetch(path, options) : answer;
}

async function csrf() {
  const { cookies } = await (await fetch("/v1/config", { credentials: "omit" })).json();
  const start = `${cookies.csrf}=`;
  const value = document.cookie.split("; ").find((pair) => pair.startsWith(start))?.slice(start.length);
  return value ? { [cookies.csrf_header]: value } : {};
}

async function slug(answer) {
  const problem = await answer.clone().json().catch(() => ({}));
  return problem.type?.replace("/problems/", "");
}

async function reason(answer) {
  const problem = await answer.clone().json().catch(() => ({}));
  if (problem.type === "/problems/one-time-token-refused") {
    return "This link cannot be used: it was used already, it is too old, or a newer mail has replaced it. Ask for a new mail.";
  }
  if (answer.status === 429) return `Too many tries. Try again in ${answer.headers.get("Retry-After")} seconds.`;
  const faults = (problem.errors ?? []).map((fault) => fault.detail);
  return [problem.title ? `${problem.title}.` : "That did not work.", ...faults].join(" ");
}

function say(text) {
  element("message").textContent = text;
}
