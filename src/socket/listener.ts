/**
 * The doorstep: accepts, counts and in the end closes every connection of the one TLS port.
 *
 * Flow: each accepted socket goes to receive.ts, which finds its room.
 * Invariant: a socket is counted from accept to close, whoever owns it by then, and none of its errors is ever without a listener.
 * Limits: connectionsMax (option); what comes beyond it is dropped before anything is allocated for it.
 */
import { createServer, type DropArgument, type Socket } from 'node:net';
import { fail } from '../base/errors.ts';
import { newErrorId } from '../base/ids.ts';
import { addressWithPort, canonicalAddress } from '../base/ip.ts';
import { Lifecycle } from '../base/lifecycle.ts';
import { LIMITS } from '../base/limits.ts';
import { inBackground } from '../base/time.ts';
import { bind, type ListenAddress } from './bind.ts';
import { createReceiver, type ReceiverNeeds, type ReceiverOptions } from './receive.ts';

export interface DoorstepOptions extends ReceiverOptions {
  readonly listenAddress: ListenAddress;
  readonly connectionsMax: number;
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
}

/** Makes the doorstep; it accepts nothing before `listen`. */
export const createDoorstep = (needs: ReceiverNeeds, options: DoorstepOptions): Doorstep => {
  const { log } = needs;
  const life = new Lifecycle();
  const sockets = new Set<Socket>();
  const receive = createReceiver(needs, options);
  const serverOnDrop = createDropLog(needs, options.connectionsMax);

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
    finishWhenEmpty();
  }
  const socketOnFault = (error: unknown) => log.error({ error }, 'a connection was not received');
  const serverOnConnection = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', ignore).on('close', socketOnClose);
    inBackground(receive(socket), socketOnFault);
  };
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
      const address = await bind(server, options.listenAddress);
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
  };
};

// 'close' follows every error and is what counts.
const ignore = () => {};

/** Says how many connections were dropped, but not once for each: at the limit there may be thousands of them. */
const createDropLog = ({ clock, log }: ReceiverNeeds, limit: number) => {
  let droppedCount = 0;
  let loggedMs = Number.NEGATIVE_INFINITY;
  return (dropped: DropArgument | undefined) => {
    droppedCount += 1;
    const nowMs = clock.elapsed();
    if (nowMs - loggedMs < LIMITS.connectionLimitLogMs) return;
    loggedMs = nowMs;
    const error = fail('CONNECTION_LIMIT', { limit });
    const remote = addressWithPort(canonicalAddress(dropped?.remoteAddress), dropped?.remotePort ?? 0);
    log.warn({ code: error.code, errorId: newErrorId(), droppedCount, remote }, error.message);
    droppedCount = 0;
  };
};
