/**
 * The downstream's door: published HTTP, from a terminated connection to the answer.
 *
 * Flow: the doorstep hands over TLS sockets; http1/ and http2/downstream.ts read requests; exchange.ts carries each to a connection of
 * its tunnel's pool.
 * Invariant: knows tunnels and streams, never frames or agents' sessions; when it has stopped, no connection, stream or waiter is left.
 */
import type { Duplex } from 'node:stream';
import { fail } from '../base/errors.ts';
import type { AddressSet } from '../base/ip.ts';
import type { Logger } from '../base/log.ts';
import { type Clock, inBackground } from '../base/time.ts';
import { relay } from '../stream/relay.ts';
import type { Router } from '../tunnel/router.ts';
import type { EdgeConnection } from './connection.ts';
import type { EdgeContext, EdgeOptions, ExchangeRecord } from './context.ts';
import { Http1Downstream } from './http1/downstream.ts';
import { serveHttp2 } from './http2/downstream.ts';
import type { Policies } from './policies.ts';
import { createPools, type PoolsNeeds } from './pools.ts';

export interface EdgeNeeds extends PoolsNeeds {
  readonly clock: Clock;
  readonly log: Logger;
  readonly router: Router;
  readonly policies: Pick<Policies, 'judge' | 'follow'>;
  /** Peers whose X-Forwarded headers are kept (`trusted_proxies`). */
  readonly trustedProxies: AddressSet;
  /** The port that downstreams use. */
  publicPort(): number;
}

/** A downstream connection, whatever it speaks. */
interface Draining {
  /** Finishes what runs, then closes. */
  drain(): void;
}

export type Edge = ReturnType<typeof createEdge>;

export const createEdge = (needs: EdgeNeeds, options: EdgeOptions) => {
  const { clock, sweep, log, router, policies, trustedProxies, publicPort } = needs;
  const connections = new Map<Duplex, Draining>();
  const relays = new Set<Duplex>();
  const pools = createPools(needs, options);
  let isDraining = false;

  const context: EdgeContext = {
    options,
    clock,
    sweep,
    router,
    trustedProxies,
    publicPort,
    isDraining: () => isDraining,
    poolOf: pools.of,
    policies,
    relay(tunnel, connection, downstream, upstream) {
      relays.add(downstream);
      const unfollow = policies.follow(tunnel, connection, (error) => {
        const { code, errorId } = error;
        log.info({ remote: connection.remoteAddress, tunnelId: tunnel.id, code, errorId }, 'stream cut');
        // Both, as the other would first be let finish what it has.
        downstream.destroy(error);
        upstream.destroy(error);
      });
      passOnReset(downstream, upstream, 'REQUEST_ABORTED');
      passOnReset(upstream, downstream, 'UPSTREAM_CLOSED');
      inBackground(
        relay(downstream, upstream, { clock, idleMs: options.streamIdleMs }).then(() => {
          relays.delete(downstream);
          unfollow();
        }),
        (error) => log.error({ error }, 'relay failed'),
      );
    },
    record: (record) => logRecord(log, record),
  };

  return {
    /** Takes over a terminated connection that speaks HTTP/1.1, or HTTP/2 where ALPN says so. */
    accept(socket: Duplex, connection: EdgeConnection): void {
      const serve = () =>
        connection.alpnProtocol === 'h2'
          ? serveHttp2(context, socket, connection)
          : new Http1Downstream(context, socket, connection);
      connections.set(socket, serve());
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
      for (const socket of [...connections.keys(), ...relays]) socket.destroy();
      pools.close();
    },

    /** Downstream connections, switched ones included. */
    get connectionCount(): number {
      return connections.size;
    },

    /** Upstream connections with room, and waiters, of all pools. */
    get pooledCount(): number {
      return pools.count;
    },
  };
};

/**
 * Breaks off `to` when `from` is an HTTP/2 stream that was reset. Node lets such a stream end like any other, and half a transfer would
 * look like a whole one; 'aborted' says so at once, and is not said where our own side has ended already.
 */
const passOnReset = (from: Duplex, to: Duplex, code: 'REQUEST_ABORTED' | 'UPSTREAM_CLOSED'): void => {
  const stream: Duplex & { readonly rstCode?: number } = from;
  stream.once('aborted', () => to.destroy(fail(code)));
  stream.once('end', () => {
    if (stream.rstCode) to.destroy(fail(code));
  });
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
