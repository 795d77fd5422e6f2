/**
 * Two ends of an in-memory connection that behaves like TCP: it keeps order and back-pressure, closes each direction by itself, and a
 * side that is destroyed before it has ended resets the other.
 */
import { Duplex } from 'node:stream';

class Side extends Duplex {
  other!: Side;
  #resume: (() => void) | undefined;

  override _read(): void {
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    if (this.other.destroyed) done(new Error('write to a closed connection'));
    else if (this.other.push(chunk)) process.nextTick(done);
    else this.other.#resume = done;
  }

  override _final(done: () => void): void {
    if (!this.other.destroyed) this.other.push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (!this.writableFinished) process.nextTick(() => this.other.destroy(new Error('connection reset')));
    this.#resume?.();
    done(error);
  }
}

/** @param highWaterMark bytes that each end buffers before it pushes back */
export const createDuplexPair = (highWaterMark = 16_384): [Duplex, Duplex] => {
  const [a, b] = [new Side({ highWaterMark }), new Side({ highWaterMark })];
  a.other = b;
  b.other = a;
  // As on every socket of the engine, 'close' tells of the end; an unheard 'error' would end the test process.
  for (const side of [a, b]) side.on('error', () => {});
  return [a, b];
};
