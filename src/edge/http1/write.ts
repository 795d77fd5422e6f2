/** Writing to HTTP/1.1 connections in as few TLS records and system calls as the data allows. */
import type { Duplex } from 'node:stream';

// One TLS record holds 16 KiB; below that a copy is cheaper than a second record and system call.
const JOIN_BYTES_MAX = 16_384;

/**
 * Writes what stands before a piece of body, the piece, and what stands behind it.
 * @param before latin1 text: a head, the size of a chunk; '' for none
 * @param after latin1 text
 * @returns false when the peer should be given time to drain
 */
export const writeAround = (socket: Duplex, before: string, body: Buffer, after = ''): boolean => {
  if (before === '' && after === '') return socket.write(body);
  const bodyEnd = before.length + body.length;
  if (bodyEnd <= JOIN_BYTES_MAX) {
    const joined = Buffer.allocUnsafe(bodyEnd + after.length);
    joined.write(before, 'latin1');
    body.copy(joined, before.length);
    joined.write(after, bodyEnd, 'latin1');
    return socket.write(joined);
  }
  if (before !== '') socket.write(before, 'latin1');
  const isFlowing = socket.write(body);
  return after === '' ? isFlowing : socket.write(after, 'latin1');
};
