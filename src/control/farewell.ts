/**
 * The polite end of an agent connection.
 *
 * Closing at once with unread bytes in the socket makes the kernel reset the connection, and the reset overtakes the last frame: an
 * agent would never read why it was refused. So the last frame goes out, what still comes in is thrown away, and the socket closes
 * when the agent has closed its side. Whoever still works on something for us (an agent on a dial request) may be left to end first:
 * TLS stacks such as asyncio's cannot write any more once they have read our end, and take a goodbye for a loss.
 * Limits: channelCloseMsMax.
 */
import type { Duplex } from 'node:stream';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';
import { encodeFrame } from '../wire/frame-writer.ts';
import type { Message } from '../wire/message.ts';

export interface FarewellOptions {
  /** Sent before the end, where there is something to say. */
  readonly last?: Message | undefined;
  /** How long the agent is left to end first; 0 ends at once. */
  readonly patienceMs?: number;
}

/** Sends the last message, if there is one, and sees the connection to its end. */
export const sayFarewell = (
  socket: Duplex,
  clock: Clock,
  { last, patienceMs = 0 }: FarewellOptions = {},
): void => {
  if (socket.destroyed) return;
  const end = () => void socket.end();
  if (last) socket.write(encodeFrame(last));
  const patience = patienceMs > 0 && !socket.readableEnded ? clock.after(patienceMs, end) : undefined;
  if (!patience) end();
  socket.once('end', end).resume();
  const deadline = clock.after(LIMITS.channelCloseMsMax, () => socket.destroy());
  socket.once('close', () => {
    patience?.cancel();
    deadline.cancel();
  });
};
