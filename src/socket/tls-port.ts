/**
 * A TLS port beside the engine's main one: no peeking, one policy, one handler.
 *
 * Flow: arrivals.ts says who a connection is from; terminate.ts finishes its TLS; the handler gets it.
 * Invariant: it serves HTTP/1.1 alone and asks for no client certificate. A connection counts until its socket is closed, whoever owns it.
 * Limits: connectionsMax (options), tlsHandshakeMsMax.
 */
import { createServer, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { engineErrorFrom } from '../base/errors.ts';
import { addressWithPort } from '../base/ip.ts';
import { Lifecycle } from '../base/lifecycle.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { type Clock, inBackground } from '../base/time.ts';
import type { TlsVersion } from '../base/tls.ts';
import type { Arrival, Arrivals } from './arrivals.ts';
import { bind, type ListenAddress } from './bind.ts';
import type { Certificates } from './certificates.ts';
import { peekClientHello } from './peek.ts';
import type { PostQuantum } from './post-quantum.ts';
import { refuse } from './refuse.ts';
import { createTerminator } from './terminate.ts';

export interface TlsPortNeeds {
  readonly clock: Clock;
  readonly log: Logger;
  readonly arrivals: Arrivals;
  readonly certificates: Certificates;
  onConnection(socket: TLSSocket, arrival: Arrival): void;
}

export interface TlsPortOptions {
  readonly listenAddress: ListenAddress;
  /** The name of the setting that holds it, for refusals. */
  readonly setting: string;
  readonly connectionsMax: number;
  readonly versionMin: TlsVersion;
  readonly postQuantum: PostQuantum;
}

export interface TlsPort {
  /** @throws ADDRESS_IN_USE, ADDRESS_UNAVAILABLE */
  listen(): Promise<ListenAddress>;
  /** Accepts no more and ends every connection; resolves when nothing is left. */
  destroy(): Promise<void>;
  readonly connectionCount: number;
}

export const createTlsPort = (needs: TlsPortNeeds, options: TlsPortOptions): TlsPort => {
  const { clock, log, arrivals } = needs;
  const { versionMin, postQuantum, connectionsMax } = options;
  const terminator = createTerminator(needs, { versionMin, postQuantum, alpnProtocols: ['http/1.1'] });
  const life = new Lifecycle();
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true, allowHalfOpen: true });
  const finishWhenEmpty = () => {
    if (!life.isOpen && sockets.size === 0) life.finish();
  };

  const finish = async (socket: Socket, arrival: Arrival): Promise<void> => {
    const remote = addressWithPort(arrival.remoteAddress, arrival.remotePort);
    try {
      const hello = await peekClientHello(socket, clock, LIMITS.tlsHandshakeMsMax);
      const tlsSocket =
        hello && (await terminator.finish(socket, hello.serverName, LIMITS.tlsHandshakeMsMax));
      if (!tlsSocket || tlsSocket.destroyed) return void socket.destroy();
      needs.onConnection(tlsSocket, arrival);
    } catch (thrown) {
      const error = engineErrorFrom(thrown);
      log.info({ code: error.code, errorId: error.errorId, remote }, error.message);
      refuse(socket, clock, error, error.errorId);
    }
  };

  const receive = async (socket: Socket): Promise<void> => {
    if (sockets.size >= connectionsMax) return arrivals.drop(socket, 'CONNECTION_LIMIT', connectionsMax);
    sockets.add(socket);
    socket.once('close', () => {
      sockets.delete(socket);
      finishWhenEmpty();
    });
    const arrival = await arrivals.arrive(socket);
    if (arrival) await finish(socket, arrival);
  };

  server.on('connection', (socket) => {
    socket.on('error', ignore);
    inBackground(receive(socket), (error) => {
      log.error({ error }, 'a connection was not received');
      socket.destroy();
    });
  });

  return {
    async listen() {
      const address = await bind(server, options.listenAddress, options.setting);
      server.on('error', (error) => log.error({ error }, 'a connection could not be accepted'));
      return address;
    },
    destroy() {
      if (life.beginClosing()) server.close();
      for (const socket of sockets) socket.destroy();
      finishWhenEmpty();
      return new Promise((resolve) => life.onClosed(() => resolve()));
    },
    get connectionCount() {
      return sockets.size;
    },
  };
};

// 'close' follows every error of a socket and is what counts.
const ignore = () => {};
