// For services that are called with access tokens: who is calling, by the published keys alone, with no call per request.

/** What an access token says. */
export interface Claims {
  iss: string;
  aud: string | string[];
  sub: string;
  sid: string;
  jti: string;
  iat: number;
  exp: number;
  type: 'access';
  /** Seconds since 1970 until which the token is fresh, or false. */
  fresh: number | false;
  roles: string[];
  scope: string;
  /** Which of the bearer's tokens this is one of: revoking them all raises the number. */
  epoch: number;
  /** The same, of the tokens of this session: renewing the session raises the number. Without it, 0. */
  gen?: number;
  [name: string]: unknown;
}

/**
 * The token is missing or does not hold (401), its bearer may not do this (403), or nobody can tell whether it was revoked (503).
 * The message says why, and is for the log.
 */
export class Refused extends Error {
  override readonly name = 'Refused';

  constructor(
    readonly status: 401 | 403 | 503,
    readonly challenge: string,
    message: string,
  ) {
    super(message);
  }
}

export interface VerifierOptions {
  /** The public URL of Keycard, the `iss` of its tokens. */
  issuer: string;
  /** The `aud` that the tokens must name; Keycard's default is the issuer. */
  audience?: string;
  /** Where the keys are, if not at the issuer. */
  jwksUrl?: string;
  /**
   * Reads these keys from the Redis that Keycard writes revocations to, so that a revoked token is refused at once:
   * `(keys) => redis.mGet(keys)` with node-redis, `redis.mget` with ioredis. When they cannot be read, everybody is refused with 503.
   */
  revocations?: (keys: string[]) => Promise<(string | null)[]>;
  fetch?: typeof fetch;
}

type Jwk = JsonWebKey & { kid?: string };
type Key = { alg: string; key: CryptoKey };

// The key says its algorithm, never the token (RFC 8725, section 3.1).
const ALGORITHMS: Record<string, { importing: AlgorithmIdentifier | RsaHashedImportParams; verifying: AlgorithmIdentifier }> = {
  EdDSA: { importing: 'Ed25519', verifying: 'Ed25519' },
  RS256: { importing: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }, verifying: 'RSASSA-PKCS1-v1_5' },
};
// Keys are read again after this time, so that one that was taken back is not trusted for ever.
const KEYS_LIVE_MS = 300_000;
// And no longer trusted after this time if they could not be read: one of them may have been taken back.
const KEYS_TRUSTED_MS = 3_600_000;
// Keys are read on an unknown `kid` too, but not more often than this, or a forger could make every request a call.
const MIN_INTERVAL_MS = 10_000;
// As long as there is no key to trust, nobody can be let in, so it is tried more often.
const RETRY_MS = 1_000;
const FETCH_TIMEOUT_MS = 5_000;
const REVOKED = 'keycard:revoked:';

/** Verifies access tokens of one issuer. */
export class Verifier {
  readonly #issuer: string;
  readonly #audience: string;
  readonly #jwksUrl: string;
  readonly #fetch: typeof fetch;
  readonly #revocations: VerifierOptions['revocations'];
  #keys = new Map<string, Key>();
  #fetchedAt = -Infinity;
  #askedAt = -Infinity;
  #fetching: Promise<void> | undefined;
  #failure: unknown;

  constructor({ issuer, audience = issuer, jwksUrl, revocations, fetch = globalThis.fetch }: VerifierOptions) {
    this.#issuer = issuer;
    this.#audience = audience;
    this.#jwksUrl = jwksUrl ?? `${issuer}/.well-known/jwks.json`;
    this.#revocations = revocations;
    this.#fetch = fetch;
  }

  /** The claims of an access token. Throws `Refused`, or another error where the keys cannot be had. */
  async verify(token: string): Promise<Claims> {
    const [head, body, signature, ...rest] = token.split('.');
    if (!head || !body || !signature || rest.length) throw invalid('not a signed token');
    const header = parsed(head);
    if (header.typ !== 'at+jwt') throw invalid('not an access token'); // RFC 9068, section 4
    const { alg, key } = await this.#key(header.kid);
    if (header.alg !== alg) throw invalid('not the algorithm of the key');
    const signed = new TextEncoder().encode(`${head}.${body}`);
    const holds = await crypto.subtle.verify(ALGORITHMS[alg]!.verifying, key, bytes(signature), signed);
    if (!holds) throw invalid('the signature does not hold');
    const claims = this.#checked(parsed(body));
    if (this.#revocations) await refuseRevoked(claims, this.#revocations);
    return claims;
  }

  /** The claims behind an Authorization header, if its bearer has every role and scope. Throws `Refused`. */
  async authorize(authorization: string | undefined, { roles = [], scopes = [] }: Needs = {}): Promise<Claims> {
    const token = /^bearer +([\w.~+/-]+=*)$/i.exec(authorization ?? '')?.[1];
    if (!token) throw new Refused(401, 'Bearer', 'no bearer token');
    const claims = await this.verify(token);
    const granted = claims.scope.split(' ');
    const missing = [...roles.filter((role) => !claims.roles.includes(role)), ...scopes.filter((scope) => !granted.includes(scope))];
    if (missing.length) throw new Refused(403, 'Bearer error="insufficient_scope"', `missing: ${missing.join(', ')}`);
    return claims;
  }

  #checked(claims: Record<string, unknown>): Claims {
    const audiences = [claims.aud].flat();
    if (claims.iss !== this.#issuer) throw invalid('of another issuer');
    if (!audiences.includes(this.#audience)) throw invalid('for another audience');
    if (claims.type !== 'access') throw invalid('not an access token');
    if (typeof claims.exp !== 'number' || claims.exp * 1000 <= Date.now()) throw invalid('expired');
    const { sub, sid, scope, roles, epoch, gen = 0 } = claims;
    const kinds = [...[sub, sid, scope].map((each) => typeof each === 'string'), ...[epoch, gen].map(Number.isInteger)];
    if (!Array.isArray(roles) || kinds.includes(false)) {
      throw invalid('a claim is missing');
    }
    return claims as Claims;
  }

  async #key(kid: unknown): Promise<Key> {
    if (typeof kid !== 'string') throw invalid('names no key');
    const stale = !this.#keys.has(kid) || this.#age() > KEYS_LIVE_MS;
    const interval = this.#trusted() ? MIN_INTERVAL_MS : RETRY_MS;
    if (stale && (this.#fetching || Date.now() - this.#askedAt > interval)) await this.#refetch();
    if (!this.#trusted()) throw this.#failure;
    const found = this.#keys.get(kid);
    if (!found) throw invalid('signed with an unknown key');
    return found;
  }

  /** How long ago the keys were read; for ever if there are none. */
  #age(): number {
    return Date.now() - this.#fetchedAt;
  }

  #trusted(): boolean {
    return this.#age() <= KEYS_TRUSTED_MS;
  }

  /** Read the keys, once for all who wait. Where that fails, those that are known stay good, unless they are too old. */
  async #refetch(): Promise<void> {
    this.#fetching ??= this.#read()
      .catch((error: unknown) => {
        this.#failure = error;
      })
      .finally(() => {
        this.#askedAt = Date.now();
        this.#fetching = undefined;
      });
    await this.#fetching;
  }

  async #read(): Promise<void> {
    const answer = await this.#fetch(this.#jwksUrl, { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
    if (!answer.ok) throw new Error(`${this.#jwksUrl} answered ${answer.status}`);
    const { keys } = (await answer.json()) as { keys: Jwk[] };
    const usable = keys.filter(({ kid, alg }) => kid && alg && Object.hasOwn(ALGORITHMS, alg));
    this.#keys = new Map(await Promise.all(usable.map(imported)));
    this.#fetchedAt = Date.now();
  }
}

/** Ask the mirror of revocations. Without its mark of completeness, what it does not hold means nothing. */
async function refuseRevoked(claims: Claims, read: NonNullable<VerifierOptions['revocations']>): Promise<void> {
  const { sub, sid, epoch, gen = 0 } = claims;
  const keys = ['complete', `sid:${sid}`, `gen:${sid}`, `sub:${sub}`].map((name) => REVOKED + name);
  const [complete = null, session = null, leastGen = null, leastEpoch = null] = await read(keys).catch(() => []);
  if (session !== null || gen < Number(leastGen) || epoch < Number(leastEpoch)) throw invalid('revoked');
  if (complete === null) throw new Refused(503, '', 'the mirror of revocations cannot be read, or is not complete');
}

export interface Needs {
  /** Roles of which the bearer must have every one. */
  roles?: string[];
  scopes?: string[];
}

/** What a guard needs of a request and of an answer; those of `node:http` and of Express are so. */
export interface IncomingRequest {
  headers: { authorization?: string | undefined };
  claims?: Claims;
}
export interface OutgoingAnswer {
  writeHead(status: number, headers: Record<string, string>): unknown;
  end(body: string): unknown;
}

/** Middleware: `request.claims` are verified for what comes next; who lacks something gets a problem (RFC 9457, RFC 6750). */
export function guard(verifier: Verifier, needs: Needs = {}) {
  return async (request: IncomingRequest, answer: OutgoingAnswer, next: (error?: unknown) => unknown): Promise<void> => {
    try {
      request.claims = await verifier.authorize(request.headers.authorization, needs);
    } catch (error) {
      if (error instanceof Refused) refuse(answer, error);
      else next(error);
      return;
    }
    next();
  };
}

const TITLES = {
  401: 'A valid access token is required',
  403: 'A role or a scope is missing',
  503: 'Try again in a moment',
};

function refuse(answer: OutgoingAnswer, { status, challenge }: Refused): void {
  const also: Record<string, string> = challenge ? { 'WWW-Authenticate': challenge } : { 'Retry-After': '2' };
  answer.writeHead(status, { 'Content-Type': 'application/problem+json', ...also });
  answer.end(JSON.stringify({ type: 'about:blank', title: TITLES[status], status }));
}

function invalid(reason: string): Refused {
  return new Refused(401, 'Bearer error="invalid_token"', reason);
}

async function imported(jwk: Jwk): Promise<[string, Key]> {
  const alg = jwk.alg!;
  const key = await crypto.subtle.importKey('jwk', jwk, ALGORITHMS[alg]!.importing, false, ['verify']);
  return [jwk.kid!, { alg, key }];
}

function bytes(encoded: string): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.from(atob(encoded.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0));
  } catch {
    throw invalid('not base64url');
  }
}

function parsed(encoded: string): Record<string, unknown> {
  const text = new TextDecoder().decode(bytes(encoded));
  try {
    const found: unknown = JSON.parse(text);
    if (typeof found === 'object' && found !== null) return found as Record<string, unknown>;
  } catch {
    // refused below
  }
  throw invalid('not a JSON object');
}
