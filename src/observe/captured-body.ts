/**
 * A body that is copied as it passes, from its beginning and as far as there is room.
 *
 * Invariant: it counts all that passes. What it keeps has no hole: once something did not fit, nothing more is kept.
 * Limits: bytesMax, and whatever `reserve` refuses.
 */

/** What can be read of a body. */
export interface CapturedBody {
  /** The first part of it. */
  readonly content: Buffer;
  /** All that passed. */
  readonly bytes: number;
  /** Whether its end was seen. */
  readonly isWhole: boolean;
  readonly trailers: readonly string[];
}

const NOTHING = Buffer.alloc(0);
// Most bodies that are captured are small; from here on memory doubles.
const BYTES_MIN = 512;

export class GrowingBody implements CapturedBody {
  bytes = 0;
  isWhole = false;
  trailers: readonly string[] = [];
  readonly #bytesMax: number;
  readonly #reserve: (bytes: number) => boolean;
  #memory = NOTHING;
  #keptBytes = 0;
  #isFull = false;

  /** @param reserve asks for memory; false: there is none */
  constructor(bytesMax: number, reserve: (bytes: number) => boolean) {
    this.#bytesMax = bytesMax;
    this.#reserve = reserve;
  }

  get content(): Buffer {
    return this.#memory.subarray(0, this.#keptBytes);
  }

  add(payload: Buffer): void {
    this.bytes += payload.length;
    if (this.#isFull) return;
    const wanted = Math.min(this.#keptBytes + payload.length, this.#bytesMax);
    if (wanted > this.#memory.length && !this.#grow(wanted)) {
      this.#isFull = true;
      return;
    }
    payload.copy(this.#memory, this.#keptBytes, 0, wanted - this.#keptBytes);
    this.#keptBytes = wanted;
    this.#isFull = this.bytes > wanted;
  }

  finish(trailers: readonly string[]): void {
    this.isWhole = true;
    this.trailers = trailers;
  }

  #grow(wanted: number): boolean {
    const size = Math.min(Math.max(wanted, this.#memory.length * 2, BYTES_MIN), this.#bytesMax);
    if (!this.#reserve(size - this.#memory.length)) return false;
    // Not from the pool of small buffers, which would be held by what is left of it here.
    const memory = Buffer.allocUnsafeSlow(size);
    this.#memory.copy(memory);
    this.#memory = memory;
    return true;
  }
}
