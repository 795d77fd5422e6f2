/**
 * A message to the bytes of one frame: 4-byte big-endian length, then the protobuf body (protocol.md 1).
 *
 * Limits: frameBytesMax.
 */
import { fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { encodeMessage } from './codec.ts';
import type { Message } from './message.ts';

/** The frame of a message. Throws FRAME_TOO_LARGE rather than send what every peer would drop. */
export const encodeFrame = (message: Message): Buffer => {
  const body = encodeMessage(message);
  if (body.length > LIMITS.frameBytesMax) throw fail('FRAME_TOO_LARGE', { limit: LIMITS.frameBytesMax });
  const frame = Buffer.allocUnsafe(4 + body.length);
  frame.writeUInt32BE(body.length);
  frame.set(body, 4);
  return frame;
};
