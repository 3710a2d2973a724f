// One person's whole story against a live server whose access tokens live for three seconds, in each delivery.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { isProblem, Keycard, MemoryStorage, Problem, responseOf, slugs } from 'keycard-client';
import { BASE_URL, expiry, newName, PASSWORD, REFRESH, wire } from './wire.js';

const WAITING = 50;
const ME = 'GET /v1/users/me';

async function joined(delivery, instead) {
  const name = newName();
  const network = wire(instead);
  const storage = new MemoryStorage();
  const keycard = new Keycard(BASE_URL, { delivery, storage, fetch: network.fetch });
  const user = await keycard.register({ body: { username: name, password: PASSWORD } });
  assert.equal(user.username, name);
  await keycard.login({ body: { username: name, password: PASSWORD } });
  return { keycard, network, storage, name };
}

const refused = (slug, status) => (error) => isProblem(error, slug) && error.status === status && error.requestId.length > 0;

for (const delivery of ['body', 'hybrid', 'cookie']) {
  test(`the journey in delivery ${delivery}`, async () => {
    const { keycard, network, storage, name } = await joined(delivery);
    assert.equal((await keycard.getMe()).username, name);

    // Fifty calls wait at expiry, and one refresh serves them all.
    await expiry(storage);
    const first = await storage.load();
    const names = await Promise.all(Array.from({ length: WAITING }, async () => (await keycard.getMe()).username));
    assert.deepEqual(names, Array(WAITING).fill(name));
    assert.equal(network.count(REFRESH), 1);
    assert.equal(network.count(ME), WAITING + 1, 'nobody called with the expired token');
    assert.ok((await storage.load()).expiresAt > first.expiresAt);

    // The same when the clock of the client is wrong: it hears of the expiry by fifty 401s.
    const held = await storage.load();
    await expiry(storage);
    storage.save({ ...held, expiresAt: Date.now() + 3_600_000 });
    await Promise.all(Array.from({ length: WAITING }, () => keycard.getMe()));
    assert.equal(network.count(REFRESH), 2);
    assert.equal(network.count(ME), 3 * WAITING + 1, 'each refused call was replayed once');

    const { items } = await keycard.listSessions({ query: { limit: 5 } });
    assert.deepEqual(items.map(({ current, delivery: how }) => [current, how]), [[true, delivery]]);
    assert.equal((await keycard.updateMe({ body: { display_name: 'Ada' } })).display_name, 'Ada');
    assert.deepEqual(await keycard.getSession().then(({ authenticated }) => authenticated), true);

    // A wrong password is the user's affair: it is sent once, and the session goes on.
    const body = { current_password: 'Wrong-Horse-7', new_password: 'Correct-Horse-8' };
    await assert.rejects(keycard.changePassword({ body }), refused(slugs.wrongPassword, 403));
    assert.equal(network.count('PUT /v1/users/me/password'), 1);

    // Both renew the session: the pair from before is dead, and calls that are under way go on with the new one.
    const stale = await storage.load();
    const under = Array.from({ length: WAITING }, () => keycard.getMe());
    const { access_token: fresh } = await keycard.reauthenticate({ body: { password: PASSWORD } });
    assert.equal((await storage.load()).pair.access_token, fresh);
    await Promise.all(under);
    const change = { current_password: PASSWORD, new_password: 'Battery-Staple-8' };
    assert.equal((await keycard.changePassword({ body: change })).session_id, stale.pair.session_id);
    assert.equal((await keycard.getMe()).display_name, 'Ada');
    const before = network.count(REFRESH);
    assert.equal((await keycard.refresh()).session_id, stale.pair.session_id);
    assert.equal(network.count(REFRESH), before + 1);

    assert.equal(await keycard.logout(), undefined);
    assert.equal(await storage.load(), undefined);
    await assert.rejects(keycard.getMe(), refused(slugs.authenticationRequired, 401));
    await keycard.logout();
    assert.equal(network.count('DELETE /v1/auth/logout'), 1, 'signing out again asks nobody');

    checkCredentials(delivery, network.sent);
  });
}

/** Never two credentials, and each only where it belongs. */
function checkCredentials(delivery, sent) {
  for (const { line, bearer, cookies, csrf } of sent) {
    // In hybrid delivery a renewal sets the refresh cookie: a browser takes that only where it may send cookies, too.
    if (delivery === 'hybrid' && /reauthenticate|me\/password/.test(line)) {
      assert.ok(bearer && !csrf, line);
      continue;
    }
    assert.ok(!(bearer && cookies), `${line} carried two credentials`);
    if (delivery === 'body') assert.ok(!cookies && !csrf, line);
    if (delivery === 'cookie') assert.ok(!bearer, line);
    if (cookies && !line.startsWith('GET')) assert.ok(csrf || line.endsWith('/login'), `${line} carried no CSRF value`);
    if (delivery === 'hybrid' && cookies) assert.match(line, /login|refresh|logout/);
  }
}

test('signing out works with an expired access token', async () => {
  for (const delivery of ['body', 'hybrid', 'cookie']) {
    const { keycard, network, storage } = await joined(delivery);
    await expiry(storage);
    await keycard.logout();
    assert.equal(network.count('DELETE /v1/auth/logout'), 1);
    assert.equal(network.count(REFRESH), 0);
    assert.equal(await storage.load(), undefined);
  }
});

test('a lost answer to a refresh signs nobody out', async () => {
  let lost = 0;
  const { keycard, network, storage, name } = await joined('body', async (request, send) => {
    if (!request.url.endsWith('/refresh') || lost === 2) return undefined;
    const answer = await send(); // the server has exchanged the token, and nobody hears of it
    assert.equal(answer.status, 200);
    lost += 1;
    if (lost === 1) throw new TypeError('fetch failed');
    return new Response('<h1>502 Bad Gateway</h1>', { status: 502, headers: { 'Content-Type': 'text/html' } });
  });
  await expiry(storage);
  const names = await Promise.all(Array.from({ length: WAITING }, async () => (await keycard.getMe()).username));
  assert.deepEqual(names, Array(WAITING).fill(name));
  assert.equal(network.count(REFRESH), 3, 'the lost ones and the one that arrived');
  assert.equal((await keycard.listSessions()).items.length, 1);
});

test('a network that stays away fails all who wait, and keeps the tokens', async () => {
  let away = false;
  const { keycard, network, storage, name } = await joined('body', async () => {
    if (away) throw new TypeError('fetch failed');
    return undefined;
  });
  await expiry(storage);
  away = true;
  const outcomes = await Promise.allSettled([keycard.getMe(), keycard.getMe(), keycard.getMe()]);
  assert.deepEqual(outcomes.map(({ reason }) => reason?.message), Array(3).fill('fetch failed'));
  assert.equal(network.count(REFRESH), 3);
  away = false;
  assert.equal((await keycard.getMe()).username, name);
});

test('a reused refresh token ends the session, clears the storage and is named', async () => {
  const { keycard, network, storage } = await joined('body');
  const stolen = (await storage.load()).pair.refresh_token;
  await keycard.refresh();
  await keycard.refresh();
  const headers = { Authorization: `Bearer ${stolen}` };
  assert.equal((await fetch(`${BASE_URL}/v1/auth/refresh`, { method: 'POST', headers })).status, 401);
  const outcomes = await Promise.allSettled([keycard.getMe(), keycard.listSessions()]);
  for (const { reason } of outcomes) assert.ok(isProblem(reason, slugs.sessionEnded), String(reason));
  assert.equal(await storage.load(), undefined);
  assert.equal(network.count(REFRESH), 3);

  // And when it is this client that presents the old token.
  const thief = await joined('body');
  const old = await thief.storage.load();
  await thief.keycard.refresh();
  await thief.keycard.refresh();
  thief.storage.save({ ...old, expiresAt: 0 });
  await assert.rejects(thief.keycard.getMe(), refused(slugs.refreshTokenReused, 401));
  assert.equal(await thief.storage.load(), undefined);
});

test('clients that share a storage share the refresh of the other', async () => {
  const { keycard, network, storage, name } = await joined('body');
  const other = new Keycard(BASE_URL, { storage, fetch: network.fetch });
  const used = await storage.load();
  await keycard.refresh();
  assert.notEqual((await storage.load()).pair.access_token, used.pair.access_token);
  assert.equal((await other.getMe()).username, name);
  assert.equal(network.count(REFRESH), 1);
});

test('a wrong password at sign-in is a typed problem, and stores nothing', async () => {
  const network = wire();
  const storage = new MemoryStorage();
  const keycard = new Keycard(BASE_URL, { storage, fetch: network.fetch });
  const attempt = keycard.login({ body: { username: newName(), password: PASSWORD } });
  await assert.rejects(attempt, (error) => refused(slugs.invalidCredentials, 401)(error) && error.title.length > 0);
  assert.equal(await storage.load(), undefined);
  assert.equal(network.sent.length, 1);
  const errors = await keycard.register({ body: { username: 'x', password: 'y' } }).catch((error) => error.errors);
  assert.ok(errors.some(({ pointer }) => pointer === '/username'), inspect(errors));
});

test('answers tell their headers', async () => {
  const { keycard } = await joined('body');
  const me = await keycard.getMe();
  assert.match(responseOf(me).headers.get('X-Request-ID'), /./);
  assert.throws(() => responseOf({}), TypeError);
});

test('no token shows in what is printed', async () => {
  const { keycard, storage } = await joined('body');
  const { pair } = await storage.load();
  const printed = inspect([keycard, storage], { depth: 20, showHidden: true }) + JSON.stringify([keycard, storage]);
  assert.ok(!printed.includes(pair.access_token) && !printed.includes(pair.refresh_token));
  const failure = await keycard.getProblem({ path: { slug: 'no-such' } }).catch((error) => error);
  assert.ok(failure instanceof Problem);
  assert.ok(!inspect(failure, { depth: 20, showHidden: true }).includes(pair.access_token));
});
