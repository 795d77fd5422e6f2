/**
 * The downstream's door: published HTTP, from a terminated connection to the answer.
 *
 * Flow: the doorstep hands over TLS sockets; http1/downstream.ts reads requests; exchange.ts carries each to a stream of its tunnel's pool.
 * Invariant: knows tunnels and streams, never frames or agents' sessions; when it has stopped, no connection, stream or waiter is left.
 */
import type { Duplex } from 'node:stream';
import { fail } from '../base/errors.ts';
import type { TunnelId } from '../base/ids.ts';
import type { AddressSet } from '../base/ip.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Clock, Sweep } from '../base/time.ts';
import type { DialBack } from '../stream/agent-stream.ts';
import { Pool } from '../stream/pool.ts';
import { relay } from '../stream/relay.ts';
import type { TunnelRegistry } from '../tunnel/registry.ts';
import type { Router } from '../tunnel/router.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { EdgeConnection, EdgeContext, EdgeOptions, ExchangeRecord } from './context.ts';
import { Http1Downstream } from './http1/downstream.ts';
import { Http1Upstream } from './http1/upstream.ts';

export interface EdgeNeeds {
  readonly clock: Clock;
  /** Of one second: the resolution of every deadline here. */
  readonly sweep: Sweep;
  readonly log: Logger;
  readonly registry: TunnelRegistry;
  readonly router: Router;
  readonly dialBack: DialBack;
  /** Peers whose X-Forwarded headers are kept (`trusted_proxies`). */
  readonly trustedProxies: AddressSet;
  /** The port that downstreams use. */
  publicPort(): number;
}

export type Edge = ReturnType<typeof createEdge>;

export const createEdge = (needs: EdgeNeeds, options: EdgeOptions) => {
  const { clock, sweep, log, registry, router, dialBack } = needs;
  const connections = new Map<Duplex, Http1Downstream>();
  const upgrades = new Set<Duplex>();
  const pools = new Map<TunnelId, Pool<Http1Upstream>>();
  let isDraining = false;

  const createPool = (tunnel: Tunnel): Pool<Http1Upstream> =>
    new Pool<Http1Upstream>(
      {
        sweep,
        dial: (source, signal) => dialBack(tunnel, source, signal),
        wrap: (stream, pool) => new Http1Upstream(stream, pool),
      },
      { idleMs: options.idleMs, idleCountMax: LIMITS.idleStreamsPerTunnelMax },
    );

  const context: EdgeContext = {
    options,
    clock,
    sweep,
    router,
    trustedProxies: needs.trustedProxies,
    publicPort: needs.publicPort,
    isDraining: () => isDraining,
    poolOf(tunnel) {
      let pool = pools.get(tunnel.id);
      if (!pool) {
        pool = createPool(tunnel);
        pools.set(tunnel.id, pool);
      }
      return pool;
    },
    relayUpgrade(downstream, stream) {
      upgrades.add(downstream);
      void relay(downstream, stream.socket, { clock, idleMs: options.streamIdleMs }).then(() =>
        upgrades.delete(downstream),
      );
    },
    record: (record) => logRecord(log, record),
  };

  const undo = registry.onClosed((tunnel) => {
    pools.get(tunnel.id)?.close(fail('AGENT_GONE'));
    pools.delete(tunnel.id);
  });

  return {
    /** Takes over a terminated connection that speaks HTTP/1.1. */
    accept(socket: Duplex, connection: EdgeConnection): void {
      connections.set(socket, new Http1Downstream(context, socket, connection));
      socket.once('close', () => connections.delete(socket));
    },

    /** Answers what is being answered and closes the rest; new requests get ENGINE_DRAINING. */
    drain(): void {
      isDraining = true;
      for (const connection of connections.values()) connection.drain();
    },

    /** Ends everything now. */
    destroy(): void {
      isDraining = true;
      undo();
      for (const socket of [...connections.keys(), ...upgrades]) socket.destroy();
      for (const pool of pools.values()) pool.close(fail('ENGINE_DRAINING'));
      pools.clear();
    },

    /** Downstream connections, upgraded ones included. */
    get connectionCount(): number {
      return connections.size;
    },

    /** Idle streams and waiters in all pools. */
    get pooledCount(): number {
      let count = 0;
      for (const pool of pools.values()) count += pool.idleCount + pool.waiterCount;
      return count;
    },
  };
};

const logRecord = (
  log: Logger,
  { request, remoteAddress, tunnel, status, error, durationMs }: ExchangeRecord,
): void => {
  if (!error && !log.isLevelEnabled('debug')) return;
  const fields = {
    remote: remoteAddress,
    status,
    durationMs: Math.round(durationMs),
    method: request?.method,
    hostname: request?.authority,
    tunnelId: tunnel?.id,
  };
  if (!error) return log.debug(fields, 'exchange');
  const { code, errorId, cause } = error;
  if (code === 'INTERNAL') return log.error({ ...fields, code, errorId, error }, 'exchange failed');
  // What the downstream is not told: why the upstream could not be reached or read.
  const reason = cause instanceof Error ? cause.message : undefined;
  // Browsers break off requests all day long.
  const level = code === 'REQUEST_ABORTED' ? 'debug' : 'info';
  log[level]({ ...fields, code, errorId, reason }, 'exchange refused');
};
