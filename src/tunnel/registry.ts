/**
 * The tunnels that are open right now, by id, name, public address and session.
 *
 * Flow: control opens and closes; stream, edge and api look up; router.ts and the watchers listen.
 * Invariant: pure and synchronous. Names, hostnames and TCP ports belong to one open tunnel each, and every index is true before a listener runs.
 * Limits: tunnelsPerSessionMax, tunnelsMax.
 */
import { fail } from '../base/errors.ts';
import type { AgentId } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';
import type { TlsVersion } from '../base/tls.ts';
import type { TunnelProperties } from '../base/tunnel-properties.ts';
import { createAddressSpace } from './address.ts';
import { resolveProperties } from './properties.ts';
import { publishedFrom } from './published.ts';
import { createTunnel, type ResolvedProperties, type Tunnel, type TunnelOwner } from './tunnel.ts';

export interface RegistryOptions {
  /** The engine's own host name: published tunnels live below `t.<engineHost>`. */
  readonly engineHost: string;
  /** The port that downstreams use; asked at each open, since a listener may be given its port by the system. */
  publicPort(): number;
  /** Oldest TLS version at the host names of tunnels that ask for none; TLS 1.2 by default. */
  readonly tlsVersionMin?: TlsVersion;
}

export interface RegistryNeeds {
  readonly clock: Clock;
  /** Throws where rules of the engine forbid a tunnel. Called before names are looked at: what is forbidden takes nothing over. */
  admit(resolved: ResolvedProperties): void;
}

/** How a tunnel ended: lost when its session broke off, otherwise its agent closed it. */
export interface Ending {
  readonly isLost: boolean;
}

export interface TunnelRegistry {
  /**
   * Opens a tunnel, or opens nothing.
   * @param port the one that a TCP tunnel is listened on
   * @throws PROPERTIES_INVALID, FEATURE_NOT_AVAILABLE, POLICY_FORBIDS, HOSTNAME_INVALID, TUNNEL_LIMIT, TUNNEL_NAME_IN_USE, HOSTNAME_IN_USE
   */
  open(owner: TunnelOwner, requested: TunnelProperties, port?: number): Tunnel;
  /**
   * A tunnel that holds the name, hostname or port that this request wants. There may be a second one behind it: ask again after it closed.
   * @throws PROPERTIES_INVALID, FEATURE_NOT_AVAILABLE, POLICY_FORBIDS, HOSTNAME_INVALID
   */
  rivalOf(requested: TunnelProperties): Tunnel | undefined;
  /** Closes one tunnel; undefined when it was not open. That it is the caller's own is for the caller to check. */
  close(id: string): Tunnel | undefined;
  /** Closes all tunnels of a session and returns them. */
  closeAll(agentId: AgentId, ending: Ending): readonly Tunnel[];
  /** The tunnel of this id or name, the id first (protocol.md 0.1). */
  find(idOrName: string): Tunnel | undefined;
  byId(id: string): Tunnel | undefined;
  /** All open tunnels, oldest first, or those of one session. */
  list(agentId?: AgentId): readonly Tunnel[];
  /** Calls for every tunnel that opens, until the returned function is called. */
  onOpened(listener: (tunnel: Tunnel) => void): () => void;
  /** Calls for every tunnel that closes, until the returned function is called. */
  onClosed(listener: (tunnel: Tunnel, ending: Ending) => void): () => void;
  readonly count: number;
}

export const createRegistry = (needs: RegistryNeeds, options: RegistryOptions): TunnelRegistry => {
  const addresses = createAddressSpace(options.engineHost);
  const byId = new Map<string, Tunnel>();
  const byName = new Map<string, Tunnel>();
  const byHostname = new Map<string, Tunnel>();
  const byPort = new Map<number, Tunnel>();
  const bySession = new Map<AgentId, Set<Tunnel>>();
  const openedListeners = new Set<(tunnel: Tunnel) => void>();
  const closedListeners = new Set<(tunnel: Tunnel, ending: Ending) => void>();

  const judged = (requested: TunnelProperties) => {
    const resolved = resolveProperties(requested);
    needs.admit(resolved);
    return { resolved, published: publishedFrom(resolved, options.tlsVersionMin ?? 'TLSv1.2') };
  };

  /** The public hostname that was asked for; undefined for private tunnels and where the engine chooses. */
  const wantedHostname = ({ hostname }: ResolvedProperties) =>
    hostname === undefined ? undefined : addresses.hostnameFor(hostname);

  const rivalByName = ({ name }: ResolvedProperties) => (name === undefined ? undefined : byName.get(name));

  const rivalByPort = ({ port }: ResolvedProperties) => (port === undefined ? undefined : byPort.get(port));

  /** Private tunnels have none. A TCP tunnel is known by its port, so the engine's own name will do. */
  const addressFor = (resolved: ResolvedProperties, wanted: string | undefined, port: number | undefined) => {
    if (!resolved.publish) return undefined;
    if (isTcp(resolved)) return { hostname: options.engineHost, port: port as number };
    const hostname = wanted ?? addresses.newHostname(resolved.name, (taken) => byHostname.has(taken));
    return { hostname, port: options.publicPort() };
  };

  const refuseOverLimit = (agentId: AgentId) => {
    const ownCount = bySession.get(agentId)?.size ?? 0;
    if (ownCount >= LIMITS.tunnelsPerSessionMax)
      throw fail('TUNNEL_LIMIT', { limit: LIMITS.tunnelsPerSessionMax });
    if (byId.size >= LIMITS.tunnelsMax) throw fail('TUNNEL_LIMIT', { limit: LIMITS.tunnelsMax });
  };

  const insert = (tunnel: Tunnel) => {
    const { name, hostname, port } = tunnel.properties;
    byId.set(tunnel.id, tunnel);
    if (name !== undefined) byName.set(name, tunnel);
    if (isTcp(tunnel.properties)) byPort.set(port as number, tunnel);
    else if (hostname !== undefined) byHostname.set(hostname, tunnel);
    const own = bySession.get(tunnel.agentId);
    if (own) own.add(tunnel);
    else bySession.set(tunnel.agentId, new Set([tunnel]));
  };

  const remove = (tunnel: Tunnel) => {
    const { name, hostname, port } = tunnel.properties;
    byId.delete(tunnel.id);
    if (name !== undefined) byName.delete(name);
    if (isTcp(tunnel.properties)) byPort.delete(port as number);
    else if (hostname !== undefined) byHostname.delete(hostname);
    const own = bySession.get(tunnel.agentId);
    own?.delete(tunnel);
    if (own?.size === 0) bySession.delete(tunnel.agentId);
  };

  const closeThese = (tunnels: readonly Tunnel[], ending: Ending) => {
    for (const tunnel of tunnels) remove(tunnel);
    for (const tunnel of tunnels) for (const listener of closedListeners) listener(tunnel, ending);
  };

  return {
    open(owner, requested, port) {
      const { resolved, published } = judged(requested);
      const wanted = wantedHostname(resolved);
      refuseOverLimit(owner.agentId);
      if (rivalByName(resolved)) throw fail('TUNNEL_NAME_IN_USE');
      if (wanted !== undefined && byHostname.has(wanted)) throw fail('HOSTNAME_IN_USE', { hostname: wanted });
      const address = addressFor(resolved, wanted, port);
      const tunnel = createTunnel(owner, resolved, address, published, needs.clock.now());
      insert(tunnel);
      for (const listener of openedListeners) listener(tunnel);
      return tunnel;
    },

    rivalOf(requested) {
      const { resolved } = judged(requested);
      const wanted = wantedHostname(resolved);
      return rivalByName(resolved) ?? (wanted === undefined ? rivalByPort(resolved) : byHostname.get(wanted));
    },

    close(id) {
      const tunnel = byId.get(id);
      if (tunnel) closeThese([tunnel], { isLost: false });
      return tunnel;
    },

    closeAll(agentId, ending) {
      const tunnels = [...(bySession.get(agentId) ?? [])];
      closeThese(tunnels, ending);
      return tunnels;
    },

    find: (idOrName) => byId.get(idOrName) ?? byName.get(idOrName),
    byId: (id) => byId.get(id),
    list: (agentId) => [...(agentId === undefined ? byId.values() : (bySession.get(agentId) ?? []))],

    onOpened(listener) {
      openedListeners.add(listener);
      return () => openedListeners.delete(listener);
    },

    onClosed(listener) {
      closedListeners.add(listener);
      return () => closedListeners.delete(listener);
    },

    get count() {
      return byId.size;
    },
  };
};

const isTcp = ({ protocol }: ResolvedProperties): boolean => protocol === 'tcp';
