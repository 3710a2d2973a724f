// What happens to the calls of Try it out on their way: they carry the session, are sent once more with a new token
// when an old one was refused, and what they answer changes the session.

import { RENEWALS } from "./session.js";

// The operations of the document, by method and path.
export class Operations {
  #all;

  constructor(document) {
    this.#all = Object.entries(document.paths).flatMap(([path, item]) => Object.entries(item)
      .filter(([, operation]) => operation?.operationId)
      .map(([method, { operationId, security = [] }]) => ({
        id: operationId,
        path,
        method: method.toUpperCase(),
        pattern: new RegExp(`^${path.replace(/[.*+?^$()|[\]\\]/g, "\\$&").replace(/\{[^}]+\}/g, "[^/]+")}$`),
        needsToken: security.some((one) => Object.keys(one).length),
      })));
  }

  find(method, url) {
    const path = new URL(url, location.origin).pathname;
    const found = this.#all.filter((each) => each.method === method && each.pattern.test(path));
    return found.find((each) => each.path === path) ?? found[0];
  }
}

// Returns a request interceptor for Swagger UI. show: called with (operation, request) when what was sent differs
// from what Swagger UI shows.
export function carry(session, operations, show) {
  return async (request) => {
    const method = (request.method ?? "GET").toUpperCase();
    const operation = operations.find(method, request.url);
    if (!operation || request.loadSpec) return request;
    if (operation.id === "login") await session.makeRoomFor(read(request.body).delivery ?? "body");
    if (operation.needsToken && operation.id !== "refresh") await session.freshen();
    const dressed = dress(request);
    const bySession = session.signedIn;
    let sent = session.generation;
    dressed.userFetch = async (url, options) => {
      const send = () => fetch(url, options);
      if (operation.id === "refresh") return session.refreshBy(() => fetch(url, dress(options)));
      let answer = await send();
      if (operation.needsToken && (await session.canRetry(answer, sent))) {
        const again = dress(options);
        sent = session.generation;
        show(operation, again);
        answer = await fetch(url, again);
      }
      await learn(operation.id, options, answer, bySession);
      return answer;
    };
    return dressed;

    // Public operations carry nothing. A token that a person gave to the Authorize dialog themselves stays as it is.
    function dress(bare) {
      if (!session.signedIn && operation.needsToken) return { ...bare, headers: without(bare.headers, ["cookie"]), credentials: "omit" };
      if (!operation.needsToken) return { ...bare, credentials: operation.id === "login" ? "same-origin" : "omit" };
      const { headers, credentials } = session.present(operation.id, method);
      return { ...bare, headers: { ...without(bare.headers, session.headerNames), ...headers }, credentials };
    }
  };

  // bySession: whether the call was made with what this page holds, and not with what a person gave to the Authorize dialog.
  async function learn(operationId, request, answer, bySession) {
    if (operationId === "logout" && answer.status === 204) session.forget("Signed out.");
    if (!answer.ok) return;
    if (operationId === "login") await session.adopt(await answer.clone().json());
    if (RENEWALS.includes(operationId) && bySession) session.renew(await answer.clone().json());
    if (operationId === "register") {
      const { username, password } = read(request.body);
      await session.login({ username, password });
    }
  }
}

function without(headers, names) {
  return Object.fromEntries(Object.entries(headers ?? {}).filter(([name]) => !names.includes(name.toLowerCase())));
}

function read(body) {
  try {
    return JSON.parse(body) ?? {};
  } catch {
    return {}; // the server will say what is wrong with it
  }
}
