/**
 * Where a connection goes, decided from its ClientHello alone: the one table of the doorstep (protocol.md 0.1 and 1).
 *
 * Flow: receive.ts asks once per connection, before any certificate is shown, and obeys.
 * Invariant: pure; a name that nobody answers to is refused, never given a default. What a hello says already about the demands of
 * its destination is judged here, so that the peer reads the reason in the alert; what it does not say, the handshake judges.
 */
import type { ErrorCode } from '../base/errors.ts';
import type { TlsDemands, TlsVersion } from '../base/tls.ts';
import type { ClientHello } from './client-hello.ts';
import { type PostQuantum, X25519_MLKEM768 } from './post-quantum.ts';

/** How the TLS of a published name is finished. */
export interface PublishedTls {
  readonly demands: TlsDemands;
  /** Whether a client certificate is asked for; who shows none gets as far as HTTP, where it is told, but to no raw bytes. */
  readonly takesCertificate?: true;
}

/** What the engine publishes under a host name. */
export type PublishedMode =
  | { readonly kind: 'unknown' }
  | ({ readonly kind: 'http' } & PublishedTls)
  /** TLS that ends here, bytes behind it; exactly these protocols, or no ALPN at all when there are none. */
  | ({ readonly kind: 'terminated'; readonly alpnProtocols: readonly string[] } & PublishedTls)
  /** TLS that is not ours. */
  | { readonly kind: 'passthrough' };

/** Where a connection goes; refuse.ts knows the TLS alert of each code. */
export type Destination =
  | { readonly kind: 'agent' }
  | { readonly kind: 'api' }
  | ({ readonly kind: 'published' } & PublishedTls)
  | ({ readonly kind: 'raw'; readonly alpnProtocols: readonly string[] } & PublishedTls)
  | { readonly kind: 'passthrough' }
  | { readonly kind: 'refuse'; readonly code: ErrorCode };

/** What the table must know about the engine. */
export interface DispatchFacts {
  /** Lower case. */
  readonly engineHost: string;
  /** Oldest version for the Engine API; agents always need TLS 1.3, and published names say what they need. */
  readonly versionMin: TlsVersion;
  readonly postQuantum: PostQuantum;
  /** Of what is published, where that is more. */
  readonly publishedPostQuantum: PostQuantum;
  readonly publishedMode: (serverName: string) => PublishedMode;
}

/** The application protocol (ALPN) of agents. */
export const AGENT_PROTOCOL = 'rstrm/1';

const VERSION_NUMBER = { 'TLSv1.2': 0x0303, 'TLSv1.3': 0x0304 } as const;

const AGENT: Destination = { kind: 'agent' };
const API: Destination = { kind: 'api' };
const PASSTHROUGH: Destination = { kind: 'passthrough' };
const UNKNOWN: PublishedMode = { kind: 'unknown' };

const refusal = (code: ErrorCode): Destination => ({ kind: 'refuse', code });

/** Applies the table, first match wins. */
export const destinationFrom = (hello: ClientHello, facts: DispatchFacts): Destination => {
  const { serverName } = hello;
  const isEngine = serverName === undefined || serverName === facts.engineHost;
  const mode = isEngine ? UNKNOWN : facts.publishedMode(serverName);
  if (mode.kind !== 'unknown') return publishedFrom(hello, mode, facts.publishedPostQuantum);

  // Agents come first: an engine reached by IP address or as localhost gets no name, or a foreign one.
  if (hello.alpnProtocols.includes(AGENT_PROTOCOL))
    return helloRefusal(hello, 'TLSv1.3', facts.postQuantum) ?? AGENT;
  if (!isEngine) return refusal('SERVER_NAME_UNKNOWN');
  return helloRefusal(hello, facts.versionMin, facts.postQuantum) ?? API;
};

const publishedFrom = (
  hello: ClientHello,
  mode: Exclude<PublishedMode, { kind: 'unknown' }>,
  postQuantum: PostQuantum,
): Destination => {
  // Which version is spoken is for the upstream to say; that its client offers the group is all that can be asked here.
  if (mode.kind === 'passthrough') return groupRefusal(hello, postQuantum) ?? PASSTHROUGH;
  const { demands, takesCertificate } = mode;
  const certificate = takesCertificate ? { takesCertificate } : {};
  const refused = helloRefusal(hello, demands.versionMin, postQuantum);
  if (refused) return refused;
  if (mode.kind === 'http') return { kind: 'published', demands, ...certificate };
  const { alpnProtocols } = mode;
  // OpenSSL would take a client without ALPN; who names protocols wants exactly these (protocol.md 0.1).
  if (alpnProtocols.length > 0 && !alpnProtocols.some((name) => hello.alpnProtocols.includes(name)))
    return refusal('ALPN_UNSUPPORTED');
  return { kind: 'raw', demands, alpnProtocols, ...certificate };
};

const helloRefusal = (
  hello: ClientHello,
  versionMin: TlsVersion,
  postQuantum: PostQuantum,
): Destination | undefined =>
  offers(hello, versionFloor(versionMin, postQuantum))
    ? groupRefusal(hello, postQuantum)
    : refusal('TLS_VERSION_UNSUPPORTED');

const groupRefusal = (hello: ClientHello, postQuantum: PostQuantum): Destination | undefined =>
  postQuantum === 'require' && !hello.groups.includes(X25519_MLKEM768)
    ? refusal('POST_QUANTUM_REQUIRED')
    : undefined;

/** The group exists in TLS 1.3 only. */
export const versionFloor = (versionMin: TlsVersion, postQuantum: PostQuantum): TlsVersion =>
  postQuantum === 'require' ? 'TLSv1.3' : versionMin;

/** Bounded above too: drafts and DTLS have larger numbers that mean nothing here. */
const offers = (hello: ClientHello, versionMin: TlsVersion): boolean =>
  hello.versions.some(
    (version) => version >= VERSION_NUMBER[versionMin] && version <= VERSION_NUMBER['TLSv1.3'],
  );
