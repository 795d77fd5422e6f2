/**
 * The downstream's door: from an accepted connection to the answer, or to the end of a raw stream.
 *
 * Flow: the doorstep hands over TLS sockets; http1/ and http2/downstream.ts read requests; exchange.ts carries each to a connection of
 * its tunnel's pool. Connections of raw tunnels go to raw.ts as they are.
 * Invariant: knows tunnels and streams, never frames or agents' sessions; when it has stopped, no connection, stream or waiter is left.
 */
import type { Duplex } from 'node:stream';
import { breakOff } from '../base/break-off.ts';
import { type EngineError, engineErrorFrom, fail } from '../base/errors.ts';
import type { AddressSet } from '../base/ip.ts';
import type { Logger } from '../base/log.ts';
import { endFromRelay, failedRecord, type TrafficRecord } from '../base/record.ts';
import { type Clock, inBackground } from '../base/time.ts';
import { relay } from '../stream/relay.ts';
import type { Router } from '../tunnel/router.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import { createAdmission, type ProofVerifiers } from './admission.ts';
import type { EdgeConnection } from './connection.ts';
import type { EdgeContext, EdgeOptions } from './context.ts';
import { createDialUpstream } from './dial-upstream.ts';
import { createDialerAdmission } from './dialer-admission.ts';
import { Http1Downstream } from './http1/downstream.ts';
import { serveHttp2 } from './http2/downstream.ts';
import type { Policies, Running } from './policies.ts';
import { createPools, type PoolsNeeds } from './pools.ts';
import { speaksHttp2 } from './private-http.ts';
import { createRawEdge } from './raw.ts';
import { createReplays } from './replay.ts';
import { NO_TAPS, type Taps } from './tap.ts';
import { createTcpPorts, type ListenOnPort, type PortRange } from './tcp-ports.ts';
import { createTunnelProbe, type TunnelProbeOptions } from './tunnel-probe.ts';

export interface EdgeNeeds extends PoolsNeeds {
  readonly clock: Clock;
  readonly log: Logger;
  readonly router: Router;
  readonly policies: Pick<Policies, 'judge' | 'methodsOf' | 'awaitsProof' | 'follow' | 'unfollow'>;
  readonly proofs: ProofVerifiers;
  /** Peers whose X-Forwarded headers are kept (`trusted_proxies`). */
  readonly trustedProxies: AddressSet;
  /** The port that downstreams use. */
  publicPort(): number;
  readonly listenOnPort: ListenOnPort;
  /** Told of every exchange and stream when it is over. */
  readonly record: (record: TrafficRecord) => void;
  /** Who may look on at exchanges; nobody where it is absent. */
  readonly taps?: Taps | undefined;
}

export interface EdgeSettings extends EdgeOptions {
  /** Ports of published TCP tunnels; undefined: none is published. */
  readonly tcpPorts?: PortRange | undefined;
  readonly probe: TunnelProbeOptions;
}

/** A downstream connection, whatever it speaks. */
interface Draining {
  /** Finishes what runs, then closes. */
  drain(): void;
}

export type Edge = ReturnType<typeof createEdge>;

export const createEdge = (needs: EdgeNeeds, options: EdgeSettings) => {
  const { clock, sweep, log, router, policies, trustedProxies, publicPort, record } = needs;
  const connections = new Map<Duplex, Draining>();
  const relays = new Set<Duplex>();
  const pools = createPools(needs, options);
  const dialUpstream = createDialUpstream(needs);
  const admit = createAdmission(needs);
  const raw = createRawEdge(
    { clock, log, admit, policies, dialUpstream, record },
    { idleMs: options.streamIdleMs },
  );
  const tcpPorts = createTcpPorts(
    { registry: needs.registry, listen: needs.listenOnPort, accept: raw.accept },
    { range: options.tcpPorts },
  );
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
    admit,
    policies,
    relay(tunnel, connection, downstream, upstream, begun, principal) {
      relays.add(downstream);
      const startMs = clock.elapsed();
      let cutBy: EngineError | undefined;
      const running: Running = {
        tunnel,
        connection,
        principal,
        cut(error) {
          cutBy = error;
          // Both, as the other would first be let finish what it has.
          breakOff(downstream);
          breakOff(upstream);
        },
      };
      // A private dialer was let in when it came, and is cut as a whole (dialer-admission.ts).
      if (!connection.tunnel) policies.follow(running);
      const noteReset = (code: 'REQUEST_ABORTED' | 'UPSTREAM_CLOSED') => () => {
        cutBy ??= fail(code);
      };
      passOnReset(downstream, upstream, noteReset('REQUEST_ABORTED'));
      passOnReset(upstream, downstream, noteReset('UPSTREAM_CLOSED'));
      inBackground(
        relay(downstream, upstream, { clock, idleMs: options.streamIdleMs, pulse: tunnel.pulse }).then(
          (result) => {
            relays.delete(downstream);
            policies.unfollow(running);
            const end = endFromRelay(result, cutBy);
            record({ ...begun, ...end, durationMs: begun.durationMs + clock.elapsed() - startMs });
          },
        ),
        (error) => log.error({ error }, 'relay failed'),
      );
    },
    record,
    taps: needs.taps ?? NO_TAPS,
  };
  const replays = createReplays(context);

  const serve = (socket: Duplex, connection: EdgeConnection): Draining =>
    connection.alpnProtocol === 'h2'
      ? serveHttp2(context, socket, connection)
      : new Http1Downstream(context, socket, connection);

  /**
   * The tunnel that the doorstep meant. Its name may have changed hands during the handshake, and OpenSSL lets a client that is asked
   * for a second hello leave ALPN out of it, so what was agreed on is held against the tunnel that is there now.
   */
  const rawTunnel = (
    { serverName = '', alpnProtocol = '' }: EdgeConnection,
    mode: 'terminated' | 'passthrough',
  ): Tunnel => {
    const route = router.route(serverName);
    const published = route.kind === 'tunnel' ? route.tunnel.published : undefined;
    if (route.kind !== 'tunnel' || published?.kind !== mode) throw fail('AGENT_GONE');
    const protocols = published.kind === 'terminated' ? published.alpnProtocols : [];
    if (protocols.length > 0 && !protocols.includes(alpnProtocol)) throw fail('ALPN_UNSUPPORTED');
    return route.tunnel;
  };

  const acceptTls = (socket: Duplex, connection: EdgeConnection, mode: 'terminated' | 'passthrough') => {
    try {
      raw.accept(socket, rawTunnel(connection, mode), connection);
    } catch (thrown) {
      breakOff(socket);
      record(failedRecord('stream', connection, engineErrorFrom(thrown)));
    }
  };

  return {
    /** Takes over a terminated connection that speaks HTTP/1.1, or HTTP/2 where ALPN says so. */
    accept(socket: Duplex, connection: EdgeConnection): void {
      connections.set(socket, serve(socket, connection));
      socket.once('close', () => connections.delete(socket));
    },

    /** Takes over a connection to a TLS tunnel, terminated. */
    acceptTerminated: (socket: Duplex, connection: EdgeConnection) =>
      acceptTls(socket, connection, 'terminated'),

    /** Takes over a connection to a TLS tunnel that is passed through: everything that it has sent is still in the socket. */
    acceptPassthrough: (socket: Duplex, connection: EdgeConnection) =>
      acceptTls(socket, connection, 'passthrough'),

    /** Takes over a private dialer that speaks HTTP/1.1, or HTTP/2 with prior knowledge, to one tunnel. */
    async acceptPrivate(socket: Duplex, dialer: EdgeConnection, tunnel: Tunnel): Promise<void> {
      connections.set(socket, { drain: () => socket.destroy() });
      socket.once('close', () => connections.delete(socket));
      const isHttp2 = await speaksHttp2(socket, clock);
      if (isHttp2 === undefined || socket.destroyed) return void socket.destroy();
      const connection = { ...dialer, tunnel, alpnProtocol: isHttp2 ? 'h2' : 'http/1.1' };
      connections.set(socket, serve(socket, connection));
    },

    /** One stream of raw bytes to the upstream of a tunnel, for private dials. */
    dialUpstream,
    /** Whether a private dialer may reach a tunnel, and stay. */
    admitDialer: createDialerAdmission(policies),

    /** Asks the upstream of a tunnel for a proof that it is reached. */
    probe: createTunnelProbe({ ...needs, pools }, options.probe),
    /** Sends a captured request to its tunnel once more. */
    replay: replays.replay,

    /** The port of a TCP tunnel that is about to open. */
    reservePort: tcpPorts.reserve,

    /** Answers what is being answered and closes the rest; new requests get ENGINE_DRAINING. */
    drain(): void {
      isDraining = true;
      raw.drain();
      for (const connection of connections.values()) connection.drain();
    },

    /** Ends everything now; resolves when the raw connections are closed, of which nobody else knows. */
    async destroy(): Promise<void> {
      isDraining = true;
      tcpPorts.close();
      replays.destroy();
      const rawClosed = raw.destroy();
      for (const socket of relays) breakOff(socket);
      for (const socket of connections.keys()) socket.destroy();
      pools.close();
      await rawClosed;
    },

    /** Downstream connections, switched and raw ones included. */
    get connectionCount(): number {
      return connections.size + raw.connectionCount;
    },

    /** TCP ports that are listened on. */
    get portCount(): number {
      return tcpPorts.count;
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
const passOnReset = (from: Duplex, to: Duplex, note: () => void): void => {
  const stream: Duplex & { readonly rstCode?: number } = from;
  const pass = () => {
    note();
    breakOff(to);
  };
  stream.once('aborted', pass).once('end', () => {
    if (stream.rstCode) pass();
  });
};
