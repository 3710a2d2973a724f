import { Operations } from './generated/sdk.gen.js';
import { Session, type SessionOptions } from './session.js';

/** Every operation of the document is a method; each returns the data of the answer or throws a `Problem`. */
export class Keycard extends Operations {
  /** baseUrl: where the service answers, without a path. */
  constructor(baseUrl: string, options?: SessionOptions) {
    super({ client: new Session(baseUrl, options).client });
  }
}

export type * from './generated/types.gen.js';
export { document } from './generated/stamp.gen.js';
export { isProblem, Problem, type Slug, slugs } from './problems.js';
export { type Delivery, responseOf, type SessionOptions } from './session.js';
export { MemoryStorage, SharedStorage, type Tokens, type TokenStorage } from './storage.js';
