/**
 * Opening TCP connections, and saying why they failed.
 *
 * Invariant: a socket from here never raises an unheard error; whoever needs its fault reads `errored`.
 */
import { connect, type Socket } from 'node:net';
import { fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';

/** A host name or IP address, and a port. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** A socket that connects, trying every address of the host, and keeps its writing half open when the peer ends. */
export const startTcp = ({ host, port }: Address): Socket => {
  const keepAlive = { keepAlive: true, keepAliveInitialDelay: LIMITS.keepAliveMs };
  const socket = connect({ host, port, allowHalfOpen: true, noDelay: true, ...keepAlive });
  socket.on('error', () => {});
  return socket;
};

/** Waits for a socket towards an upstream to be connected. Rejects with UPSTREAM_UNREACHABLE. */
export const upstreamConnected = async (clock: Clock, socket: Socket): Promise<void> => {
  const timer = clock.after(LIMITS.upstreamConnectMsMax, () => socket.destroy());
  await eventOf(socket, 'connect');
  timer.cancel();
  requireOpen(socket, `no connection within ${LIMITS.upstreamConnectMsMax / 1000} seconds`);
};

/**
 * Checks that a socket towards an upstream has not closed.
 * @param otherwise why it has, where no fault says so
 * @throws UPSTREAM_UNREACHABLE
 */
export const requireOpen = ({ destroyed, errored }: Socket, otherwise: string): void => {
  if (destroyed) throw fail('UPSTREAM_UNREACHABLE', { reason: errored ? reasonOf(errored) : otherwise });
};

/** Resolves at the event, or when the socket ends or closes before it. */
export const eventOf = (socket: Socket, event: 'connect' | 'secureConnect' | 'readable'): Promise<void> =>
  new Promise((resolve) => {
    const events = [event, 'end', 'close'];
    const settle = () => {
      for (const name of events) socket.off(name, settle);
      resolve();
    };
    for (const name of events) socket.on(name, settle);
  });

/** Why a socket failed, for people: OpenSSL's reason, the system's code, or the message. */
export const reasonOf = (fault: Error | null): string => {
  if (!fault) return 'the connection was closed';
  const { reason, syscall, code } = fault as NodeJS.ErrnoException & { reason?: string };
  // When several addresses were tried the error holds one for each, and has a code but no message.
  return reason ?? (((syscall || !fault.message) && code) || fault.message);
};
