/**
 * A local TCP port whose connections are streams to a private tunnel: one private dial for each.
 *
 * Limits: agentStreamsMax connections.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { breakOff } from '../base/break-off.ts';
import { fail } from '../base/errors.ts';
import { addressWithPort } from '../base/ip.ts';
import { LIMITS } from '../base/limits.ts';
import { inBackground } from '../base/time.ts';
import { type RelayEnd, relay, relayEndOf } from './relay.ts';
import { type Address, reasonOf } from './tcp.ts';

/** Made by {@link openLocalListener}. */
export interface LocalListener {
  /** Where it listens, with the port that the system chose if 0 was asked for. */
  readonly address: string;
  /** Stops listening and breaks its connections. */
  close(): Promise<void>;
}

export interface LocalListenerNeeds {
  /** Opens the stream of one connection. */
  dial(): Promise<RelayEnd>;
  /** Told why a connection got no stream; the connection is reset. */
  onRefused(cause: unknown): void;
}

/** Rejects with ADDRESS_IN_USE or ADDRESS_UNAVAILABLE. */
export const openLocalListener = async (
  needs: LocalListenerNeeds,
  { host, port }: Address,
): Promise<LocalListener> => {
  const sockets = new Set<Socket>();

  const join = async (socket: Socket) => {
    // Until the relay runs nothing is read from it, so nothing can be lost.
    socket.on('error', () => {});
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    try {
      await relay(relayEndOf(socket), await needs.dial());
    } catch (cause) {
      breakOff(socket);
      needs.onRefused(cause);
    }
  };

  const server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, (socket) =>
    inBackground(join(socket), needs.onRefused),
  );
  server.maxConnections = LIMITS.agentStreamsMax;
  await listening(server, { host, port });
  return {
    address: addressWithPort(host, (server.address() as { port: number }).port),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) breakOff(socket);
      }),
  };
};

const listening = (server: Server, { host, port }: Address): Promise<void> =>
  new Promise((resolve, reject) => {
    const address = addressWithPort(host, port);
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? fail('ADDRESS_IN_USE', { address, setting: '--listen' }, error)
          : fail('ADDRESS_UNAVAILABLE', { address, setting: '--listen', reason: reasonOf(error) }, error),
      ),
    );
    server.listen(port, host, resolve);
  });
