// The session of this page. Tokens live in private fields of one object: never in storage, gone with the page.
// What a browser keeps in HttpOnly cookies is out of reach here, too; then only the CSRF value is known.

// Refresh this long before the end, or in the last fifth of a short life.
const MARGIN_SECONDS = 30;
const RETRY_SECONDS = 5;
const WORTH_A_REFRESH = ["token-expired", "token-revoked", "authentication-required"].map((slug) => `/problems/${slug}`);
const SAFE = ["GET", "HEAD", "OPTIONS"];
// These answer a new pair of the same session; what it had before is dead.
export const RENEWALS = ["reauthenticate", "change_password"];
const SETTING_COOKIES = [...RENEWALS, "logout"];

export class Session extends EventTarget {
  #cookieNames;
  #held = null;
  #flight = null;
  #timer = 0;
  #generation = 0;

  // cookieNames: `cookies` of GET /v1/config.
  constructor(cookieNames) {
    super();
    this.#cookieNames = cookieNames;
  }

  get signedIn() { return this.#held !== null; }
  get delivery() { return this.#held?.delivery ?? null; }
  get username() { return this.#held?.username ?? null; }
  get refreshesAt() { return this.#held?.refreshesAt ?? null; }
  // The headers that carry a session, in lower case.
  get headerNames() { return ["authorization", "cookie", this.#cookieNames.csrf_header.toLowerCase()]; }
  // Counts tokens: a call that was refused with an older one is simply sent again.
  get generation() { return this.#generation; }

  // The values that Swagger UI shows as authorized, by security scheme. A cookie is not shown: it cannot be read.
  get authorizations() {
    if (!this.#held) return {};
    const { delivery, accessToken, refreshToken } = this.#held;
    if (delivery === "body") return { accessToken, refreshToken };
    const cookies = { refreshCookie: "sent by the browser", csrfToken: this.#csrf() };
    return delivery === "hybrid" ? { accessToken, ...cookies } : { accessCookie: "sent by the browser", ...cookies };
  }

  // How a call has to carry the session, as options of fetch. Never two credentials at once: where there is an
  // Authorization header no cookie travels, but in hybrid delivery for what sets or clears them.
  present(operationId, method) {
    if (!this.#held) return { headers: {}, credentials: "omit" };
    const { delivery, accessToken, refreshToken } = this.#held;
    const refreshing = operationId === "refresh";
    if (delivery === "cookie" || (delivery === "hybrid" && refreshing)) {
      return { headers: SAFE.includes(method) ? {} : { [this.#cookieNames.csrf_header]: this.#csrf() }, credentials: "same-origin" };
    }
    return {
      headers: { Authorization: `Bearer ${refreshing ? refreshToken : accessToken}` },
      credentials: delivery === "hybrid" && SETTING_COOKIES.includes(operationId) ? "same-origin" : "omit",
    };
  }

  // Sign in. Returns whether that worked; if not, everybody who listens is told why.
  async login(credentials) {
    await this.makeRoomFor(credentials.delivery ?? "body");
    const answer = await fetch("/v1/auth/login", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(credentials), credentials: "same-origin",
    }).catch(() => null);
    if (!answer?.ok) {
      this.#tell(`Not signed in: ${answer ? (await answer.json()).title : "the server does not answer"}.`);
      return false;
    }
    await this.adopt(await answer.json());
    return true;
  }

  // A browser has one jar of cookies: a session in cookies is ended before one of another delivery is opened.
  async makeRoomFor(delivery) {
    if (this.#held && this.#held.delivery !== "body" && this.#held.delivery !== delivery) await this.logout();
  }

  // Take a new session: the answer of login.
  async adopt(pair) {
    this.#hold({}, pair);
    const held = this.#held;
    const answer = await fetch("/v1/auth/session", this.present("get_session", "GET")).catch(() => null);
    if (answer?.ok && this.#held === held) held.username = (await answer.json()).user?.username;
    this.#tell();
  }

  // Take the new pair of the same session: the answer of refresh, reauthenticate or change_password.
  renew(pair) {
    if (!this.#held) return this.adopt(pair);
    this.#hold(this.#held, pair);
    this.#tell();
  }

  #hold(before, pair) {
    const life = pair.expires_in;
    this.#generation += 1;
    this.#held = {
      ...before,
      delivery: pair.delivery,
      accessToken: pair.access_token,
      refreshToken: pair.refresh_token ?? before.refreshToken,
      csrf: pair.csrf_token ?? before.csrf,
      refreshesAt: Date.now() + Math.max(life - MARGIN_SECONDS, life * 0.8) * 1000,
    };
    this.#schedule(this.#held.refreshesAt - Date.now());
  }

  #schedule(milliseconds) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.refresh(), Math.min(milliseconds, 2 ** 31 - 1));
  }

  // Refresh if the token is about to expire, or if somebody is refreshing it right now.
  async freshen() {
    if (this.#held && (this.#flight || Date.now() >= this.#held.refreshesAt)) await this.refresh();
  }

  // Exchange the refresh token: one request, however many wait for it. Returns whether there are new tokens.
  async refresh() {
    const answer = await (this.#flight ?? this.#takeOff(() =>
      fetch("/v1/auth/refresh", { method: "POST", ...this.present("refresh", "POST") })).catch(() => null));
    return Boolean(answer?.ok);
  }

  // The same for a refresh that a person runs: it is the one in flight, and whoever needs a token waits for it.
  async refreshBy(send) {
    while (this.#flight) await this.#flight.catch(() => null);
    return this.#takeOff(send);
  }

  #takeOff(send) {
    this.#flight = this.#exchange(send).finally(() => { this.#flight = null; });
    return this.#flight;
  }

  async #exchange(send) {
    const held = this.#held;
    try {
      const answer = await send();
      if (this.#held !== held) return answer; // signed out, or in as somebody else, in the meantime
      if (answer.ok) await this.renew(await answer.clone().json());
      else if (held && answer.status === 401) this.forget("The session has ended. Sign in again.");
      else if (held) this.#schedule(RETRY_SECONDS * 1000);
      return answer;
    } catch (error) {
      if (held && this.#held === held) this.#schedule(RETRY_SECONDS * 1000);
      throw error;
    }
  }

  // Say whether an answer means that other tokens would have been accepted, and see that there are some.
  async canRetry(answer, sentGeneration) {
    if (answer.status !== 401 || !this.#held) return false;
    const problem = await answer.clone().json().catch(() => ({}));
    if (!WORTH_A_REFRESH.includes(problem.type)) return false;
    return this.#generation !== sentGeneration || this.refresh();
  }

  // Sign out, here and on the server.
  async logout() {
    await this.freshen();
    if (!this.#held) return;
    const how = this.present("logout", "DELETE");
    this.forget();
    await fetch("/v1/auth/logout", { method: "DELETE", ...how }).catch(() => null);
  }

  // Drop everything this page holds.
  forget(message) {
    clearTimeout(this.#timer);
    this.#held = null;
    this.#generation += 1;
    this.#tell(message);
  }

  // Go on with the session whose cookies the browser still has, for deliveries hybrid and cookie.
  async resume() {
    if (!this.#cookie()) return;
    const answer = await fetch("/v1/auth/refresh", {
      method: "POST", headers: { [this.#cookieNames.csrf_header]: this.#cookie() }, credentials: "same-origin",
    }).catch(() => null);
    if (answer?.ok) await this.adopt(await answer.json());
    else if (answer?.status === 401) this.#dropCookie(); // else every visit would try it again
  }

  // The cookie first: another tab may have signed in since.
  #csrf() { return this.#cookie() ?? this.#held?.csrf ?? ""; }

  #cookie() {
    const start = `${this.#cookieNames.csrf}=`;
    return document.cookie.split("; ").find((pair) => pair.startsWith(start))?.slice(start.length);
  }

  #dropCookie() {
    document.cookie = `${this.#cookieNames.csrf}=; path=/; max-age=0${location.protocol === "https:" ? "; secure" : ""}`;
  }

  #tell(message) {
    this.dispatchEvent(new CustomEvent("change", { detail: message }));
  }
}
