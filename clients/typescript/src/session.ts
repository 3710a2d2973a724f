// What lies between the generated operations and the network: it signs requests, refreshes, replays and waits.

import { type Client, createClient, mergeHeaders, type RequestOptions } from './generated/client/index.js';
import type {
  ChangePasswordData,
  LoginData,
  LogoutData,
  ReauthenticateData,
  RefreshData,
  TokenPair,
} from './generated/types.gen.js';
import { Problem, retryAfter, type Slug } from './problems.js';
import { MemoryStorage, SharedStorage, type Tokens, type TokenStorage } from './storage.js';

/** How the tokens travel. `body`: for servers and apps. `hybrid`, `cookie`: for pages in a browser. */
export type Delivery = 'body' | 'hybrid' | 'cookie';

export interface SessionOptions {
  delivery?: Delivery;
  /** Default: memory in delivery `body`; in the others what the tabs of a browser share. */
  storage?: TokenStorage;
  /** Milliseconds that one request may take. */
  timeout?: number;
  /** The longest `Retry-After` that is waited for, in seconds. */
  longestWait?: number;
  fetch?: typeof fetch;
}

const LOGIN: LoginData['url'] = '/v1/auth/login';
const REFRESH: RefreshData['url'] = '/v1/auth/refresh';
const LOGOUT: LogoutData['url'] = '/v1/auth/logout';
const REAUTHENTICATE: ReauthenticateData['url'] = '/v1/auth/reauthenticate';
const CHANGE_PASSWORD: ChangePasswordData['url'] = '/v1/users/me/password';
const GIVING_A_PAIR = new Set<string>([LOGIN, REAUTHENTICATE, CHANGE_PASSWORD]);

// A refresh helps against these.
const REFRESHABLE = new Set<string>([
  'token-expired',
  'invalid-token',
  'token-revoked',
  'authentication-required',
] satisfies Slug[]);
// The answers to a refresh that say that the session is over; the last one, that the browser has lost its cookie.
const OVER = new Set<string>([
  'refresh-token-reused',
  'session-ended',
  'token-revoked',
  'token-expired',
  'invalid-token',
  'account-suspended',
  'authentication-required',
] satisfies Slug[]);

const REPEATS = 2;
// A used refresh token gets the same answer again for 10 seconds; later it looks stolen. So the last try must start within them:
// all others end after 3 seconds. The last one may take as long as any request.
const REFRESH_TRIES = 3;
const REFRESH_TRY_MS = 3_000;

type Request = RequestOptions & { method: string; url: string };
type Answer = { data?: unknown; error?: unknown; response?: Response };

const responses = new WeakMap<object, Response>();

/** The HTTP answer that some data came in: `responseOf(user).headers.get('ETag')`. */
export function responseOf(data: object): Response {
  const found = responses.get(data);
  if (!found) throw new TypeError('not an answer of this client');
  return found;
}

/** One person's session with one server. Its `client` is the generated one, with every call going through `#call`. */
export class Session {
  readonly client: Client;
  readonly #inner: Client;
  readonly #delivery: Delivery;
  readonly #storage: TokenStorage;
  readonly #timeout: number;
  readonly #longestWait: number;
  #refreshing: Promise<Tokens | undefined> | undefined;
  #renewing: Promise<unknown> | undefined;

  constructor(baseUrl: string, options: SessionOptions = {}) {
    const { delivery = 'body', timeout = 30_000, longestWait = 30, fetch } = options;
    const root = baseUrl.replace(/\/+$/, '');
    this.#inner = createClient({
      baseUrl: root,
      headers: { Accept: 'application/json, application/problem+json' },
      ...(fetch && { fetch }),
    });
    this.#delivery = delivery;
    this.#storage = options.storage ?? defaultStorage(delivery, root);
    this.#timeout = timeout;
    this.#longestWait = longestWait;
    const through = (method: string) => (request: RequestOptions) => this.#call({ ...request, method } as Request);
    const methods = { get: 'GET', put: 'PUT', post: 'POST', delete: 'DELETE', patch: 'PATCH' };
    const bound = Object.entries(methods).map(([name, method]) => [name, through(method)]);
    this.client = { ...this.#inner, ...Object.fromEntries(bound) } as Client;
  }

  async #call(request: Request): Promise<unknown> {
    switch (request.url) {
      case LOGIN:
        return this.#login(request);
      case REFRESH:
        return this.#refreshNow(request);
      case LOGOUT:
        return this.#logout(request);
      case REAUTHENTICATE:
      case CHANGE_PASSWORD:
        return this.#renew(request);
      default:
        return request.security ? this.#signed(request) : result(await this.#send(request));
    }
  }

  /** Send with the access token, refreshed if it is time; and once more with another one if it is refused. */
  async #signed(request: Request): Promise<unknown> {
    let tokens = await this.#storage.load();
    if (tokens && isDue(tokens, this.#delivery)) tokens = await this.#early(tokens);
    const answer = await this.#send(request, tokens);
    if (!tokens || !isRefreshable(answer)) return result(answer);
    return result(await this.#send(request, await this.#successor(tokens)));
  }

  /** A refresh before it must be may fail, unless the session is over: what is held is good for a little longer. */
  async #early(held: Tokens): Promise<Tokens | undefined> {
    try {
      return await this.#successor(held);
    } catch (error) {
      const good = Date.now() < held.expiresAt && (held.pair.access_token || this.#delivery === 'cookie');
      if (good && (await this.#storage.load())) return held;
      throw error;
    }
  }

  /** The tokens that replace these: of the refresh that somebody did meanwhile, or of the one that all wait for. */
  async #successor(used: Tokens): Promise<Tokens | undefined> {
    await this.#renewing?.catch(() => undefined);
    const held = await this.#storage.load();
    if (held && differs(held, used) && !isDue(held, this.#delivery)) return held;
    this.#refreshing ??= this.#exclusively(() => this.#refresh(used)).finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  #exclusively<T>(refresh: () => Promise<T>): Promise<T> {
    return this.#storage.exclusively ? this.#storage.exclusively(refresh) : refresh();
  }

  async #refresh(used: Tokens): Promise<Tokens | undefined> {
    const held = await this.#storage.load();
    if (!held || (differs(held, used) && !isDue(held, this.#delivery))) return held;
    const answer = await this.#exchange(held);
    const now = await this.#storage.load();
    if (now?.pair.session_id !== held.pair.session_id) return now; // signed out, or in again, while this was under way
    if (OVER.has(slugOf(answer))) await this.#storage.clear();
    return this.#keep(result(answer) as TokenPair);
  }

  /** Exchange the refresh token, again with the same one where the answer is lost. */
  async #exchange(held: Tokens): Promise<Answer> {
    const request: Request = { method: 'POST', url: REFRESH };
    let longestWait = this.#longestWait;
    for (let attempt = 1; attempt < REFRESH_TRIES; attempt += 1) {
      const answer = await this.#send(request, held, Math.min(REFRESH_TRY_MS, this.#timeout), longestWait);
      if (!isLost(answer)) return answer;
      longestWait = 0; // a wait after a lost answer could outlast the 10 seconds
    }
    return this.#send(request, held, this.#timeout, longestWait);
  }

  async #login(request: Request): Promise<TokenPair> {
    const body = { ...(request.body as object), delivery: this.#delivery };
    const pair = result(await this.#send({ ...request, body })) as TokenPair;
    await this.#keep(pair);
    return pair;
  }

  /** Send the password, and keep the new pair. Nobody refreshes meanwhile: the refresh token dies with the old pair. */
  async #renew(request: Request): Promise<TokenPair> {
    await Promise.allSettled([this.#refreshing, this.#renewing]);
    const renewal = this.#exclusively(() => this.#renewed(request));
    this.#renewing = renewal;
    try {
      return await renewal;
    } finally {
      if (this.#renewing === renewal) this.#renewing = undefined;
    }
  }

  async #renewed(request: Request): Promise<TokenPair> {
    const held = await this.#storage.load();
    let answer = await this.#send(request, held);
    if (held && isRefreshable(answer)) answer = await this.#send(request, await this.#refresh(held));
    const pair = result(answer) as TokenPair;
    await this.#keep(pair);
    return pair;
  }

  /** A refresh that is asked for is the one that all wait for, too. */
  async #refreshNow(request: Request): Promise<unknown> {
    const held = await this.#storage.load();
    const successor = held && (await this.#successor(held));
    return successor ? successor.pair : result(await this.#send(request));
  }

  async #logout(request: Request): Promise<void> {
    const held = await this.#storage.load();
    if (!held) return;
    try {
      const answer = await this.#send(request, held);
      if (answer.response?.status !== 401) result(answer); // a 401: there is no session any more, which is what was wanted
    } finally {
      await this.#storage.clear();
    }
  }

  /** Store what the server gave, before anybody uses it. */
  async #keep(pair: TokenPair): Promise<Tokens> {
    const tokens = { pair, expiresAt: Date.now() + pair.expires_in * 1000 };
    await this.#storage.save(tokens);
    return tokens;
  }

  /** Send, and send again after the wait that the server asks for: it did nothing yet (429, 503). */
  async #send(request: Request, tokens?: Tokens, timeout = this.#timeout, longestWait = this.#longestWait): Promise<Answer> {
    for (let attempt = 0; ; attempt += 1) {
      const limit = AbortSignal.timeout(timeout);
      const answer = (await this.#inner.request({
        ...request,
        ...this.#credentials(request, tokens),
        security: [],
        signal: request.signal ? AbortSignal.any([request.signal, limit]) : limit,
        responseStyle: 'fields',
        throwOnError: false,
      } as Parameters<Client['request']>[0])) as Answer;
      const wait = waitOf(answer);
      if (wait === undefined || wait > longestWait || attempt === REPEATS) return answer;
      await new Promise((resolve) => setTimeout(resolve, wait * 1000));
    }
  }

  /** Exactly one credential: the server refuses two. Cookies travel only where they are what counts. */
  #credentials(request: Request, tokens: Tokens | undefined): { headers: Headers; credentials: RequestCredentials } {
    const ofRefresh = request.url === REFRESH || request.url === LOGOUT;
    const byCookie = this.#delivery === 'cookie' || (this.#delivery === 'hybrid' && ofRefresh);
    const bearer = ofRefresh ? tokens?.pair.refresh_token : tokens?.pair.access_token;
    const headers = mergeHeaders(request.headers, {
      'X-CSRF-TOKEN': byCookie && request.method !== 'GET' ? tokens?.pair.csrf_token : undefined,
      Authorization: !byCookie && bearer ? `Bearer ${bearer}` : undefined,
    });
    const setsCookies = this.#delivery === 'hybrid' && GIVING_A_PAIR.has(request.url);
    return { headers, credentials: byCookie || setsCookies ? 'include' : 'omit' };
  }
}

function defaultStorage(delivery: Delivery, baseUrl: string): TokenStorage {
  const inBrowser = typeof window !== 'undefined';
  return delivery !== 'body' && inBrowser ? new SharedStorage(`keycard ${baseUrl}`) : new MemoryStorage();
}

/** Whether to refresh first: 30 seconds before expiry, or a tenth of a shorter life; or when a page just loaded has no token. */
function isDue({ pair, expiresAt }: Tokens, delivery: Delivery): boolean {
  const lead = Math.min(30_000, pair.expires_in * 100);
  return Date.now() >= expiresAt - lead || (delivery !== 'cookie' && !pair.access_token);
}

function differs(one: Tokens, other: Tokens): boolean {
  return one.pair.access_token !== other.pair.access_token || one.expiresAt !== other.expiresAt;
}

function slugOf({ response, error }: Answer): string {
  return response && !response.ok ? new Problem(response, error).slug : '';
}

function isRefreshable(answer: Answer): boolean {
  return answer.response?.status === 401 && REFRESHABLE.has(slugOf(answer));
}

/** No answer, or one of somebody who does not know what became of the request. */
function isLost(answer: Answer): boolean {
  if (!answer.response) return true;
  return answer.response.status >= 500 && retryAfter(answer.response) === undefined;
}

function waitOf({ response }: Answer): number | undefined {
  return response && (response.status === 429 || response.status === 503) ? retryAfter(response) : undefined;
}

/** The data of an answer. Throws the problem, or what the network said. */
function result({ data, error, response }: Answer): unknown {
  if (!response || (response.ok && error !== undefined)) throw error;
  if (!response.ok) throw new Problem(response, error);
  if (response.status === 204 || response.headers.get('Content-Length') === '0') return undefined;
  if (typeof data !== 'object' || data === null) throw new Problem(response, data); // the page of a proxy
  responses.set(data, response);
  return data;
}
