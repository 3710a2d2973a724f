// Where the tokens of a session are held.

import type { TokenPair } from './generated/types.gen.js';

/** What the client holds of a session. Which tokens are in the pair depends on the delivery. */
export interface Tokens {
  /** As the server gave it. */
  pair: TokenPair;
  /** When the access token expires, in milliseconds since 1970: a monotonic clock may stand still while a machine sleeps. */
  expiresAt: number;
}

/** Keep the tokens wherever you like; a storage that is shared makes one session of several clients. */
export interface TokenStorage {
  load(): Tokens | undefined | Promise<Tokens | undefined>;
  save(tokens: Tokens): void | Promise<void>;
  clear(): void | Promise<void>;
  /** Run one refresh at a time among all who share the storage; after waiting for another, `load` must see what it saved. */
  exclusively?<T>(refresh: () => Promise<T>): Promise<T>;
}

/** Tokens that end with the process or the page. */
export class MemoryStorage implements TokenStorage {
  #tokens: Tokens | undefined;

  load(): Tokens | undefined {
    return this.#tokens;
  }

  save(tokens: Tokens): void {
    this.#tokens = tokens;
  }

  clear(): void {
    this.#tokens = undefined;
  }
}

// A message and a lock reach another tab on different ways. The lock is kept so much longer than the refresh takes that the
// message is there first; and whoever had to wait for the lock waits for the message too, should it be slower all the same.
const LINGER_MS = 100;
const NEWS_MS = 1000;

/**
 * What the tabs of one origin share in hybrid and cookie delivery.
 *
 * Access tokens stay in the memory of the pages and go from tab to tab in messages. Only what a script may keep is written down,
 * so that a page that is loaded again finds its session: the CSRF value and when the access token expires.
 */
export class SharedStorage implements TokenStorage {
  readonly #name: string;
  readonly #channel: BroadcastChannel;
  /** Null: signed out, here or in another tab. Undefined: nothing heard yet since the page was loaded. */
  #tokens: Tokens | null | undefined;
  #onNews = new Set<() => void>();
  #news = 0;

  /** name: the same in all tabs that share a session. */
  constructor(name: string) {
    this.#name = name;
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = (message: MessageEvent<Tokens | null>) => {
      this.#tokens = message.data;
      this.#news += 1;
      for (const wake of this.#onNews) wake();
    };
  }

  load(): Tokens | undefined {
    if (this.#tokens !== undefined) return this.#tokens ?? undefined;
    const written = localStorage.getItem(this.#name);
    return written === null ? undefined : (JSON.parse(written) as Tokens);
  }

  save(tokens: Tokens): void {
    this.#tokens = tokens;
    const { access_token: _, refresh_token: __, ...pair } = tokens.pair;
    localStorage.setItem(this.#name, JSON.stringify({ ...tokens, pair }));
    this.#channel.postMessage(tokens);
  }

  clear(): void {
    this.#tokens = null;
    localStorage.removeItem(this.#name);
    this.#channel.postMessage(null);
  }

  async exclusively<T>(refresh: () => Promise<T>): Promise<T> {
    if (!globalThis.navigator?.locks) return refresh(); // not a secure context: the grace window of the server helps
    return new Promise<T>((resolve, reject) => {
      const run = async () => {
        await refresh().then(resolve, reject);
        await new Promise((done) => setTimeout(done, LINGER_MS));
      };
      void this.#locked(run).catch(reject);
    });
  }

  async #locked(run: () => Promise<void>): Promise<void> {
    const before = this.#news;
    const free = await navigator.locks.request(this.#name, { ifAvailable: true }, async (lock) => {
      if (lock) await run();
      return lock !== null;
    });
    if (free) return;
    await navigator.locks.request(this.#name, async () => {
      if (this.#news === before) await this.#anyNews();
      await run();
    });
  }

  /** Wait for a message of another tab, but not for ever: its refresh may have failed. */
  #anyNews(): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#onNews.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, NEWS_MS);
      this.#onNews.add(wake);
    });
  }
}
