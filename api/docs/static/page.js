// The page: Swagger UI, the line that says who is signed in, and its buttons.

import { carry, Operations } from "./calls.js";
import { Session } from "./session.js";

const element = (id) => document.getElementById(id);

start().catch((error) => say(`The page could not start: ${error.message}.`, "ended"));

async function start() {
  element("server").textContent = location.origin;
  const [api, config] = await Promise.all(["/openapi.json", "/v1/config"].map(read));
  // This page talks to the server it came from, whatever name that server is known by elsewhere.
  api.servers = [{ url: location.origin, description: "The server of this page." }];
  const session = new Session(config.cookies);
  const ui = showOperations(api, session);
  showSession(session, ui, api.components.securitySchemes);
  await session.resume();
  document.documentElement.dataset.ready = "true";
}

async function read(path) {
  const answer = await fetch(path, { credentials: "omit", headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(`${path} answers ${answer.status}`);
  return answer.json();
}

let reflecting = false; // whether it is the page, and not a person, that changes what Swagger UI holds as authorized

function showOperations(api, session) {
  const byPerson = () => ({
    statePlugins: {
      auth: {
        wrapActions: {
          authorize: (authorize) => (payload) => {
            if (!reflecting) session.forget("Using what you gave to Authorize.");
            return authorize(payload);
          },
          logout: (logout) => (names) => {
            if (!reflecting) session.logout();
            return logout(names);
          },
        },
      },
    },
    // The head of the page says it already.
    wrapComponents: { InfoContainer: () => () => null, ServersContainer: () => () => null },
  });
  const ui = SwaggerUIBundle({
    spec: api,
    dom_id: "#swagger-ui",
    presets: [SwaggerUIBundle.presets.apis],
    plugins: [byPerson],
    requestInterceptor: carry(session, new Operations(api), (operation, request) =>
      ui.specActions.setMutatedRequest(operation.path, operation.method.toLowerCase(), request)),
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    displayOperationId: true,
    displayRequestDuration: true,
    persistAuthorization: false,
    syntaxHighlight: { activated: false }, // a dozen coloured examples per operation cost seconds
    tryItOutEnabled: true,
    validatorUrl: null,
  });
  return ui;
}

function showSession(session, ui, definitions) {
  session.addEventListener("change", ({ detail: message }) => {
    authorize(ui, session.authorizations, definitions);
    const { signedIn, username, delivery } = session;
    say(message ?? (signedIn ? `Signed in${username ? ` as ${username}` : ""}, delivery ${delivery}` : "Signed out."),
      signedIn ? "open" : message ? "ended" : "");
    element("delivery").textContent = delivery ?? "not signed in";
    showButtons(signedIn);
    count(session);
  });
  setInterval(() => count(session), 1000);
  element("sign-out").addEventListener("click", () => session.logout());
  const { demoPassword } = element("session").dataset;
  for (const button of document.querySelectorAll("[data-demo]")) {
    button.addEventListener("click", () => session.login({ username: button.dataset.demo, password: demoPassword }));
  }
}

function showButtons(signedIn) {
  const hadFocus = document.activeElement?.closest("#session button");
  element("sign-out").hidden = !signedIn;
  for (const button of document.querySelectorAll("[data-demo]")) button.hidden = signedIn;
  if (hadFocus?.hidden) (document.querySelector("#session button:not([hidden])") ?? element("content")).focus();
}

// Close the padlocks of what the session can open, and open the others.
function authorize(ui, values, definitions) {
  reflecting = true;
  try {
    const opened = Object.entries(values).map(([name, value]) => [name, { name, value, schema: definitions[name] }]);
    const closed = (ui.authSelectors.authorized()?.keySeq().toArray() ?? []).filter((name) => !(name in values));
    if (closed.length) ui.authActions.logout(closed);
    if (opened.length) ui.authActions.authorize(Object.fromEntries(opened));
  } finally {
    reflecting = false;
  }
}

function say(text, state) {
  const status = element("status");
  if (status.textContent !== text) status.textContent = text; // else a screen reader would hear it at every refresh
  element("lamp").dataset.state = state;
}

function count(session) {
  const left = session.signedIn ? Math.max(0, Math.round((session.refreshesAt - Date.now()) / 1000)) : null;
  const clock = left === null ? "" : `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
  element("countdown").textContent = clock && `, token refreshes in ${clock}`;
}
