/** Writing to HTTP/1.1 connections in as few TLS records and system calls as the data allows. */
import type { Duplex } from 'node:stream';

// One TLS record holds 16 KiB; below that a copy is cheaper than a second record and system call.
const JOIN_BYTES_MAX = 16_384;

/**
 * Writes a head and the body bytes behind it.
 * @param head latin1 text, '' for none
 * @returns false when the peer should be given time to drain
 */
export const writeHeadAndBody = (socket: Duplex, head: string, body: Buffer | undefined): boolean => {
  if (body === undefined) return socket.write(head, 'latin1');
  if (head === '') return socket.write(body);
  if (head.length + body.length <= JOIN_BYTES_MAX) {
    const joined = Buffer.allocUnsafe(head.length + body.length);
    joined.write(head, 'latin1');
    body.copy(joined, head.length);
    return socket.write(joined);
  }
  socket.write(head, 'latin1');
  return socket.write(body);
};
