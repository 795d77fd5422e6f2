/**
 * The ports of published TCP tunnels: each accepts connections and hands them over as they are.
 *
 * Flow: edge/tcp-ports.ts opens one for each TCP tunnel; arrivals.ts says who a connection is from, and whether that source may have another.
 * Invariant: after `close` the system refuses connections at once; those that exist stay, they are their owner's.
 * Limits: connectionsMax, over all ports.
 */
import { createServer, type Socket } from 'node:net';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { inBackground } from '../base/time.ts';
import type { Arrival, Arrivals } from './arrivals.ts';
import { bind } from './bind.ts';

/** Takes over a socket: paused, half-close on. */
export type PortHandler = (socket: Socket, arrival: Arrival) => void;

/** A port that is listened on. */
export interface OpenPort {
  readonly port: number;
  close(): void;
}

export interface TcpPortOptions {
  /** '' or '::' is every address. */
  readonly host: string;
  readonly connectionsMax: number;
}

/** Makes the function that listens on a port. It rejects with ADDRESS_IN_USE or ADDRESS_UNAVAILABLE. */
export const createPortListener = (
  { arrivals, log }: { readonly arrivals: Arrivals; readonly log: Logger },
  { host, connectionsMax }: TcpPortOptions,
) => {
  const sockets = new Set<Socket>();

  const receive = async (socket: Socket, onConnection: PortHandler): Promise<void> => {
    if (sockets.size >= connectionsMax) return arrivals.drop(socket, 'CONNECTION_LIMIT', connectionsMax);
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    const arrival = await arrivals.arrive(socket);
    if (arrival) onConnection(socket, arrival);
  };

  return async (port: number, onConnection: PortHandler): Promise<OpenPort> => {
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
      inBackground(receive(socket, onConnection), (error) => {
        log.error({ error }, 'a connection was not received');
        socket.destroy();
      });
    });
    const address = await bind(server, { host, port }, 'tcp.listen_host or tcp.port_range');
    // Out of file descriptors, mostly. The server goes on accepting when there are some again.
    server.on('error', (error) => log.error({ error }, 'a connection could not be accepted'));
    return { port: address.port, close: () => void server.close() };
  };
};

// 'close' follows every error of a socket and is what counts.
const ignore = () => {};
