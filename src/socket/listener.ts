/**
 * The doorstep: accepts, counts and in the end closes every connection of the one TLS port.
 *
 * Flow: each accepted socket goes to receive.ts, which finds its room; what is dropped is noted in arrivals.ts, for all listeners.
 * Invariant: a socket is counted from accept to close, whoever owns it by then, and none of its errors is ever without a listener.
 * Limits: connectionsMax (option) and handshakesMax; what comes beyond them is dropped before anything is allocated for it. A handshake
 * that stalls yields its place (handshakeYieldMs).
 */
import { createServer, type DropArgument, type Socket } from 'node:net';
import { canonicalAddress } from '../base/ip.ts';
import { Lifecycle } from '../base/lifecycle.ts';
import { LIMITS } from '../base/limits.ts';
import { inBackground } from '../base/time.ts';
import { bind, type ListenAddress } from './bind.ts';
import type { Drops } from './drops.ts';
import { createReceiver, type ReceiverNeeds, type ReceiverOptions } from './receive.ts';

export interface DoorstepOptions extends ReceiverOptions {
  readonly listenAddress: ListenAddress;
  readonly connectionsMax: number;
  /** Connections at once whose TLS is not up yet; the limit of LIMITS unless told otherwise. */
  readonly handshakesMax?: number;
}

/** The open door. */
export interface Doorstep {
  /**
   * Begins to accept.
   * @returns the address as it was bound: a port 0 has become a real one
   * @throws ADDRESS_IN_USE, ADDRESS_UNAVAILABLE
   */
  listen(): Promise<ListenAddress>;
  /** Accepts no more; the connections that exist stay. */
  close(): void;
  /** Closes, and destroys every connection; resolves when none is left. */
  destroy(): Promise<void>;
  /** Connections that are open, in whatever state. */
  readonly connectionCount: number;
  /** Connections whose TLS is not up yet. */
  readonly handshakeCount: number;
  /** How many connections were dropped for being too many, by reason. */
  readonly dropCounts: Drops['counts'];
}

/** Makes the doorstep; it accepts nothing before `listen`. */
export const createDoorstep = (needs: ReceiverNeeds, options: DoorstepOptions): Doorstep => {
  const { clock, log, arrivals } = needs;
  const { handshakesMax = LIMITS.handshakesMax } = options;
  const life = new Lifecycle();
  const sockets = new Set<Socket>();
  const receive = createReceiver(needs, options);
  // Those among them whose TLS is not up yet, with the time at which each came, the oldest first.
  const arriving = new Map<Socket, number>();

  const server = createServer({
    // A peer that has finished sending may still be waiting for the answer.
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: LIMITS.keepAliveMs,
  });
  server.maxConnections = options.connectionsMax;

  const finishWhenEmpty = () => {
    if (!life.isOpen && sockets.size === 0) life.finish();
  };
  function socketOnClose(this: Socket) {
    sockets.delete(this);
    arriving.delete(this);
    finishWhenEmpty();
  }
  /** One connection too many about to set up TLS: the newest, unless the oldest stalls. */
  const surplusOf = (newest: Socket, nowMs: number): Socket | undefined => {
    if (arriving.size < handshakesMax) return undefined;
    for (const [oldest, sinceMs] of arriving)
      return nowMs - sinceMs < LIMITS.handshakeYieldMs ? newest : oldest;
    return newest;
  };
  const serverOnConnection = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', ignore).on('close', socketOnClose);
    const nowMs = clock.elapsed();
    const surplus = surplusOf(socket, nowMs);
    if (surplus) arrivals.drop(surplus, 'HANDSHAKE_LIMIT', handshakesMax);
    if (surplus === socket) return;
    if (surplus) arriving.delete(surplus);
    arriving.set(socket, nowMs);
    inBackground(
      receive(socket).finally(() => arriving.delete(socket)),
      (error) => {
        log.error({ error }, 'a connection was not received');
        socket.destroy();
      },
    );
  };
  const serverOnDrop = (dropped: DropArgument | undefined) =>
    arrivals.drops.note('CONNECTION_LIMIT', options.connectionsMax, {
      remoteAddress: canonicalAddress(dropped?.remoteAddress),
      remotePort: dropped?.remotePort ?? 0,
    });
  // Out of file descriptors, mostly. The server goes on accepting when there are some again.
  const serverOnError = (error: Error) => log.error({ error }, 'a connection could not be accepted');

  const close = () => {
    if (!life.beginClosing()) return;
    server.close();
    finishWhenEmpty();
  };

  return {
    async listen() {
      server.on('connection', serverOnConnection).on('drop', serverOnDrop);
      const address = await bind(server, options.listenAddress, 'tls.listen_addr');
      server.on('error', serverOnError);
      return address;
    },
    close,
    destroy() {
      close();
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => life.onClosed(() => resolve()));
    },
    get connectionCount() {
      return sockets.size;
    },
    get handshakeCount() {
      return arriving.size;
    },
    get dropCounts() {
      return arrivals.drops.counts;
    },
  };
};

// 'close' follows every error and is what counts.
const ignore = () => {};
