// Two tabs, whose messages are slower than their locks. A real browser shows this only now and then (tests/clients/test_browser_sdk.py).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isProblem, Keycard, SharedStorage, slugs } from 'keycard-client';
import { json, problem, REFRESH, wire } from './wire.js';

const PAIR = { token_type: 'Bearer', expires_in: 900, session_id: 's', delivery: 'hybrid', csrf_token: 'csrf', refresh_expires_in: 604800 };
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

class LocalStorage {
  getItem = (name) => this[name] ?? null;
  setItem = (name, value) => void (this[name] = value);
  removeItem = (name) => void delete this[name];
}

/** Two tabs of one signed-in browser, with access tokens just expired. delay: of a message, in milliseconds. */
function twoTabs(context, { delay, refresh }) {
  const channels = [];
  class SlowChannel {
    constructor() {
      channels.push(this);
    }
    postMessage(data) {
      for (const other of channels) if (other !== this) setTimeout(() => other.onmessage({ data }), delay).unref();
    }
  }
  const real = globalThis.BroadcastChannel;
  globalThis.BroadcastChannel = SlowChannel;
  Object.defineProperty(globalThis, 'localStorage', { value: new LocalStorage(), configurable: true, writable: true });
  context.after(() => void (globalThis.BroadcastChannel = real));
  let number = 0;
  const network = wire(async (request) => {
    await sleep(20);
    if (!request.url.endsWith('/refresh')) return json({ token: request.headers.get('Authorization') });
    number += 1;
    return refresh?.(number) || json({ ...PAIR, access_token: `access-${number}` });
  });
  const name = `keycard ${crypto.randomUUID()}`;
  localStorage.setItem(name, JSON.stringify({ pair: PAIR, expiresAt: Date.now() - 1 }));
  const tabs = [1, 2].map(() => new Keycard('http://keycard.invalid', { delivery: 'hybrid', storage: new SharedStorage(name), fetch: network.fetch }));
  return { tabs, network, name };
}

const tokens = (tabs) => Promise.all(tabs.map(async (tab) => (await tab.getMe()).token));

test('the second tab waits for the message of the first, which is slower than the lock', async (context) => {
  const { tabs, network, name } = twoTabs(context, { delay: 400 });
  assert.deepEqual(await tokens(tabs), ['Bearer access-1', 'Bearer access-1']);
  assert.equal(network.count(REFRESH), 1);
  assert.ok(!localStorage.getItem(name).includes('access-1'));
});

test('a tab that comes when the other has just refreshed uses what that one obtained', async (context) => {
  const { tabs, network } = twoTabs(context, { delay: 50 });
  await tabs[0].getMe();
  assert.deepEqual(await tokens([tabs[1]]), ['Bearer access-1']);
  assert.equal(network.count(REFRESH), 1);
});

test('a message that never comes is not waited for without end', async (context) => {
  const { tabs, network } = twoTabs(context, { delay: 60_000 });
  const started = performance.now();
  assert.deepEqual(await tokens(tabs), ['Bearer access-1', 'Bearer access-2']);
  assert.ok(performance.now() - started < 3000);
  assert.equal(network.count(REFRESH), 2);
});

test('a refresh that fails in one tab is tried by the other', async (context) => {
  const { tabs, network } = twoTabs(context, { delay: 1, refresh: (number) => number === 1 && problem(403, 'csrf-failed') });
  const [first, second] = await Promise.allSettled(tabs.map((tab) => tab.getMe()));
  assert.ok(isProblem(first.reason, slugs.csrfFailed));
  assert.equal(second.value.token, 'Bearer access-2');
  assert.equal(network.count(REFRESH), 2);
});

test('a session that is over in one tab is over in the other', async (context) => {
  const { tabs, network, name } = twoTabs(context, { delay: 1, refresh: () => problem(401, 'session-ended') });
  await assert.rejects(tabs[0].getMe(), (error) => isProblem(error, slugs.sessionEnded));
  await sleep(20);
  assert.equal((await tabs[1].getMe()).token, null);
  assert.equal(network.count(REFRESH), 1);
  assert.equal(localStorage.getItem(name), null);
});

test('without locks each tab refreshes for itself', async (context) => {
  const { tabs, network } = twoTabs(context, { delay: 1 });
  context.mock.getter(globalThis.navigator, 'locks', () => undefined);
  assert.deepEqual((await tokens(tabs)).toSorted(), ['Bearer access-1', 'Bearer access-2']);
  assert.equal(network.count(REFRESH), 2);
});
