/**
 * Where a connection goes, decided from its ClientHello alone: the one table of the doorstep (protocol.md 0.1 and 1).
 *
 * Flow: listener.ts asks once per connection, before any certificate is shown, and obeys.
 * Invariant: pure; a name that nobody answers to is refused, never given a default.
 */
import type { ErrorCode } from '../base/errors.ts';
import type { ClientHello } from './client-hello.ts';

/** What the engine publishes under a host name; TLS pass-through and per-tunnel TLS policies become further modes. */
export type PublishedMode = 'http' | 'unknown';

/** Oldest TLS version that a policy may name; nothing older is spoken at all. */
export type TlsVersion = 'TLSv1.2' | 'TLSv1.3';

/** Where a connection goes; refuse.ts knows the TLS alert of each code. */
export type Destination =
  | { readonly kind: 'agent' }
  | { readonly kind: 'api' }
  | { readonly kind: 'published'; readonly mode: 'http' }
  | { readonly kind: 'refuse'; readonly code: ErrorCode };

/** What the table must know about the engine. */
export interface DispatchFacts {
  /** Lower case. */
  readonly engineHost: string;
  /** Oldest version for the Engine API and for what is published; agents always need TLS 1.3. */
  readonly versionMin: TlsVersion;
  readonly publishedMode: (serverName: string) => PublishedMode;
}

/** The application protocol (ALPN) of agents. */
export const AGENT_PROTOCOL = 'rstrm/1';

const VERSION_NUMBER = { 'TLSv1.2': 0x0303, 'TLSv1.3': 0x0304 } as const;

const AGENT: Destination = { kind: 'agent' };
const API: Destination = { kind: 'api' };
const PUBLISHED_HTTP: Destination = { kind: 'published', mode: 'http' };
const NAME_UNKNOWN: Destination = { kind: 'refuse', code: 'SERVER_NAME_UNKNOWN' };
const VERSION_UNSUPPORTED: Destination = { kind: 'refuse', code: 'TLS_VERSION_UNSUPPORTED' };

/** Applies the table, first match wins. */
export const destinationFrom = (hello: ClientHello, facts: DispatchFacts): Destination => {
  const { serverName } = hello;
  const isEngine = serverName === undefined || serverName === facts.engineHost;
  const mode = isEngine ? 'unknown' : facts.publishedMode(serverName);

  // Agents come first: an engine reached by IP address or as localhost gets no name, or a foreign one.
  if (mode === 'unknown' && hello.alpnProtocols.includes(AGENT_PROTOCOL))
    return offers(hello, 'TLSv1.3') ? AGENT : VERSION_UNSUPPORTED;
  if (!isEngine && mode === 'unknown') return NAME_UNKNOWN;
  if (!offers(hello, facts.versionMin)) return VERSION_UNSUPPORTED;
  return isEngine ? API : PUBLISHED_HTTP;
};

/** Bounded above too: drafts and DTLS have larger numbers that mean nothing here. */
const offers = (hello: ClientHello, versionMin: TlsVersion): boolean =>
  hello.versions.some(
    (version) => version >= VERSION_NUMBER[versionMin] && version <= VERSION_NUMBER['TLSv1.3'],
  );
