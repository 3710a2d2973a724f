// What the tests put between the client and the network.

export const PASSWORD = 'Correct-Horse-7';
export const BASE_URL = process.env.KEYCARD_URL;
export const REFRESH = 'POST /v1/auth/refresh';

export const newName = () => `user-${crypto.randomUUID().slice(0, 13)}`;

/** A fetch that keeps cookies like a browser, writes down every request, and asks `instead` for another answer first. */
export function wire(instead = async () => undefined) {
  const jar = new Map();
  const sent = [];
  const fetchOnWire = async (request) => {
    const path = new URL(request.url).pathname;
    const cookies = [...jar].filter(([, cookie]) => path.startsWith(cookie.path)).map(([name, { value }]) => `${name}=${value}`);
    const withCookies = request.credentials === 'include' && cookies.length > 0;
    const call = withCookies ? new Request(request, { headers: [...request.headers, ['Cookie', cookies.join('; ')]] }) : request;
    sent.push({
      line: `${request.method} ${path}`,
      bearer: request.headers.has('Authorization'),
      cookies: withCookies,
      csrf: request.headers.has('X-CSRF-TOKEN'),
    });
    const send = async () => {
      const answer = await fetch(call);
      if (request.credentials === 'include') keep(jar, answer);
      return answer;
    };
    return (await instead(call, send)) ?? send();
  };
  return { fetch: fetchOnWire, sent, count: (line) => sent.filter((each) => each.line === line).length };
}

function keep(jar, answer) {
  for (const line of answer.headers.getSetCookie()) {
    const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
    const path = /; *path=([^;]+)/i.exec(line)?.[1] ?? '/';
    if (/max-age=0\b/i.test(line)) jar.delete(name);
    else jar.set(name, { value, path });
  }
}

/** Resolves when the access token that is held has expired. */
export async function expiry(storage) {
  const { expiresAt } = await storage.load();
  await new Promise((resolve) => setTimeout(resolve, expiresAt - Date.now() + 5));
}

export const problem = (status, slug, headers = {}) =>
  new Response(JSON.stringify({ type: `/problems/${slug}`, title: slug, status, detail: 'Scripted.', request_id: 'r' }), {
    status,
    headers: { 'Content-Type': 'application/problem+json', ...headers },
  });

export const json = (body, status = 200) =>
  new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json' } });
