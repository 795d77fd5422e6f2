/**
 * One port of a published TCP tunnel: accepts connections and hands them over as they are.
 *
 * Flow: edge/tcp-ports.ts opens one for each TCP tunnel; the engine's composition root passes `listenOnPort`.
 * Invariant: after `close` the system refuses connections at once; those that exist stay, they are their owner's.
 */
import { createServer, type Socket } from 'node:net';
import { canonicalAddress } from '../base/ip.ts';
import { LIMITS } from '../base/limits.ts';
import { bind } from './bind.ts';

/** Where a connection comes from and arrived. */
export interface PortConnection {
  /** Canonical (base/ip.ts). */
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localPort: number;
}

/** Takes over a socket: paused, half-close on. */
export type PortHandler = (socket: Socket, connection: PortConnection) => void;

/** A port that is listened on. */
export interface OpenPort {
  readonly port: number;
  close(): void;
}

/**
 * Listens on a port.
 * @param host '' or '::' is every address
 * @throws ADDRESS_IN_USE, ADDRESS_UNAVAILABLE
 */
export const listenOnPort = async (
  host: string,
  port: number,
  onConnection: PortHandler,
): Promise<OpenPort> => {
  const server = createServer({
    // A peer that has finished sending may still be waiting for the answer.
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: LIMITS.keepAliveMs,
    pauseOnConnect: true,
  });
  server.on('connection', (socket) => {
    socket.on('error', ignore);
    onConnection(socket, {
      remoteAddress: canonicalAddress(socket.remoteAddress),
      remotePort: socket.remotePort ?? 0,
      localPort: socket.localPort ?? 0,
    });
  });
  const address = await bind(server, { host, port });
  // Out of file descriptors, mostly. The server goes on accepting when there are some again.
  server.on('error', ignore);
  return { port: address.port, close: () => void server.close() };
};

// 'close' follows every error of a socket and is what counts.
const ignore = () => {};
