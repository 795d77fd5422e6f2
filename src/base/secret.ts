/**
 * Secrets that cannot be printed by accident, and the few things one does with them.
 *
 * Invariant: a Secret shows as `***` in strings, JSON, logs and inspection; only `reveal()` gives its text.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { inspect } from 'node:util';

const MASK = '***';

/** A text that must not reach a log, URL, page or error. */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** The text itself; call it only where the secret is used. */
  reveal(): string {
    return this.#text;
  }

  /** Compares in time that does not depend on where the texts differ. */
  equals(other: string): boolean {
    return timingSafeEqual(sha256(this.#text), sha256(other));
  }

  toString(): string {
    return MASK;
  }

  toJSON(): string {
    return MASK;
  }

  [inspect.custom](): string {
    return MASK;
  }
}

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

/** SHA-256 in lower-case hex: how tokens, keys and certificates are stored and looked up. */
export const sha256Hex = (text: string | Buffer): string => createHash('sha256').update(text).digest('hex');
