/**
 * One connection from accept to the room that owns it.
 *
 * Flow: listener.ts hands in each socket; peek.ts -> dispatch.ts -> terminate.ts -> onAgent, onApi or onPublished; or refuse.ts.
 * Invariant: every refusal is one line in the log with its code and an error id; a peer that merely leaves (health checks, port
 * scans) is a debug line.
 * Limits: tlsHandshakeMsMax from accept to the end of the handshake.
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { type EngineError, engineErrorFrom, fail } from '../base/errors.ts';
import { newErrorId } from '../base/ids.ts';
import { addressWithPort, canonicalAddress } from '../base/ip.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Clock } from '../base/time.ts';
import type { Certificates } from './certificates.ts';
import type { ClientHello } from './client-hello.ts';
import {
  AGENT_PROTOCOL,
  type Destination,
  destinationFrom,
  type PublishedMode,
  type TlsVersion,
} from './dispatch.ts';
import { peekClientHello } from './peek.ts';
import { refuse } from './refuse.ts';
import { createTerminator, type Terminator } from './terminate.ts';

/** What is known of a connection once its TLS is up. */
export interface ConnectionInfo {
  /** Canonical (base/ip.ts); '' when the peer was gone before the system could be asked. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localPort: number;
  /** As in `hello`. */
  readonly serverName?: string;
  /** What was agreed on; absent when the peer sent no ALPN. */
  readonly alpnProtocol?: string;
  /** `TLSv1.2` or `TLSv1.3`. */
  readonly tlsVersion: string;
  /** The suite's IANA name. */
  readonly cipher: string;
  readonly hello: ClientHello;
  /** SHA-256 of the client's leaf certificate in lower-case hex. The handshake has proved that the peer has its key, and nothing else. */
  readonly certificateFingerprint?: string;
  /** Milliseconds since 1970. */
  readonly acceptedAt: number;
}

/** Takes over a connection: not flowing yet, its errors have a listener, half-close is on. */
export type ConnectionHandler = (socket: TLSSocket, connection: ConnectionInfo) => void;

export interface ReceiverNeeds {
  readonly clock: Clock;
  readonly log: Logger;
  readonly certificates: Certificates;
  readonly publishedMode: (serverName: string) => PublishedMode;
  readonly onAgent: ConnectionHandler;
  readonly onApi: ConnectionHandler;
  readonly onPublished: ConnectionHandler;
}

export interface ReceiverOptions {
  /** Lower case. */
  readonly engineHost: string;
  /** For the Engine API and what is published; agents need TLS 1.3. */
  readonly versionMin: TlsVersion;
  /** ALPN of what is published, by preference; `http/1.1` alone by default, as for the Engine API. */
  readonly publishedProtocols?: readonly string[];
}

/**
 * Makes the function that takes a freshly accepted socket through the door; the socket has an 'error' listener already.
 */
export const createReceiver = (needs: ReceiverNeeds, options: ReceiverOptions) => {
  const { clock, log } = needs;
  const { engineHost, versionMin } = options;
  const facts = { engineHost, versionMin, publishedMode: needs.publishedMode };
  const rooms = roomsFrom(needs, options);

  const logRefusal = (error: EngineError, errorId: string, remote: string, hostname: string | undefined) => {
    const fields = { code: error.code, errorId, remote, hostname };
    // What is not from the table is a fault of ours, and only its cause tells which.
    if (error.code === 'INTERNAL') log.error({ ...fields, error }, error.message);
    else log.info(fields, error.message);
  };

  /** Never rejects. */
  return async (socket: Socket): Promise<void> => {
    const startedMs = clock.elapsed();
    const arrival = arrivalFrom(socket, clock);
    const remote = addressWithPort(arrival.remoteAddress, arrival.remotePort);
    const leave = () => {
      socket.destroy();
      log.debug({ remote }, 'the peer left before its TLS was up');
    };
    let hello: ClientHello | undefined;
    try {
      hello = await peekClientHello(socket, clock, LIMITS.tlsHandshakeMsMax);
      if (!hello) return leave();
      const destination = destinationFrom(hello, facts);
      if (destination.kind === 'refuse') throw fail(destination.code);
      const { terminator, handler } = rooms[destination.kind];
      const msLeft = LIMITS.tlsHandshakeMsMax - (clock.elapsed() - startedMs);
      const tlsSocket = await terminator.finish(socket, msLeft);
      if (!tlsSocket || tlsSocket.destroyed) return leave();
      handler(tlsSocket, connectionInfoFrom(tlsSocket, hello, arrival));
    } catch (thrown) {
      const error = engineErrorFrom(thrown);
      const errorId = newErrorId();
      logRefusal(error, errorId, remote, hello?.serverName);
      refuse(socket, clock, error, errorId);
    }
  };
};

/** Where connections that are not refused end up: how their TLS is finished, and who takes them. */
const roomsFrom = (
  needs: ReceiverNeeds,
  options: ReceiverOptions,
): Record<Exclude<Destination['kind'], 'refuse'>, { terminator: Terminator; handler: ConnectionHandler }> => {
  const { versionMin, publishedProtocols = ['http/1.1'] } = options;
  const agentPolicy = {
    versionMin: 'TLSv1.3',
    alpnProtocols: [AGENT_PROTOCOL],
    requestsCertificate: true,
  } as const;
  const apiPolicy = { versionMin, alpnProtocols: ['http/1.1'] };
  const publishedPolicy = { versionMin, alpnProtocols: publishedProtocols };
  return {
    agent: { terminator: createTerminator(needs, agentPolicy), handler: needs.onAgent },
    api: { terminator: createTerminator(needs, apiPolicy), handler: needs.onApi },
    published: { terminator: createTerminator(needs, publishedPolicy), handler: needs.onPublished },
  };
};

type Arrival = Pick<ConnectionInfo, 'remoteAddress' | 'remotePort' | 'localPort' | 'acceptedAt'>;

/** Asked for at once, as the system forgets a peer together with its connection. */
const arrivalFrom = (socket: Socket, clock: Clock): Arrival => ({
  remoteAddress: canonicalAddress(socket.remoteAddress),
  remotePort: socket.remotePort ?? 0,
  localPort: socket.localPort ?? 0,
  acceptedAt: clock.now(),
});

const connectionInfoFrom = (tlsSocket: TLSSocket, hello: ClientHello, arrival: Arrival): ConnectionInfo => ({
  ...arrival,
  ...(hello.serverName !== undefined && { serverName: hello.serverName }),
  ...(tlsSocket.alpnProtocol && { alpnProtocol: tlsSocket.alpnProtocol }),
  tlsVersion: tlsSocket.getProtocol() ?? '',
  cipher: tlsSocket.getCipher().standardName,
  hello,
  ...certificateFactFrom(tlsSocket),
});

const certificateFactFrom = (tlsSocket: TLSSocket): Pick<ConnectionInfo, 'certificateFingerprint'> => {
  const fingerprint = tlsSocket.getPeerX509Certificate()?.fingerprint256;
  return fingerprint === undefined
    ? {}
    : { certificateFingerprint: fingerprint.replaceAll(':', '').toLowerCase() };
};
