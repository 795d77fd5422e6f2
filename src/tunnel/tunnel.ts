/**
 * A tunnel: the named route to one agent, a value that never changes while it is open.
 *
 * Flow: registry.ts makes it; control answers with its properties, stream dials its agent, edge and api show it.
 * Invariant: deeply frozen but for its pulse; it belongs to one agent session, and a session that takes its names over opens a tunnel of
 * its own.
 */
import { type AgentId, newTunnelId, type TunnelId } from '../base/ids.ts';
import type { TunnelProperties } from '../base/tunnel-properties.ts';
import type { Published } from './published.ts';

/** Complete and deeply frozen, before it has an id and an address: `hostname` is the one that was asked for. */
export type ResolvedProperties = Readonly<TunnelProperties> & {
  readonly type: 'bytestream' | 'datagram';
  readonly publish: boolean;
};

/** Who opens a tunnel: a session, and the credential that names are owned by. */
export interface TunnelOwner {
  readonly agentId: AgentId;
  readonly credentialId: string;
}

/** Where downstreams reach a published tunnel. */
export interface PublicAddress {
  readonly hostname: string;
  /** The port that downstreams use, which may differ from the one that the engine listens on. */
  readonly port: number;
}

/** What the reply to the agent says (protocol.md 7.4). */
export type TunnelReply = ResolvedProperties & { readonly id: TunnelId; readonly creationDate: number };

/** The one thing about a tunnel that changes: a number that the data path moves, so that knowing it costs no look-up there. */
export interface Pulse {
  /** When bytes last came from the upstream through its agent, by the elapsed time of the clock; -Infinity as long as none have. */
  atMs: number;
}

/** An open tunnel. */
export interface Tunnel {
  readonly id: TunnelId;
  /** The session that opened it: each session has an id of its own, so this also is its generation. */
  readonly agentId: AgentId;
  readonly credentialId: string;
  /** Everything that the reply carries; private tunnels have neither host nor hostname nor port. */
  readonly properties: TunnelReply;
  /** What is at its host name; undefined where it has none. */
  readonly published: Published | undefined;
  /** Milliseconds since 1970. */
  readonly openedAt: number;
  readonly pulse: Pulse;
}

/**
 * Makes the value of a tunnel.
 * @param address undefined for private tunnels
 * @param published undefined for tunnels without a host name
 * @param openedAt milliseconds since 1970
 */
export const createTunnel = (
  owner: TunnelOwner,
  resolved: ResolvedProperties,
  address: PublicAddress | undefined,
  published: Published | undefined,
  openedAt: number,
): Tunnel => {
  const id = newTunnelId();
  const properties = Object.freeze({
    ...resolved,
    id,
    creationDate: openedAt,
    ...(address && { ...address, host: hostFrom(address) }),
  });
  return Object.freeze({
    id,
    agentId: owner.agentId,
    credentialId: owner.credentialId,
    properties,
    published,
    openedAt,
    pulse: { atMs: Number.NEGATIVE_INFINITY },
  });
};

// Deprecated in favour of hostname and port, and still read by older clients (protocol.md 7.4).
const hostFrom = ({ hostname, port }: PublicAddress): string =>
  port === 443 ? hostname : `${hostname}:${port}`;
