/**
 * The pools of all tunnels: made when a tunnel is first asked for, closed with it.
 *
 * Invariant: a tunnel that has closed has no open pool, also not for an exchange that tries again.
 */
import { fail } from '../base/errors.ts';
import type { TunnelId } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import { Pool } from '../stream/pool.ts';
import type { TunnelRegistry } from '../tunnel/registry.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import { type ConnectNeeds, connectUpstream, isHttp2KnownOf, type VersionChoice } from './connect.ts';
import type { UpstreamConnection } from './sides.ts';

export interface PoolsNeeds extends ConnectNeeds {
  readonly registry: TunnelRegistry;
}

export interface PoolsOptions {
  readonly idleMs: number;
  /** Exchanges at once through one tunnel. */
  readonly requestsPerTunnelMax: number;
}

export type Pools = ReturnType<typeof createPools>;

export const createPools = (needs: PoolsNeeds, options: PoolsOptions) => {
  const { registry, sweep } = needs;
  const byTunnel = new Map<TunnelId, Map<VersionChoice, Pool<UpstreamConnection>>>();

  const createPool = (tunnel: Tunnel, choice: VersionChoice): Pool<UpstreamConnection> => {
    const pool: Pool<UpstreamConnection> = new Pool(
      { sweep, open: (source, signal) => connectUpstream(needs, tunnel, choice, pool, source, signal) },
      {
        idleMs: options.idleMs,
        availableCountMax: LIMITS.idleStreamsPerTunnelMax,
        lentCountMax: options.requestsPerTunnelMax,
        warmCount: LIMITS.warmStreamsPerTunnel,
        // Until ALPN has told, an upstream with TLS is taken for the older one.
        expectedCapacity: isHttp2KnownOf(tunnel) && choice === 'any' ? LIMITS.http2StreamsMax : 1,
      },
    );
    return pool;
  };

  const open = (tunnel: Tunnel, choice: VersionChoice): Pool<UpstreamConnection> => {
    const pool = createPool(tunnel, choice);
    if (!registry.byId(tunnel.id)) {
      pool.close(fail('AGENT_GONE'));
      return pool;
    }
    const own = byTunnel.get(tunnel.id);
    if (own) own.set(choice, pool);
    else byTunnel.set(tunnel.id, new Map([[choice, pool]]));
    return pool;
  };

  const closeOf = (tunnelId: TunnelId, code: 'AGENT_GONE' | 'ENGINE_DRAINING') => {
    for (const pool of byTunnel.get(tunnelId)?.values() ?? []) pool.close(fail(code));
    byTunnel.delete(tunnelId);
  };
  const unfollow = registry.onClosed(({ id }) => closeOf(id, 'AGENT_GONE'));

  return {
    /** The pool of a tunnel for these versions; a closed one when the tunnel is. */
    of: (tunnel: Tunnel, choice: VersionChoice): Pool<UpstreamConnection> => {
      const own = mayChoose(tunnel) ? choice : 'any';
      return byTunnel.get(tunnel.id)?.get(own) ?? open(tunnel, own);
    },

    /** A connection of the tunnel for a probe, where one is open and has room. */
    borrow: (tunnel: Tunnel) => byTunnel.get(tunnel.id)?.get('any')?.borrow(),

    /** Closes all of them. */
    close(): void {
      unfollow();
      for (const tunnelId of [...byTunnel.keys()]) closeOf(tunnelId, 'ENGINE_DRAINING');
    },

    /** Connections with room, and waiters. */
    get count(): number {
      let count = 0;
      for (const own of byTunnel.values())
        for (const pool of own.values()) count += pool.availableCount + pool.waiterCount;
      return count;
    },
  };
};

/** Whether anything but HTTP/1.1 may be spoken to the upstream; if not, one pool does for all. */
const mayChoose = (tunnel: Tunnel): boolean =>
  tunnel.properties.upstreamTls === true || isHttp2KnownOf(tunnel);
