/**
 * Reads exactly one message from a new agent connection.
 *
 * Invariant: the bytes behind the message are back in the socket, which is paused: for a stream they are payload (protocol.md 6.3),
 * and for a control channel the next frames.
 * Limits: firstMessageMsMax, frameBytesMax.
 */
import type { Duplex } from 'node:stream';
import { fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';
import { createFrameReader } from '../wire/frame-reader.ts';
import type { Message } from '../wire/message.ts';

/**
 * @returns undefined when the peer went away without a message, as `rstream doctor` does
 * @throws HANDSHAKE_TIMEOUT, FRAME_TOO_LARGE, FRAME_MALFORMED
 */
export const readFirstMessage = (socket: Duplex, clock: Clock): Promise<Message | undefined> =>
  new Promise((resolve, reject) => {
    if (socket.destroyed) return resolve(undefined);
    const reader = createFrameReader();
    const leave = () => {
      timer.cancel();
      socket.pause();
      socket.off('data', onData).off('end', onGone).off('close', onGone);
    };
    const onGone = () => {
      leave();
      resolve(undefined);
    };
    const onFault = (fault: unknown) => {
      leave();
      reject(fault);
    };
    const onData = (chunk: Buffer) => {
      try {
        reader.push(chunk);
        const message = reader.next();
        if (!message) return;
        // In this very turn: after 'end' nothing can be put back.
        leave();
        const rest = reader.rest();
        if (rest.length > 0) socket.unshift(rest);
        resolve(message);
      } catch (fault) {
        onFault(fault);
      }
    };
    const timer = clock.after(LIMITS.firstMessageMsMax, () => onFault(fail('HANDSHAKE_TIMEOUT')));
    socket.on('data', onData).on('end', onGone).on('close', onGone);
    socket.resume();
  });
