/**
 * How a pipe ends that must not look whole.
 *
 * Flow: the relays of the engine and of the agent, and whoever cuts streams, call it; socket/reset.ts gives TLS sockets the reset of the
 * connection below them.
 * Invariant: what breaks reaches the other end as a reset wherever there is one to send. A close is the end of the bytes for a TCP peer,
 * and for most TLS libraries as well, which pass over a missing close_notify: half a file would be taken for the file.
 */
import type { Duplex } from 'node:stream';

/** A socket can say that it breaks off; whatever cannot is destroyed, and has its own way of saying so there. */
export type Resettable = Duplex & { readonly connecting?: boolean; resetAndDestroy?(): unknown };

/** Ends it at once, and drops what it has not sent; 'close' follows. Safe to repeat. */
export const breakOff = (socket: Resettable): void => {
  // A reset would wait for a connection that may never be.
  if (!socket.resetAndDestroy || socket.connecting || socket.destroyed || isEnding(socket)) socket.destroy();
  else socket.resetAndDestroy();
};

/**
 * Whether everything has been handed to the system and the end is on its way behind it. Node cannot reset in that moment: it would lose
 * the handle, the socket would never close, and nothing is left to be taken back.
 */
export const isEnding = ({ writableEnded, writableFinished, writableLength }: Duplex): boolean =>
  writableEnded && !writableFinished && writableLength === 0;
