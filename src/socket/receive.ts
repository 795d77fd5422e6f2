/**
 * One connection from accept to the room that owns it.
 *
 * Flow: listener.ts hands in each socket; arrivals.ts -> peek.ts -> dispatch.ts -> terminate.ts -> onAgent, onApi, onPublished or onRaw; without
 * terminate.ts onPassthrough; or refuse.ts.
 * Invariant: every refusal is one line in the log with its code and an error id; a peer that merely leaves (health checks, port
 * scans) is a debug line.
 * Limits: tlsHandshakeMsMax from accept to the end of the handshake.
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { type EngineError, type ErrorCode, engineErrorFrom, fail } from '../base/errors.ts';
import { newErrorId } from '../base/ids.ts';
import { addressWithPort } from '../base/ip.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Clock } from '../base/time.ts';
import type { TlsDemands, TlsVersion } from '../base/tls.ts';
import type { Arrival, Arrivals } from './arrivals.ts';
import type { Certificates } from './certificates.ts';
import type { ClientHello } from './client-hello.ts';
import {
  AGENT_PROTOCOL,
  type Destination,
  destinationFrom,
  type PublishedMode,
  type PublishedTls,
  versionFloor,
} from './dispatch.ts';
import { groupNamesFrom } from './group-names.ts';
import { ja4From } from './ja4.ts';
import { peekClientHello } from './peek.ts';
import { type PostQuantum, usesPostQuantum, X25519_MLKEM768 } from './post-quantum.ts';
import { refuse } from './refuse.ts';
import { createTerminator, type Terminator, type TlsPolicy } from './terminate.ts';
import { createTerminators } from './terminators.ts';

/** What is known of a connection by its ClientHello: all there is to know where its TLS is not ours. */
export interface PeekedConnection extends Arrival {
  /** As in the hello: lower case, without a trailing dot. */
  readonly serverName?: string;
  /** Key exchange groups that the client offers, by its preference and named; '' for none. */
  readonly offeredGroups: string;
  /** Fingerprint of the client, by its hello. */
  readonly ja4: string;
}

type HelloFacts = Pick<PeekedConnection, 'offeredGroups' | 'ja4'>;

/** What is known of a connection once its TLS is up. */
export interface ConnectionInfo extends PeekedConnection {
  /** What was agreed on; absent when the peer sent no ALPN, or none is negotiated here. */
  readonly alpnProtocol?: string;
  /** `TLSv1.2` or `TLSv1.3`. */
  readonly tlsVersion: string;
  /** The suite's IANA name. */
  readonly cipher: string;
  /** Whether the key exchange was post-quantum. Node does not tell a server the group; it follows from what both sides have. */
  readonly isPostQuantum: boolean;
  /** SHA-256 of the client's leaf certificate in lower-case hex. The handshake has proved that the peer has its key, and nothing else. */
  readonly certificateFingerprint?: string;
}

/** Takes over a connection: not flowing yet, its errors have a listener, half-close is on. */
export type ConnectionHandler = (socket: TLSSocket, connection: ConnectionInfo) => void;

/** Takes over a connection that still holds its ClientHello: paused, its errors have a listener, half-close is on. */
export type PassthroughHandler = (socket: Socket, connection: PeekedConnection) => void;

export interface ReceiverNeeds {
  readonly clock: Clock;
  readonly log: Logger;
  /** One for all listeners of an engine. */
  readonly arrivals: Arrivals;
  readonly certificates: Certificates;
  readonly publishedMode: (serverName: string) => PublishedMode;
  readonly onAgent: ConnectionHandler;
  readonly onApi: ConnectionHandler;
  /** HTTP. */
  readonly onPublished: ConnectionHandler;
  /** The bytes of a TLS tunnel that is terminated here. */
  readonly onRaw: ConnectionHandler;
  readonly onPassthrough: PassthroughHandler;
  /** Told of every handshake that is complete. */
  readonly countHandshake?: (tlsVersion: string, isPostQuantumOffered: boolean) => void;
  /** Told of every refusal. */
  readonly countRefusal?: (code: ErrorCode) => void;
}

export interface ReceiverOptions {
  /** Lower case. */
  readonly engineHost: string;
  /** For the Engine API; agents need TLS 1.3, and what is published tells its own. */
  readonly versionMin: TlsVersion;
  /** ALPN of published HTTP, by preference; `http/1.1` alone by default. */
  readonly publishedProtocols?: readonly string[];
  /** For everybody; `prefer` by default. */
  readonly postQuantum?: PostQuantum;
  /** For what is published, where that is more than for everybody. */
  readonly publishedPostQuantum?: PostQuantum;
}

/**
 * Makes the function that takes a freshly accepted socket through the door; the socket has an 'error' listener already.
 */
export const createReceiver = (needs: ReceiverNeeds, options: ReceiverOptions) => {
  const { clock, log, arrivals } = needs;
  const { engineHost, versionMin, postQuantum = 'prefer', publishedPostQuantum = postQuantum } = options;
  const { publishedMode } = needs;
  const facts = { engineHost, versionMin, postQuantum, publishedPostQuantum, publishedMode };
  const roomOf = roomsFrom(needs, { ...options, postQuantum, publishedPostQuantum });

  const logRefusal = (error: EngineError, errorId: string, remote: string, hostname: string | undefined) => {
    const fields = { code: error.code, errorId, remote, hostname };
    // What is not from the table is a fault of ours, and only its cause tells which.
    if (error.code === 'INTERNAL') log.error({ ...fields, error }, error.message);
    else log.info(fields, error.message);
  };

  /** Never rejects. */
  return async (socket: Socket): Promise<void> => {
    const startedMs = clock.elapsed();
    const msLeft = () => LIMITS.tlsHandshakeMsMax - (clock.elapsed() - startedMs);
    const arrival = await arrivals.arrive(socket);
    if (!arrival) return;
    const remote = addressWithPort(arrival.remoteAddress, arrival.remotePort);
    const leave = () => {
      socket.destroy();
      log.debug({ remote }, 'the peer left before its TLS was up');
    };
    let hello: ClientHello | undefined;
    try {
      hello = await peekClientHello(socket, clock, msLeft());
      if (!hello) return leave();
      const destination = destinationFrom(hello, facts);
      if (destination.kind === 'refuse') throw fail(destination.code);
      const peeked = peekedFrom(hello, arrival, destination.kind !== 'agent');
      if (destination.kind === 'passthrough') return needs.onPassthrough(socket, peeked);
      const { terminator, handler, postQuantum: mode } = roomOf(destination);
      const tlsSocket = await terminator.finish(socket, hello.serverName, msLeft());
      if (!tlsSocket || tlsSocket.destroyed) return leave();
      const isOffered = hello.groups.includes(X25519_MLKEM768);
      const connection = connectionInfoFrom(tlsSocket, peeked, isOffered && usesPostQuantum(mode));
      needs.countHandshake?.(connection.tlsVersion, isOffered);
      handler(tlsSocket, connection);
    } catch (thrown) {
      const error = engineErrorFrom(thrown);
      const errorId = newErrorId();
      needs.countRefusal?.(error.code);
      logRefusal(error, errorId, remote, hello?.serverName);
      refuse(socket, clock, error, errorId);
    }
  };
};

/** Where a connection ends up whose TLS is finished here: how that is done, and who takes it. */
interface Room {
  readonly terminator: Terminator;
  readonly handler: ConnectionHandler;
  readonly postQuantum: PostQuantum;
}

type Terminated = Exclude<Destination, { kind: 'refuse' | 'passthrough' }>;

const roomsFrom = (
  needs: ReceiverNeeds,
  options: ReceiverOptions & {
    readonly postQuantum: PostQuantum;
    readonly publishedPostQuantum: PostQuantum;
  },
): ((destination: Terminated) => Room) => {
  const { versionMin, publishedProtocols = ['http/1.1'], postQuantum, publishedPostQuantum } = options;
  const terminatorOf = createTerminators(needs);
  const policyFrom = (
    demands: TlsDemands,
    alpnProtocols: readonly string[],
    mode = publishedPostQuantum,
  ): TlsPolicy => ({
    ...demands,
    versionMin: versionFloor(demands.versionMin, mode),
    alpnProtocols,
    postQuantum: mode,
  });
  // These two never share tickets with what agents choose, nor their place with it.
  const agentPolicy = {
    ...policyFrom({ versionMin: 'TLSv1.3' }, [AGENT_PROTOCOL], postQuantum),
    clientCertificate: 'ask',
  } as const;
  const apiPolicy = policyFrom({ versionMin }, ['h2', 'http/1.1'], postQuantum);
  const room = (terminator: Terminator, handler: ConnectionHandler, mode = publishedPostQuantum): Room => ({
    terminator,
    handler,
    postQuantum: mode,
  });
  const publishedRoom = (
    { demands, takesCertificate }: PublishedTls,
    alpnProtocols: readonly string[],
    clientCertificate: 'ask' | 'require',
    handler: ConnectionHandler,
  ): Room => {
    const policy = policyFrom(demands, alpnProtocols);
    return room(terminatorOf(takesCertificate ? { ...policy, clientCertificate } : policy), handler);
  };
  const agent = room(createTerminator(needs, agentPolicy), needs.onAgent, postQuantum);
  const api = room(createTerminator(needs, apiPolicy), needs.onApi, postQuantum);

  return (destination) => {
    switch (destination.kind) {
      case 'agent':
        return agent;
      case 'api':
        return api;
      case 'published':
        return publishedRoom(destination, publishedProtocols, 'ask', needs.onPublished);
      case 'raw':
        return publishedRoom(destination, destination.alpnProtocols, 'require', needs.onRaw);
    }
  };
};

const helloFactsFrom = (hello: ClientHello): HelloFacts => ({
  offeredGroups: groupNamesFrom(hello.groups),
  ja4: ja4From(hello),
});

/** @param isAsked whether a record will want its facts: of most connections of agents, which are dial-backs, there is none */
const peekedFrom = (hello: ClientHello, arrival: Arrival, isAsked: boolean): PeekedConnection => {
  // A hello may be large, and is not kept where its facts are known.
  let known: HelloFacts | { readonly unread: ClientHello } = isAsked
    ? helloFactsFrom(hello)
    : { unread: hello };
  const facts = (): HelloFacts => {
    if ('unread' in known) known = helloFactsFrom(known.unread);
    return known;
  };
  return {
    ...arrival,
    ...(hello.serverName !== undefined && { serverName: hello.serverName }),
    get offeredGroups() {
      return facts().offeredGroups;
    },
    get ja4() {
      return facts().ja4;
    },
  };
};

/** Adds to the same object, as a copy would ask for what nobody may want. */
const connectionInfoFrom = (
  tlsSocket: TLSSocket,
  peeked: PeekedConnection,
  hasSameGroup: boolean,
): ConnectionInfo => {
  const tlsVersion = tlsSocket.getProtocol() ?? '';
  return Object.assign(peeked, {
    ...(tlsSocket.alpnProtocol && { alpnProtocol: tlsSocket.alpnProtocol }),
    tlsVersion,
    cipher: tlsSocket.getCipher().standardName,
    isPostQuantum: hasSameGroup && tlsVersion === 'TLSv1.3',
    ...certificateFactFrom(tlsSocket),
  });
};

const certificateFactFrom = (tlsSocket: TLSSocket): Pick<ConnectionInfo, 'certificateFingerprint'> => {
  const fingerprint = tlsSocket.getPeerX509Certificate()?.fingerprint256;
  return fingerprint === undefined
    ? {}
    : { certificateFingerprint: fingerprint.replaceAll(':', '').toLowerCase() };
};
