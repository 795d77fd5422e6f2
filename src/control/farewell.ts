/**
 * The polite end of an agent connection.
 *
 * Closing at once with unread bytes in the socket makes the kernel reset the connection, and the reset overtakes the last frame: an
 * agent would never read why it was refused. So the last frame goes out, what still comes in is thrown away, and the socket closes
 * when the agent has closed its side.
 * Limits: channelCloseMsMax.
 */
import type { Duplex } from 'node:stream';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';
import { encodeFrame } from '../wire/frame-writer.ts';
import type { Message } from '../wire/message.ts';

/** Sends the last message, if there is one, and sees the connection to its end. */
export const sayFarewell = (socket: Duplex, clock: Clock, last?: Message): void => {
  if (socket.destroyed) return;
  if (last) socket.end(encodeFrame(last));
  else socket.end();
  socket.resume();
  const timer = clock.after(LIMITS.channelCloseMsMax, () => socket.destroy());
  socket.once('close', timer.cancel);
};
