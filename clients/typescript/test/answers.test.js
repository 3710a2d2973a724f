// What the client makes of answers that a live server gives rarely, or only a later one would give.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isProblem, Keycard, MemoryStorage, Problem, slugs } from 'keycard-client';
import { json, problem, REFRESH, wire } from './wire.js';

const PAIR = {
  token_type: 'Bearer',
  expires_in: 900,
  session_id: '3f0b4a52-4f0c-4d8e-9a51-0d0d3f1c2b7a',
  delivery: 'body',
  access_token: 'access-1',
  refresh_token: 'refresh-1',
  refresh_expires_in: 604800,
};

/** A signed-in client whose server answers what the script says, call after call; `expired` calls for a refresh first. */
function scripted(answers, { expired = false, ...options } = {}) {
  const storage = new MemoryStorage();
  storage.save({ pair: PAIR, expiresAt: Date.now() + (expired ? -1 : 900_000) });
  const script = [...answers];
  const network = wire(async (request) => {
    assert.ok(script.length, 'nobody expected another request');
    const answer = script.shift();
    if (answer instanceof Error) throw answer;
    return typeof answer === 'function' ? answer(request) : answer;
  });
  return { keycard: new Keycard('http://keycard.invalid/', { storage, fetch: network.fetch, ...options }), network, storage, script };
}

const timed = async (work) => {
  const started = performance.now();
  await work();
  return performance.now() - started;
};

test('Retry-After is waited for, whatever the method', async () => {
  for (const status of [429, 503]) {
    const busy = problem(status, 'too-many-requests', { 'Retry-After': '1' });
    const { keycard, network } = scripted([busy, json({ display_name: 'Ada' })]);
    const milliseconds = await timed(() => keycard.updateMe({ body: { display_name: 'Ada' } }));
    assert.ok(milliseconds >= 990, `came back after ${milliseconds} ms`);
    assert.equal(network.count('PATCH /v1/users/me'), 2);
  }
});

test('Retry-After is obeyed by a refresh, with the same token, and by date', async () => {
  const date = new Date(Date.now() + 2000).toUTCString();
  const busy = problem(503, 'service-unavailable', { 'Retry-After': date });
  const next = json({ ...PAIR, access_token: 'access-2', refresh_token: 'refresh-2' });
  const { keycard, network, storage } = scripted([busy, next, json({ username: 'ada' })], { expired: true });
  const milliseconds = await timed(() => keycard.getMe());
  assert.ok(milliseconds > 500, `came back after ${milliseconds} ms`);
  assert.equal(network.count(REFRESH), 2);
  assert.equal(storage.load().pair.refresh_token, 'refresh-2');
});

test('a server that stays busy, or wants too long, is a problem that says when to come back', async () => {
  const busy = (seconds) => problem(429, 'too-many-requests', { 'Retry-After': String(seconds) });
  const patient = scripted([busy(0), busy(0), busy(0)]);
  await assert.rejects(patient.keycard.getMe(), (error) => isProblem(error, slugs.tooManyRequests) && error.retryAfter === 0);
  const hasty = scripted([busy(31)]);
  await assert.rejects(hasty.keycard.getMe(), (error) => isProblem(error, slugs.tooManyRequests) && error.retryAfter === 31);
  const bounded = scripted([busy(3)], { longestWait: 2 });
  await assert.rejects(bounded.keycard.getMe(), Problem);
  for (const { script } of [patient, hasty, bounded]) assert.equal(script.length, 0);
});

test('unknown kinds of problems, fields and enum values do no harm', async () => {
  const { keycard } = scripted([
    problem(418, 'teapot'),
    json({ username: 'ada', status: 'hibernating', shoe_size: 42 }),
    json({ items: [{ id: '1', type: 'moved_house' }], next_cursor: null }),
  ]);
  await assert.rejects(keycard.getMe(), (error) => isProblem(error, 'teapot') && error.status === 418);
  assert.deepEqual(await keycard.getMe(), { username: 'ada', status: 'hibernating', shoe_size: 42 });
  assert.equal((await keycard.listMyEvents()).items[0].type, 'moved_house');
});

test('what is no problem document is a problem all the same', async () => {
  const html = (status) => new Response('<h1>Sorry</h1>', { status, headers: { 'Content-Type': 'text/html' } });
  const { keycard, storage } = scripted([html(502), html(200), problem(401, 'wrong-password'), new TypeError('fetch failed')]);
  await assert.rejects(keycard.getMe(), (error) => error.slug === 'about:blank' && error.status === 502);
  await assert.rejects(keycard.getMe(), (error) => error instanceof Problem && error.status === 200);
  await assert.rejects(keycard.getMe(), (error) => isProblem(error, slugs.wrongPassword));
  await assert.rejects(keycard.getMe(), TypeError);
  assert.deepEqual(storage.load().pair, PAIR);
});

test('a call is replayed once, not for ever', async () => {
  const revoked = () => problem(401, 'token-revoked');
  const next = json({ ...PAIR, access_token: 'access-2', refresh_token: 'refresh-2' });
  const { keycard, network } = scripted([revoked(), next, revoked()]);
  await assert.rejects(keycard.getMe(), (error) => isProblem(error, slugs.tokenRevoked));
  assert.equal(network.sent.length, 3);
});

test('each answer that ends a session clears the storage, and no other does', async () => {
  const over = ['refresh-token-reused', 'session-ended', 'token-revoked', 'token-expired', 'invalid-token', 'account-suspended'];
  for (const slug of over) {
    const { keycard, storage } = scripted([problem(slug === 'account-suspended' ? 403 : 401, slug)], { expired: true });
    await assert.rejects(keycard.getMe(), (error) => isProblem(error, slug));
    assert.equal(storage.load(), undefined, slug);
  }
  for (const answer of [problem(403, 'csrf-failed'), problem(400, 'malformed-request'), problem(403, 'teapot')]) {
    const { keycard, storage } = scripted([answer], { expired: true });
    await assert.rejects(keycard.getMe(), Problem);
    assert.deepEqual(storage.load().pair, PAIR);
  }
});

test('a refresh that is only early may fail: the access token is good for a little longer', async () => {
  const away = () => new TypeError('fetch failed');
  const { keycard, storage, network } = scripted([away(), away(), away(), json({ username: 'ada' })]);
  const early = { pair: PAIR, expiresAt: Date.now() + 10_000 };
  storage.save(early);
  assert.equal((await keycard.getMe()).username, 'ada');
  assert.equal(network.count(REFRESH), 3);
  assert.deepEqual(storage.load(), early);
});

test('signing out clears the storage also when the server cannot be reached', async () => {
  const { keycard, storage } = scripted([new TypeError('fetch failed')]);
  await assert.rejects(keycard.logout(), TypeError);
  assert.equal(storage.load(), undefined);
});

/** Never answers. */
const silence = ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

test('a request that takes too long ends; of a refresh that is a lost answer', async () => {
  const next = json({ ...PAIR, access_token: 'access-2' });
  const { keycard, network, storage } = scripted([silence, silence, next, json({}), silence], { expired: true, timeout: 50 });
  await keycard.getMe();
  assert.equal(network.count(REFRESH), 3);
  assert.equal(storage.load().pair.access_token, 'access-2');
  await assert.rejects(keycard.live(), { name: 'TimeoutError' });
});

test('a lost refresh is tried again soon enough: two tries of 3 seconds, and the last as long as any request', async (context) => {
  const limits = context.mock.method(AbortSignal, 'timeout');
  const lost = () => new Response('', { status: 502 });
  const { keycard, network } = scripted([lost(), lost(), lost()], { expired: true });
  await assert.rejects(keycard.getMe(), Problem);
  assert.equal(network.count(REFRESH), 3);
  assert.deepEqual(limits.mock.calls.map((call) => call.arguments[0]), [3_000, 3_000, 30_000]);
});

test('after a lost answer a refresh does not wait: that could outlast the grace window', async () => {
  const busy = problem(503, 'service-unavailable', { 'Retry-After': '1' });
  const { keycard, network, storage } = scripted([new Response('', { status: 502 }), busy], { expired: true });
  await assert.rejects(keycard.getMe(), (error) => isProblem(error, slugs.serviceUnavailable));
  assert.equal(network.count(REFRESH), 2);
  assert.ok(storage.load());
});

test('a signal of the caller ends the call, and not the refresh that others wait for', async () => {
  const { keycard, storage } = scripted([json({ ...PAIR, access_token: 'access-2' }), silence], { expired: true });
  await assert.rejects(keycard.getMe({ signal: AbortSignal.timeout(50) }), { name: 'TimeoutError' });
  assert.equal(storage.load().pair.access_token, 'access-2');
});

test('signing in or out while a refresh is under way wins over what the refresh brings', async () => {
  const other = { ...PAIR, session_id: 'another', access_token: 'access-3', refresh_token: 'refresh-3' };
  const late = (answer) => () => new Promise((resolve) => setTimeout(resolve, 50, answer));
  for (const answer of [problem(401, 'session-ended'), json({ ...PAIR, access_token: 'access-2' })]) {
    const { keycard, network, storage } = scripted([late(answer), json(other), json({ username: 'ada' })], { expired: true });
    const waiting = keycard.getMe();
    while (network.count(REFRESH) === 0) await new Promise(setImmediate);
    await keycard.login({ body: { username: 'ada', password: 'x' } });
    assert.equal((await waiting).username, 'ada');
    assert.deepEqual(storage.load().pair, other);
  }
  const left = [late(json(PAIR)), new Response(null, { status: 204 }), problem(401, 'authentication-required')];
  const { keycard, network, storage } = scripted(left, { expired: true });
  const waiting = keycard.getMe();
  while (network.count(REFRESH) === 0) await new Promise(setImmediate);
  await keycard.logout();
  await assert.rejects(waiting, (error) => isProblem(error, slugs.authenticationRequired));
  assert.equal(storage.load(), undefined);
});
