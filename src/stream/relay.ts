/**
 * Copies bytes both ways between a downstream and a stream.
 *
 * Flow: edge (CONNECT, upgrades, raw TLS and TCP) and control/private-dial.ts hand in two sockets and get the counts back.
 * Invariant: the end of one side ends only the writing of the other (protocol.md 6.4); an error or an early close of one breaks off the
 * other at once, so that half a transfer never looks like a whole one, and a whole one is never taken back; both are closed when the
 * promise resolves.
 * Limits: writeBufferBytesMax per direction, and the idle time; a relay has no other deadline.
 */
import type { Duplex } from 'node:stream';
import { breakOff } from '../base/break-off.ts';
import { fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';
import type { Pulse } from '../tunnel/tunnel.ts';
import { createSilenceWatch } from './silence.ts';

export interface RelayOptions {
  readonly clock: Clock;
  /** Without a byte in either direction for this long, the relay ends with STREAM_IDLE. */
  readonly idleMs: number;
  /** Moved with every byte of the second side, the agent's. */
  readonly pulse?: Pulse;
}

export interface RelayResult {
  readonly bytesAToB: number;
  readonly bytesBToA: number;
  /** The side that ended, closed or failed first. */
  readonly endedBy: 'a' | 'b';
  /** Whether it was more than both sides saying that they have sent everything. */
  readonly isBroken: boolean;
  /** The error that ended it; absent when both sides ended or one just closed. */
  readonly cause?: unknown;
}

interface Direction {
  readonly bytes: number;
  /** Whether everything of `from` has been read. */
  readonly isEnded: boolean;
}

/** Copies one way. `onData` is called for bytes that came, `onDrain` when waiting ones have left, `onEnd` when `from` has no more. */
const copy = (
  from: Duplex,
  to: Duplex,
  onData: () => void,
  onDrain: () => void,
  onEnd: () => void,
): Direction => {
  let bytes = 0;
  let isEnded = from.readableEnded;
  const end = () => {
    isEnded = true;
    onEnd();
    to.end();
  };
  if (isEnded) end();
  from.on('data', (chunk: Buffer) => {
    if (to.destroyed) return;
    bytes += chunk.length;
    onData();
    // Node 20 asks for a pause above 16 KiB, which is one TLS record: too often to be cheap. A false return promises a 'drain'.
    if (!to.write(chunk) && to.writableLength > LIMITS.writeBufferBytesMax) from.pause();
  });
  from.on('end', end);
  to.on('drain', () => {
    onDrain();
    if (from.isPaused()) from.resume();
  });
  from.resume();
  return {
    get bytes() {
      return bytes;
    },
    get isEnded() {
      return isEnded;
    },
  };
};

/** Resolves when both sides are closed; never rejects. */
export const relay = (a: Duplex, b: Duplex, { clock, idleMs, pulse }: RelayOptions): Promise<RelayResult> =>
  new Promise((resolve) => {
    let cause: unknown;
    let endedBy: 'a' | 'b' | undefined;
    let isBroken = false;
    let openCount = 2;
    const noteEnd = (side: 'a' | 'b') => {
      endedBy ??= side;
    };
    const destroy = (reason?: unknown) => {
      cause ??= reason;
      isBroken = true;
      breakOff(a);
      breakOff(b);
    };
    /**
     * A side has failed. Whoever has been sent all of it, with its end, may still be reading: a reset would take that back. What it says
     * itself reaches nobody any more, but is read, as the system makes a reset of a close over unread bytes.
     */
    const lose = (lost: Direction, other: Duplex, reason: unknown) => {
      if (!lost.isEnded) return destroy(reason);
      cause ??= reason;
      isBroken = true;
      other.resume();
      if (other.writableFinished) other.destroy();
      else other.once('finish', () => other.destroy());
    };
    const watch = createSilenceWatch(clock, idleMs, () =>
      destroy(fail('STREAM_IDLE', { seconds: idleMs / 1_000 })),
    );
    const heard = pulse
      ? () => {
          pulse.atMs = watch.touch();
        }
      : watch.touch;
    const aToB = copy(a, b, watch.touch, watch.touch, () => noteEnd('a'));
    const bToA = copy(b, a, heard, watch.touch, () => noteEnd('b'));

    const closed = (side: 'a' | 'b', socket: Duplex, direction: Direction) => {
      noteEnd(side);
      if (!isBroken && (!direction.isEnded || !socket.writableFinished)) destroy();
      openCount -= 1;
      if (openCount > 0) return;
      watch.cancel();
      const counts = { bytesAToB: aToB.bytes, bytesBToA: bToA.bytes, endedBy: endedBy ?? side, isBroken };
      resolve(cause === undefined ? counts : { ...counts, cause });
    };
    const follow = (side: 'a' | 'b', socket: Duplex, direction: Direction, other: Duplex) => {
      socket.on('error', (error) => {
        noteEnd(side);
        lose(direction, other, error);
      });
      if (socket.closed) closed(side, socket, direction);
      else socket.once('close', () => closed(side, socket, direction));
    };
    follow('a', a, aToB, b);
    follow('b', b, bToA, a);
  });
