/**
 * The composition root: builds the rooms from a Config, wires their seams, starts, drains and stops.
 *
 * Flow: doorstep -> control | edge | api; control -> store, registry, rendezvous; edge -> router, pools -> control's dialBack.
 * Invariant: every mapping from configuration to a room's options stands here, and nowhere else; after `stop` nothing of the engine is
 * left: no socket, stream, waiter, timer or open file.
 */

import { createApi } from './api/app.ts';
import { createAddressSet, splitListenAddress } from './base/ip.ts';
import { LIMITS } from './base/limits.ts';
import type { Logger } from './base/log.ts';
import { type Clock, createSweep, every, pause } from './base/time.ts';
import type { Config } from './config/schema.ts';
import { createAgentDoor } from './control/accept.ts';
import { createEdge } from './edge/edge.ts';
import { createRedirect } from './edge/redirect.ts';
import { bind } from './socket/bind.ts';
import { createCertificates } from './socket/certificates.ts';
import { createDoorstep } from './socket/listener.ts';
import { createUpstreamTls } from './socket/upstream-tls.ts';
import { createAuditLog } from './store/audit.ts';
import { createCredentials } from './store/credentials.ts';
import { openDatabase } from './store/database.ts';
import { createRegistry } from './tunnel/registry.ts';
import { createRouter } from './tunnel/router.ts';
import { VERSION } from './version.ts';

/** What is alive in an engine; all zero after `stop`. */
export interface EngineCounts {
  readonly connections: number;
  readonly sessions: number;
  readonly tunnels: number;
  /** Dial requests that wait for their dial-back. */
  readonly dials: number;
  /** Private streams that are relayed. */
  readonly privateStreams: number;
  /** Downstream connections that speak HTTP, or were upgraded. */
  readonly downstreams: number;
  /** Idle streams and waiters of all pools. */
  readonly pooled: number;
  readonly timers: number;
}

export interface Engine {
  /** @throws ADDRESS_IN_USE, ADDRESS_UNAVAILABLE */
  start(): Promise<{ host: string; port: number }>;
  /** Takes no new work, lets running work finish for `timeouts.drain_seconds`, then ends the rest; the same end for all who call. */
  stop(): Promise<void>;
  counts(): EngineCounts;
}

// How often a stopping engine looks whether its work is done.
const DRAIN_CHECK_MS = 50;

/** @throws CERTIFICATE_INVALID, STORE_UNAVAILABLE, STORE_TOO_NEW */
export const createEngine = (config: Config, { clock, log }: { clock: Clock; log: Logger }): Engine => {
  const engineHost = config.engine.host;
  let listeningPort = 0;
  const publicPort = () => config.tls.public_port ?? listeningPort;
  const secondsOf = (seconds: number) => seconds * 1_000;
  const { timeouts } = config;

  const certificates = createCertificates(
    { log, clock },
    { certFile: config.certs.static.cert_file, keyFile: config.certs.static.key_file },
  );
  const database = openDatabase({ path: config.store.path, mode: 'create' });
  const { token_jwt_secret: jwtSecret } = config.auth.jwt;
  const { signing_key: signingKey } = config.store;
  const audit = createAuditLog(
    { clock, onFault: (error) => log.error({ code: error.code, error }, 'an event is not in the audit log') },
    {
      path: config.audit.path,
      sizeBytesMax: config.audit.size_bytes,
      ageMsMax: secondsOf(config.audit.keep_days * 86_400),
    },
  );
  const credentials = createCredentials({
    database,
    clock,
    engineHost,
    onEvent: (event) => audit.record({ ...event, actor: 'engine', origin: 'local' }),
    ...(jwtSecret && { jwtSecret }),
    ...(signingKey && { signingKey }),
  });

  const registry = createRegistry({ clock }, { engineHost, publicPort });
  const router = createRouter({ registry, clock });
  const sweep = createSweep(clock, 1_000);

  const door = createAgentDoor(
    {
      clock,
      log,
      registry,
      verifyCredential: credentials.verify,
      verifyCertificate: credentials.verifyCertificate,
    },
    {
      version: VERSION,
      dialBackMs: secondsOf(timeouts.stream_request_seconds),
      streamIdleMs: secondsOf(timeouts.stream_idle_seconds),
    },
  );
  const edge = createEdge(
    {
      clock,
      sweep,
      log,
      registry,
      router,
      publicPort,
      dialBack: door.dialBack,
      secureUpstream: createUpstreamTls({ clock }, { isVerified: config.upstream.verify }),
      trustedProxies: createAddressSet(config.trusted_proxies),
    },
    {
      idleMs: secondsOf(timeouts.http_idle_seconds),
      responseMs: secondsOf(timeouts.http_response_seconds),
      requestBodyIdleMs: secondsOf(timeouts.request_body_idle_seconds),
      streamIdleMs: secondsOf(timeouts.stream_idle_seconds),
      requestsPerConnectionMax: config.limits.requests_per_connection,
      requestsPerTunnelMax: config.limits.requests_per_tunnel,
      requestBodyBytesMax: config.limits.request_body_bytes,
    },
  );
  let isDraining = false;
  const api = createApi({
    clock,
    log,
    registry,
    verifyToken: credentials.verify,
    listAgents: door.listSessions,
    isDraining: () => isDraining,
  });
  const doorstep = createDoorstep(
    {
      clock,
      log,
      certificates,
      publishedMode: router.publishedMode,
      onAgent: (socket, connection) => door.accept(socket, connection),
      onApi: (socket) => api.accept(socket),
      onPublished: (socket, connection) => edge.accept(socket, connection),
    },
    {
      listenAddress: listenAddressOf(config.tls.listen_addr),
      engineHost,
      connectionsMax: config.limits.connections,
      publishedProtocols: ['h2', 'http/1.1'],
      versionMin: config.tls.min_version === 'tls1.3' ? 'TLSv1.3' : 'TLSv1.2',
    },
  );
  const redirect = config.http.enabled ? createRedirect({ engineHost, publicPort }) : undefined;
  const recheckCredentials = () => door.recheck(credentials.activity());
  const recheck = every(clock, LIMITS.credentialRecheckMs, recheckCredentials);
  credentials.onChange(recheckCredentials);

  let stopped: Promise<void> | undefined;
  const isBusy = () => edge.connectionCount > 0 || door.counts().streams > 0;
  const destroy = async (): Promise<void> => {
    recheck.cancel();
    redirect?.close();
    redirect?.closeAllConnections();
    edge.destroy();
    api.destroy();
    await Promise.all([door.destroy(), doorstep.destroy()]);
    database.close();
    audit.close();
  };

  const drainAndDestroy = async (): Promise<void> => {
    isDraining = true;
    log.info({ sessions: door.counts().sessions, downstreams: edge.connectionCount }, 'engine draining');
    edge.drain();
    door.drain();
    const startMs = clock.elapsed();
    const drainMs = secondsOf(timeouts.drain_seconds);
    // Agents that have been told are given a moment to read it; work is given its time.
    const waitMs = () =>
      isBusy() ? drainMs : door.counts().sessions > 0 ? Math.min(drainMs, LIMITS.goodbyeMsMax) : 0;
    while (clock.elapsed() - startMs < waitMs()) await pause(clock, DRAIN_CHECK_MS);
    await destroy();
    log.info({}, 'engine stopped');
  };

  return {
    async start() {
      try {
        const address = await doorstep.listen();
        listeningPort = address.port;
        if (redirect) await bind(redirect, listenAddressOf(config.http.listen_addr));
        log.info(
          { host: engineHost, address: address.host, port: address.port, version: VERSION },
          'engine ready',
        );
        return address;
      } catch (error) {
        await destroy();
        throw error;
      }
    },

    stop() {
      stopped ??= drainAndDestroy();
      return stopped;
    },

    counts: () => {
      const { sessions, dials, streams } = door.counts();
      return {
        connections: doorstep.connectionCount,
        sessions,
        tunnels: registry.count,
        dials,
        privateStreams: streams,
        downstreams: edge.connectionCount,
        pooled: edge.pooledCount,
        timers: clock.pendingCount,
      };
    },
  };
};

// The configuration's own check has made sure that it splits.
const listenAddressOf = (text: string) => splitListenAddress(text) ?? { host: '', port: 0 };
