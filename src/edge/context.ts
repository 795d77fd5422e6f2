/**
 * What the connections and exchanges of the edge share, in types alone; edge.ts fills it.
 */
import type { Duplex } from 'node:stream';
import type { AddressSet } from '../base/ip.ts';
import type { Principal } from '../base/principal.ts';
import type { TrafficRecord } from '../base/record.ts';
import type { Clock, Sweep } from '../base/time.ts';
import type { Pool } from '../stream/pool.ts';
import type { Router } from '../tunnel/router.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { Admit } from './admission.ts';
import type { VersionChoice } from './connect.ts';
import type { EdgeConnection } from './connection.ts';
import type { Policies } from './policies.ts';
import type { UpstreamConnection } from './sides.ts';
import type { Taps } from './tap.ts';

export interface EdgeOptions {
  /** Keep-alive of downstream connections and pooled streams (`timeouts.http_idle_seconds`). */
  readonly idleMs: number;
  /** Wait for a response head once the request is whole (`timeouts.http_response_seconds`). */
  readonly responseMs: number;
  /** Wait for the next part of a request body (`timeouts.request_body_idle_seconds`). */
  readonly requestBodyIdleMs: number;
  /** Exchanges at once on one HTTP/2 connection (`limits.requests_per_connection`). */
  readonly requestsPerConnectionMax: number;
  /** Exchanges at once through one tunnel (`limits.requests_per_tunnel`). */
  readonly requestsPerTunnelMax: number;
  /** Size of a request body (`limits.request_body_bytes`); no bound when absent. */
  readonly requestBodyBytesMax?: number | undefined;
  /** Silence of an answer or an upgraded connection (`timeouts.stream_idle_seconds`). */
  readonly streamIdleMs: number;
}

/** What connections and exchanges share. */
export interface EdgeContext {
  readonly options: EdgeOptions;
  readonly clock: Clock;
  readonly sweep: Sweep;
  readonly router: Router;
  readonly trustedProxies: AddressSet;
  publicPort(): number;
  isDraining(): boolean;
  poolOf(tunnel: Tunnel, choice: VersionChoice): Pool<UpstreamConnection>;
  readonly admit: Admit;
  readonly policies: Pick<Policies, 'follow' | 'unfollow'>;
  /**
   * Joins both sides after a switch of protocols, for as long as the tunnel's policy allows the connection.
   * @param principal who asked for it, where the tunnel asks for that
   * @param record of the exchange until then; it is recorded, with what the relay moved, when that ends
   */
  relay(
    tunnel: Tunnel,
    connection: EdgeConnection,
    downstream: Duplex,
    upstream: Duplex,
    record: TrafficRecord,
    principal: Principal | undefined,
  ): void;
  record(record: TrafficRecord): void;
  readonly taps: Taps;
}
