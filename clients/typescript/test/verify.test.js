// Verifying access tokens: those of a live server, and those of an issuer that this test plays.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { Keycard, MemoryStorage } from 'keycard-client';
import { guard, Refused, Verifier } from 'keycard-client/verify';
import { BASE_URL, newName, PASSWORD } from './wire.js';

const ISSUER = 'https://auth.example.com';
const ALGORITHMS = {
  EdDSA: ['Ed25519', 'Ed25519'],
  RS256: [
    { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) },
    'RSASSA-PKCS1-v1_5',
  ],
};

const encoded = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

async function newKey(kid, alg = 'EdDSA') {
  const { publicKey, privateKey } = await crypto.subtle.generateKey(ALGORITHMS[alg][0], true, ['sign', 'verify']);
  const jwk = { ...(await crypto.subtle.exportKey('jwk', publicKey)), kid, alg, use: 'sig', key_ops: undefined };
  const sign = async (claims = {}, header = {}) => {
    const now = Math.floor(Date.now() / 1000);
    const body = { iss: ISSUER, aud: ISSUER, sub: 'u', sid: 's', jti: 'j', iat: now, exp: now + 60, type: 'access', fresh: false, roles: ['user'], scope: 'read', epoch: 3, ...claims };
    const signed = `${encoded({ alg, kid, typ: 'at+jwt', ...header })}.${encoded(body)}`;
    const signature = await crypto.subtle.sign(ALGORITHMS[alg][1], privateKey, Buffer.from(signed));
    return `${signed}.${Buffer.from(signature).toString('base64url')}`;
  };
  return { jwk, sign };
}

/** A verifier whose issuer publishes `keys`, and how often it has asked for them. */
function published(keys, options = {}) {
  const asked = { times: 0 };
  const fetch = async (url) => {
    assert.equal(url, `${ISSUER}/.well-known/jwks.json`);
    asked.times += 1;
    if (keys instanceof Error) throw keys;
    return new Response(JSON.stringify({ keys: keys.map(({ jwk }) => jwk) }));
  };
  return { verifier: new Verifier({ issuer: ISSUER, fetch, ...options }), asked };
}

const refused = (status) => (error) => error instanceof Refused && error.status === status;

test('the tokens of a live server verify, and only its access tokens', async () => {
  const storage = new MemoryStorage();
  const keycard = new Keycard(BASE_URL, { storage });
  const body = { username: newName(), password: PASSWORD };
  const user = await keycard.register({ body });
  await keycard.login({ body });
  const { pair } = storage.load();
  const { issuer, jwks_uri } = await keycard.getMetadata();
  const jwksUrl = BASE_URL + new URL(jwks_uri).pathname; // the public URL of the test's server is not where it listens
  const claims = await new Verifier({ issuer, jwksUrl }).verify(pair.access_token);
  assert.deepEqual([claims.sub, claims.sid, claims.roles], [user.id, pair.session_id, ['user']]);
  await assert.rejects(new Verifier({ issuer, jwksUrl }).verify(pair.refresh_token), refused(401));
  await assert.rejects(new Verifier({ issuer, jwksUrl, audience: 'items' }).verify(pair.access_token), refused(401));
});

for (const alg of Object.keys(ALGORITHMS)) {
  test(`a token signed with ${alg} verifies, and every other is refused`, async () => {
    const key = await newKey('one', alg);
    const { verifier } = published([key]);
    assert.equal((await verifier.verify(await key.sign())).sub, 'u');
    assert.equal((await verifier.verify(await key.sign({ aud: ['items', ISSUER] }))).sub, 'u');
    const good = await key.sign();
    const [head, body, signature] = good.split('.');
    const stranger = await newKey('one', alg);
    const bad = {
      'an altered claim': [head, encoded({ ...JSON.parse(Buffer.from(body, 'base64url')), roles: ['admin'] }), signature].join('.'),
      'an altered signature': [head, body, signature.slice(0, -4) + (signature.endsWith('AAAA') ? 'BBBB' : 'AAAA')].join('.'),
      'no signature': `${encoded({ alg: 'none', kid: 'one', typ: 'at+jwt' })}.${body}.`,
      'the key of a stranger': await stranger.sign(),
      'another algorithm in the header': await key.sign({}, { alg: 'HS256' }),
      'a refresh token': await key.sign({ type: 'refresh' }),
      'another typ': await key.sign({}, { typ: 'rt+jwt' }),
      'another issuer': await key.sign({ iss: 'https://evil.example.com' }),
      'another audience': await key.sign({ aud: 'items' }),
      'an expired token': await key.sign({ exp: Math.floor(Date.now() / 1000) }),
      'no expiry': await key.sign({ exp: undefined }),
      'no epoch': await key.sign({ epoch: undefined }),
      'no kid': await key.sign({}, { kid: undefined }),
      'no base64': `!.${body}.${signature}`,
      'no JSON': `${encoded('no')}.${body}.${signature}`,
      'three words': 'a.b.c',
      nothing: '',
    };
    for (const [what, token] of Object.entries(bad)) await assert.rejects(verifier.verify(token), refused(401), what);
  });
}

test('keys are asked for once, again for an unknown kid, and not more often than every ten seconds', async (context) => {
  context.mock.timers.enable({ apis: ['Date'], now: Date.now() });
  const [one, two] = [await newKey('one'), await newKey('two')];
  const keys = [one];
  const { verifier, asked } = published(keys);
  const tokens = await Promise.all(Array.from({ length: 20 }, () => one.sign()));
  await Promise.all(tokens.map((token) => verifier.verify(token)));
  assert.equal(asked.times, 1);
  keys.push(two);
  await assert.rejects(verifier.verify(await two.sign()), refused(401));
  assert.equal(asked.times, 1);
  context.mock.timers.tick(10_001);
  await verifier.verify(await two.sign());
  assert.equal(asked.times, 2);
  for (let index = 0; index < 20; index += 1) await assert.rejects(verifier.verify(await (await newKey(`no-${index}`)).sign()));
  assert.equal(asked.times, 2);
  keys.shift(); // taken back: trusted for five minutes at most
  context.mock.timers.tick(300_001);
  await assert.rejects(verifier.verify(await one.sign()), refused(401));
  assert.equal(asked.times, 3);
});

test('an issuer has 5 seconds to answer', async (context) => {
  const limits = context.mock.method(AbortSignal, 'timeout');
  const one = await newKey('one');
  await published([one]).verifier.verify(await one.sign());
  assert.deepEqual(limits.mock.calls.map((call) => call.arguments[0]), [5_000]);
});

test('an issuer that is away refuses nobody who holds a token of a known key', async (context) => {
  context.mock.timers.enable({ apis: ['Date'], now: Date.now() });
  const one = await newKey('one');
  let away = true;
  const fetch = async () => {
    if (away) throw new TypeError('fetch failed');
    return new Response(JSON.stringify({ keys: [one.jwk] }));
  };
  const verifier = new Verifier({ issuer: ISSUER, fetch });
  await assert.rejects(verifier.verify(await one.sign()), TypeError);
  away = false;
  await assert.rejects(verifier.verify(await one.sign()), TypeError, 'asked again within a second');
  context.mock.timers.tick(1_001);
  await verifier.verify(await one.sign());
  away = true;
  context.mock.timers.tick(300_001);
  assert.equal((await verifier.verify(await one.sign())).sub, 'u');
});

test('keys that could not be read anew for an hour are not trusted', async (context) => {
  context.mock.timers.enable({ apis: ['Date'], now: Date.now() });
  const one = await newKey('one');
  let away = false;
  const fetch = async () => {
    if (away) throw new TypeError('fetch failed');
    return new Response(JSON.stringify({ keys: [one.jwk] }));
  };
  const verifier = new Verifier({ issuer: ISSUER, fetch });
  await verifier.verify(await one.sign());
  away = true;
  context.mock.timers.tick(3_600_000);
  await verifier.verify(await one.sign());
  context.mock.timers.tick(1);
  await assert.rejects(verifier.verify(await one.sign()), TypeError);
  away = false;
  context.mock.timers.tick(1_001);
  await verifier.verify(await one.sign());
});

test('the guard lets in who has every role and scope, and answers problems to others', async (context) => {
  const key = await newKey('one');
  const { verifier } = published([key]);
  const guarded = guard(verifier, { roles: ['editor'], scopes: ['read'] });
  const server = createServer((request, answer) => guarded(request, answer, (error) => answer.end(error ? 'failed' : request.claims.sub)));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(() => server.close());
  const ask = (authorization) =>
    fetch(`http://127.0.0.1:${server.address().port}/`, { headers: authorization ? { Authorization: authorization } : {} });
  assert.equal(await (await ask(`Bearer ${await key.sign({ roles: ['user', 'editor'] })}`)).text(), 'u');
  const cases = [
    [undefined, 401, 'Bearer'],
    ['Basic dTpw', 401, 'Bearer'],
    ['Bearer x.y.z', 401, 'Bearer error="invalid_token"'],
    [`Bearer ${await key.sign({ roles: ['user'] })}`, 403, 'Bearer error="insufficient_scope"'],
    [`Bearer ${await key.sign({ roles: ['editor'], scope: 'write' })}`, 403, 'Bearer error="insufficient_scope"'],
  ];
  for (const [authorization, status, challenge] of cases) {
    const answer = await ask(authorization);
    assert.deepEqual([answer.status, answer.headers.get('WWW-Authenticate')], [status, challenge]);
    assert.equal(answer.headers.get('Content-Type'), 'application/problem+json');
    assert.equal((await answer.json()).status, status);
  }
});

test('a revoked token is refused at once, and everybody while nobody can tell', async () => {
  const key = await newKey('one');
  const mirror = new Map([['keycard:revoked:complete', '1']]);
  let away = false;
  const revocations = async (keys) => {
    if (away) throw new Error('connection refused');
    return keys.map((each) => mirror.get(each) ?? null);
  };
  const { verifier } = published([key], { revocations });
  const token = await key.sign();
  assert.equal((await verifier.verify(token)).sub, 'u');
  mirror.set('keycard:revoked:sid:another', '1').set('keycard:revoked:gen:another', '9').set('keycard:revoked:sub:u', '3');
  assert.equal((await verifier.verify(token)).sub, 'u');
  mirror.set('keycard:revoked:gen:s', '2');
  for (const gen of [2, 3]) assert.equal((await verifier.verify(await key.sign({ gen }))).sub, 'u');
  for (const gen of [undefined, 0, 1, '2', null]) await assert.rejects(verifier.verify(await key.sign({ gen })), refused(401), `${gen}`);
  for (const [name, value] of [['sub:u', '4'], ['sid:s', '1'], ['gen:s', '1']]) {
    mirror.set(`keycard:revoked:${name}`, value);
    await assert.rejects(verifier.verify(token), refused(401), name);
    mirror.delete(`keycard:revoked:${name}`);
  }
  away = true;
  await assert.rejects(verifier.verify(token), refused(503));
  away = false;
  mirror.delete('keycard:revoked:complete'); // a Redis that came back empty
  await assert.rejects(verifier.verify(token), refused(503));
});
