/**
 * Reads what a connection begins with, and leaves the rest in the socket, so that it can still become anything.
 *
 * Flow: peek.ts reads a ClientHello with it and puts all of it back; proxy-header.ts reads a PROXY header and puts back what follows.
 * Invariant: afterwards the socket is paused and free of our listeners.
 * Limits: a deadline (handed in); bytes are for the parser to bound.
 */
import type { Socket } from 'node:net';
import { type ErrorCode, fail } from '../base/errors.ts';
import type { Clock } from '../base/time.ts';

/** What to read, and how. */
export interface Opening<Result> {
  /** Takes what has arrived; gives the result once it is complete, and throws when it never will be. */
  push(chunk: Buffer): Result | undefined;
  /** What the socket gets back once the result is there. */
  returned(): Buffer;
  readonly msMax: number;
  /** The error of a peer that takes longer. */
  readonly lateCode: ErrorCode;
}

/**
 * Waits for a whole opening.
 * @returns undefined when the peer left before it was complete, as health checks do
 * @throws the opening's `lateCode`, and whatever its `push` throws
 */
export const readOpening = <Result>(
  socket: Socket,
  clock: Clock,
  { push, returned, msMax, lateCode }: Opening<Result>,
): Promise<Result | undefined> =>
  new Promise((resolve, reject) => {
    const settle = () => {
      deadline.cancel();
      socket.off('data', socketOnData).off('end', socketOnGone).off('error', socketOnGone);
      socket.off('close', socketOnGone).pause();
    };
    const refuse = (error: unknown) => {
      settle();
      reject(error);
    };
    const socketOnData = (chunk: Buffer) => {
      let result: Result | undefined;
      try {
        result = push(chunk);
      } catch (error) {
        return refuse(error);
      }
      if (!result) return;
      settle();
      const bytes = returned();
      if (bytes.length > 0) socket.unshift(bytes);
      resolve(result);
    };
    const socketOnGone = () => {
      settle();
      resolve(undefined);
    };

    const deadline = clock.after(msMax, () => refuse(fail(lateCode)));
    socket
      .on('data', socketOnData)
      .on('end', socketOnGone)
      .on('error', socketOnGone)
      .on('close', socketOnGone);
    // It may have been paused behind an opening before this one, perhaps with bytes in it, or have gone meanwhile.
    socket.resume();
    if (socket.destroyed || socket.readableEnded) socketOnGone();
  });
