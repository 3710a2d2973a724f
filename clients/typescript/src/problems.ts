// Problems (RFC 9457) as errors.

import type { InputError } from './generated/types.gen.js';
import { slugs } from './generated/slugs.gen.js';

export { slugs };

/** The slugs that this version knows; a newer server may send others. */
export type Slug = (typeof slugs)[keyof typeof slugs];

/**
 * The server refused, or could not answer.
 *
 * An answer that is no problem of Keycard's, such as the HTML page of a proxy, has the type and slug `about:blank`.
 */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly type: string;
  readonly slug: Slug | (string & {});
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly requestId: string | undefined;
  /** Which input was wrong; empty where the input is not to blame. */
  readonly errors: InputError[];
  /** Seconds to wait before trying again, where the server says so. */
  readonly retryAfter: number | undefined;

  /** body: the parsed JSON of the answer, or its text. */
  constructor(response: Response, body: unknown) {
    const members = isRecord(body) ? body : {};
    const title = text(members.title) ?? 'Unexpected answer';
    const detail = text(members.detail) ?? title;
    super(`${response.status} ${detail}`);
    this.type = text(members.type) ?? 'about:blank';
    this.slug = this.type.slice(this.type.lastIndexOf('/') + 1);
    this.title = title;
    this.status = response.status;
    this.detail = detail;
    this.requestId = text(members.request_id) ?? response.headers.get('X-Request-ID') ?? undefined;
    this.errors = Array.isArray(members.errors) ? members.errors : [];
    this.retryAfter = retryAfter(response);
  }
}

/** Whether it is a problem, and of this kind: `isProblem(error, slugs.wrongPassword)`. */
export function isProblem(error: unknown, slug?: Slug | (string & {})): error is Problem {
  return error instanceof Problem && (slug === undefined || error.slug === slug);
}

/** Seconds until the server wants to be asked again: a number or a date (RFC 9110, section 10.2.3). */
export function retryAfter(response: Response): number | undefined {
  const value = response.headers.get('Retry-After');
  if (value === null) return undefined;
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? undefined : Math.max(0, seconds);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
