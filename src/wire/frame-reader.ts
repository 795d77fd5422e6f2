/**
 * Bytes to messages: the reading half of the frame protocol (protocol.md 1), without a socket.
 *
 * Flow: the owner of the socket pushes each chunk and then pulls messages until there is none. Who needs the first message only pulls
 * once and takes `rest()`: what follows it is stream payload and is never looked at.
 * Invariant: after a fault every further call throws that same fault; after `rest()` the reader is over.
 * Limits: frameBytesMax, checked before a byte of the body is kept.
 */
import { strict as assert } from 'node:assert';
import { type EngineError, engineErrorFrom, fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { decodeMessage } from './codec.ts';
import type { Message } from './message.ts';

const LENGTH_BYTES = 4;
const EMPTY = Buffer.alloc(0);
// A body that comes byte by byte then costs neither an object nor a copy of itself for each byte.
const CHUNKS_MAX = 64;

/** What the reader does with the next byte. */
type State =
  | { name: 'length' }
  | { name: 'body'; length: number }
  | { name: 'failed'; fault: EngineError }
  | { name: 'over' };

/** Made by {@link createFrameReader}. */
export interface FrameReader {
  /** Takes what the socket delivered. The chunk is kept until its bytes are read, and must not change. */
  push(chunk: Buffer): void;
  /** The next whole message, or undefined until more bytes come. Throws FRAME_TOO_LARGE or FRAME_MALFORMED. */
  next(): Message | undefined;
  /** Leaves framing: the bytes behind the last message. Legal only where one ended. */
  rest(): Buffer;
}

/** A reader at the start of a connection. */
export const createFrameReader = (): FrameReader => {
  let state: State = { name: 'length' };
  let pending: Buffer[] = [];
  let pendingBytes = 0;

  const join = (): Buffer => {
    const [first = EMPTY] = pending;
    const joined = pending.length > 1 ? Buffer.concat(pending, pendingBytes) : first;
    pending = [joined];
    return joined;
  };

  const take = (length: number): Buffer => {
    const joined = join();
    pendingBytes -= length;
    pending = pendingBytes > 0 ? [joined.subarray(length)] : [];
    return joined.subarray(0, length);
  };

  const advance = (): Message | undefined => {
    if (state.name === 'length') {
      if (pendingBytes < LENGTH_BYTES) return undefined;
      const length = take(LENGTH_BYTES).readUInt32BE();
      if (length > LIMITS.frameBytesMax) throw fail('FRAME_TOO_LARGE', { limit: LIMITS.frameBytesMax });
      state = { name: 'body', length };
    }
    if (state.name !== 'body' || pendingBytes < state.length) return undefined;
    const body = take(state.length);
    state = { name: 'length' };
    return decodeMessage(body);
  };

  return {
    push(chunk) {
      assert(state.name !== 'over', 'nothing may be pushed after rest()');
      if (state.name === 'failed' || chunk.length === 0) return;
      pending.push(chunk);
      pendingBytes += chunk.length;
      if (pending.length === CHUNKS_MAX) join();
    },
    next() {
      assert(state.name !== 'over', 'nothing may be read after rest()');
      if (state.name === 'failed') throw state.fault;
      try {
        return advance();
      } catch (thrown) {
        const fault = engineErrorFrom(thrown);
        state = { name: 'failed', fault };
        pending = [];
        pendingBytes = 0;
        throw fault;
      }
    },
    rest() {
      assert(state.name === 'length', 'rest() is legal only between frames');
      state = { name: 'over' };
      return pendingBytes > 0 ? take(pendingBytes) : EMPTY;
    },
  };
};
