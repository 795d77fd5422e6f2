/**
 * A connection of a downstream as the doorstep hands it over: all that routing, policy and records may know of it.
 */
import type { ConnectionFacts } from '../policy/verdict.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';

/** What the edge knows of a connection that it is given. */
export interface EdgeConnection extends ConnectionFacts {
  readonly remotePort: number;
  /** Milliseconds since 1970. */
  readonly acceptedAt?: number | undefined;
  /** What the downstream connected to; '' and 0 where that is not known. */
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  /** In lower case, without a trailing dot. */
  readonly serverName?: string | undefined;
  readonly alpnProtocol?: string | undefined;
  /** SHA-256 of the certificate that TLS has proved to be the downstream's, in lower-case hex; only names that take one ask for it. */
  readonly certificateFingerprint?: string | undefined;
  /** Key exchange groups that the client offers, named; '' for none. */
  readonly offeredGroups?: string | undefined;
  /** Fingerprint of the client, by its ClientHello. */
  readonly ja4?: string | undefined;
  /** The one tunnel that a private dialer has dialled, whatever authority it asks for. */
  readonly tunnel?: Tunnel;
  /** Nobody's connection, but the inspector's: what is asked is one more sending of what somebody asked before. */
  readonly replay?: Replay | undefined;
}

/** Which captured exchange is sent again, and what it is called when it is captured itself. */
export interface Replay {
  readonly of: string;
  readonly as: string;
}
