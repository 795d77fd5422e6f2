/**
 * The composition root: builds the rooms from a Config, wires their seams, starts, drains and stops.
 *
 * Flow: doorstep -> control | edge | api; control -> store, registry, rendezvous; edge -> router, policies, pools -> control's dialBack.
 * Where it would be too much for one file, a part of it has a file beside this: what is kept (engine-state.ts), settings (engine-options.ts),
 * the admin page (admin-door.ts), metrics (metrics-door.ts), and each feature that joins rooms.
 * Invariant: after `stop` nothing of the engine is left: no socket, stream, waiter, timer or open file.
 */

import { createAdminDoor } from './admin-door.ts';
import { createApi } from './api/app.ts';
import { createAddressSet, isLoopbackAddress } from './base/ip.ts';
import { LIMITS } from './base/limits.ts';
import type { Logger } from './base/log.ts';
import { createProofThrottle } from './base/proof-throttle.ts';
import { type Clock, createSweep, every, inBackground, pause } from './base/time.ts';
import type { ConfigFile } from './cli/config-file.ts';
import type { Config } from './config/schema.ts';
import { createAgentDoor } from './control/accept.ts';
import type { AgentConnection } from './control/session-view.ts';
import { createEdge } from './edge/edge.ts';
import { createPolicies } from './edge/policies.ts';
import { createRedirect } from './edge/redirect.ts';
import {
  agentDoorOptionsFrom,
  doorstepOptionsFrom,
  edgeOptionsFrom,
  listenAddressOf,
  observationOptionsFrom,
  secondsOf,
  sourceLimitsFrom,
  tlsDemandsFrom,
} from './engine-options.ts';
import { openEngineState } from './engine-state.ts';
import { createInspectorFrom } from './inspection.ts';
import { createMetricsDoor } from './metrics-door.ts';
import { createLevels } from './observe/engine-levels.ts';
import { createObservation } from './observe/observation.ts';
import type { Probes } from './observe/probes.ts';
import type { Records } from './observe/records.ts';
import { auditPolicyChanges, policyChanges, warnOfForbidden } from './policy-changes.ts';
import { engineRulesFrom } from './policy-desk.ts';
import { createServerCertificates, loadCertificates } from './server-certificates.ts';
import { createArrivals } from './socket/arrivals.ts';
import { bind } from './socket/bind.ts';
import { createDoorstep } from './socket/listener.ts';
import { checkPostQuantum } from './socket/post-quantum.ts';
import { createPortListener } from './socket/tcp-port.ts';
import { createUpstreamTls } from './socket/upstream-tls.ts';
import { createGeo, type Geo } from './store/geo.ts';
import { createProofs } from './store/proofs.ts';
import { createTruthLight } from './truth-light.ts';
import { createRegistry } from './tunnel/registry.ts';
import { createRouter } from './tunnel/router.ts';
import { VERSION } from './version.ts';
import { createWebhookFeed } from './webhook-feed.ts';

/** What is alive in an engine; all zero after `stop`. */
export interface EngineCounts {
  readonly connections: number;
  readonly sessions: number;
  readonly tunnels: number;
  /** Dial requests that wait for their dial-back. */
  readonly dials: number;
  /** Private streams that are relayed. */
  readonly privateStreams: number;
  /** Downstream connections, those of raw tunnels and of private HTTP ones included. */
  readonly downstreams: number;
  /** Idle streams and waiters of all pools. */
  readonly pooled: number;
  /** Ports of TCP tunnels. */
  readonly ports: number;
  /** Connections that watch by the Engine API. */
  readonly watchers: number;
  /** Probes that wait for their answer. */
  readonly probes: number;
  readonly adminConnections: number;
  readonly timers: number;
}

export interface Engine {
  /** @throws ADDRESS_IN_USE, ADDRESS_UNAVAILABLE */
  start(): Promise<{ host: string; port: number; adminPort?: number }>;
  /** Takes no new work, lets running work finish for `timeouts.drain_seconds`, then ends the rest; the same end for all who call. */
  stop(): Promise<void>;
  /** Puts the rules and the drain time of another configuration into force (cli/reload.ts); the rest of it is not looked at. */
  reload(config: Config): void;
  counts(): EngineCounts;
  /** What happened to exchanges and streams; absent where it is not kept (`records.enabled`). */
  readonly records: Pick<Records, 'search'> | undefined;
  /** What is proved of each tunnel; absent where they are not probed (`probes.enabled`). */
  readonly truthLight: Pick<Probes, 'truthOf'> | undefined;
}

// How often a stopping engine looks whether its work is done.
const DRAIN_CHECK_MS = 50;

/** @throws CERTIFICATE_INVALID, GEOIP_DATABASE_INVALID, POST_QUANTUM_UNAVAILABLE, STORE_UNAVAILABLE, STORE_TOO_NEW */
export const createEngine = (
  config: Config,
  { clock, log, configFile }: { clock: Clock; log: Logger; configFile?: ConfigFile },
): Engine => {
  // With what has been reloaded since; everything else was mapped at the start.
  let running = config;
  const engineHost = config.engine.host;
  let listeningPort = 0;
  const publicPort = () => config.tls.public_port ?? listeningPort;
  let drainMs = secondsOf(config.timeouts.drain_seconds);

  const tls = tlsDemandsFrom(config);
  for (const mode of [tls.postQuantum, tls.publishedPostQuantum]) checkPostQuantum(mode);

  const certificates = loadCertificates({ log, clock }, config);
  const { database: geoipPath } = config.geoip;
  const geo = geoipPath === undefined ? undefined : createGeo({ log }, { path: geoipPath });
  const state = openEngineState(config, { clock, log });
  const { audit, actors, credentials } = state;
  const countryOf = (address: string) => geo?.countryOf(address);
  const webhooks = createWebhookFeed({ clock, log, audit, actors, countryOf }, config);

  const { record, meters, metrics, records, history } = createObservation(
    {
      clock,
      log,
      countryOf,
      tellFailed: webhooks.tellFailed,
      levels: createLevels(() => door.counts().dialBacks),
    },
    observationOptionsFrom(config),
  );
  const serverCertificates = createServerCertificates(
    {
      clock,
      log,
      audit,
      certificates,
      metrics,
      onExpiring(event) {
        log.warn({ ...event }, 'a server certificate needs a look');
        webhooks.tellExpiring(event);
      },
    },
    config,
  );

  const registry = createRegistry(
    { clock, admit: (properties) => policies.admit(properties) },
    { engineHost, publicPort, tlsVersionMin: tls.publishedVersionMin },
  );
  const policies = createPolicies({ registry, countryOf }, engineRulesFrom(config));
  const inspector = createInspectorFrom(config, { clock, registry });
  const router = createRouter({ registry, clock }, { engineHost });
  const sweep = createSweep(clock, 1_000);

  // An agent dials back once a stream, and behind a loopback address stands a proxy or the operator.
  const isExempt = (address: string) => isLoopbackAddress(address) || door.hasSessionFrom(address);
  const throttle = createProofThrottle({ clock, isExempt });
  const proofs = createProofs({
    credentials: {
      ...credentials,
      verify: meters.countingProofs('token', credentials.verify),
      verifyInQuery: meters.countingProofs('token', credentials.verifyInQuery),
      verifyCertificate: meters.countingProofs('certificate', credentials.verifyCertificate),
    },
    throttle,
  });

  // Each of the two doors needs the other, and neither before the first connection.
  const door = createAgentDoor(
    {
      clock,
      log,
      registry,
      record,
      countRefusal: meters.countRefusalAt('agents'),
      verifyCredential: proofs.verifyToken,
      verifyCertificate: proofs.verifyCertificate,
      reservePort: async ({ protocol, port }) => (protocol === 'tcp' ? edge.reservePort(port) : undefined),
      privateEdge: {
        admit: (...dialer) => edge.admitDialer(...dialer),
        dialUpstream: (tunnel, dialer, signal) => edge.dialUpstream(tunnel, addressesOf(dialer), signal),
        serveHttp: (socket, connection, tunnel) =>
          inBackground(edge.acceptPrivate(socket, addressesOf(connection), tunnel), (error) =>
            log.error({ error }, 'a private connection was not served'),
          ),
      },
    },
    { version: VERSION, ...agentDoorOptionsFrom(config) },
  );
  webhooks.follow({ registry, findAgent: door.findSession, onAgent: door.onSession });
  const arrivals = createArrivals(
    {
      clock,
      log,
      trustedProxies: createAddressSet(config.proxy_protocol.trusted),
      isExempt,
    },
    sourceLimitsFrom(config),
  );
  const edge = createEdge(
    {
      clock,
      sweep,
      log,
      registry,
      router,
      policies,
      proofs,
      publicPort,
      dialBack: meters.timingDials(door.dialBack),
      record,
      taps: inspector?.taps,
      secureUpstream: createUpstreamTls({ clock }, { isVerified: config.upstream.verify }),
      trustedProxies: createAddressSet(config.trusted_proxies),
      listenOnPort: createPortListener(
        { arrivals, log },
        { host: config.tcp.listen_host, connectionsMax: config.limits.connections },
      ),
    },
    edgeOptionsFrom(config),
  );
  const truthLight = createTruthLight({ clock, log, registry, probe: edge.probe, metrics }, config);
  let isDraining = false;
  const api = createApi({
    clock,
    log,
    registry,
    countRefusal: meters.countRefusalAt('api'),
    verifyToken: proofs.verifyToken,
    verifyQueryToken: proofs.verifyQueryToken,
    listAgents: door.listSessions,
    findAgent: door.findSession,
    onAgent: door.onSession,
    isDraining: () => isDraining,
  });
  const doorstep = createDoorstep(
    {
      clock,
      log,
      arrivals,
      certificates,
      publishedMode: router.publishedMode,
      countHandshake: meters.countHandshake,
      countRefusal: meters.countRefusalAt('listener'),
      onAgent: (socket, connection) => door.accept(socket, connection),
      onApi: (socket, connection) => api.accept(socket, connection),
      onPublished: (socket, connection) => edge.accept(socket, connection),
      onRaw: (socket, connection) => edge.acceptTerminated(socket, connection),
      onPassthrough: (socket, connection) => edge.acceptPassthrough(socket, connection),
    },
    doorstepOptionsFrom(config),
  );
  const admin = history
    ? createAdminDoor(
        {
          clock,
          log,
          database: state.database,
          arrivals,
          certificates,
          serverCertificates,
          registry,
          credentials,
          proofs,
          audit,
          actors,
          door,
          truthOf: (id) => truthLight?.truthOf(id),
          inspector,
          replay: edge.replay,
          webhooks: webhooks.desk,
          isDraining: () => isDraining,
          connectionCounts: () => ({
            downstreams: edge.connectionCount,
            connections: doorstep.connectionCount,
          }),
          engineAddress: () => `${engineHost}:${publicPort()}`,
          records,
          history,
          policies,
          configFile,
          countryOf,
          running: () => running,
        },
        config,
      )
    : undefined;
  const redirect = config.http.enabled
    ? createRedirect({ engineHost, publicPort, arrive: arrivals.arrive, log })
    : undefined;
  const metricsDoor =
    metrics &&
    createMetricsDoor(
      {
        log,
        metrics,
        tunnels: registry.list,
        sessions: door.listSessions,
        counts: () => ({
          connections: doorstep.connectionCount,
          downstreams: edge.connectionCount,
          streams: door.counts().dialBacks,
          dials: door.counts().dials,
          badProofSources: throttle.count,
        }),
        drops: () => doorstep.dropCounts,
        webhooks: () => webhooks.counts,
        records: () => records ?? { keptCount: 0, lostCount: 0 },
        startedAt: clock.now(),
      },
      config,
    );
  const recheckCredentials = () => {
    const isActive = credentials.activity();
    door.recheck(isActive);
    api.recheck(isActive);
    admin?.recheck(isActive);
    policies.recheck(isActive);
  };
  const recheck = every(clock, LIMITS.credentialRecheckMs, recheckCredentials);
  credentials.onChange(recheckCredentials);

  const refreshGeo = async (from: Geo) => {
    if (await from.refresh()) policies.reevaluate();
  };
  const geoCheck =
    geo &&
    every(clock, LIMITS.geoipCheckMs, () =>
      inBackground(refreshGeo(geo), (error) => log.error({ error }, 'refreshing the GeoIP database failed')),
    );

  let stopped: Promise<void> | undefined;
  const isBusy = () => edge.connectionCount > 0 || door.counts().streams > 0;
  const destroy = async (): Promise<void> => {
    recheck.cancel();
    serverCertificates.stop();
    geoCheck?.cancel();
    truthLight?.stop();
    inspector?.close();
    redirect?.close();
    redirect?.closeAllConnections();
    metricsDoor?.destroy();
    history?.stop();
    arrivals.destroy();
    api.destroy();
    await Promise.all([edge.destroy(), door.destroy(), doorstep.destroy(), admin?.destroy()]);
    records?.close();
    await webhooks.close();
    state.close();
  };

  const drainAndDestroy = async (): Promise<void> => {
    isDraining = true;
    log.info({ sessions: door.counts().sessions, downstreams: edge.connectionCount }, 'engine draining');
    truthLight?.stop();
    edge.drain();
    // Before the agents go: watchers learn of the end, not of each tunnel that it closes.
    api.drain();
    door.drain();
    const startMs = clock.elapsed();
    // Agents and watchers that have been told are given a moment to read it; work is given its time.
    const isParting = () => door.counts().sessions > 0 || api.watcherCount > 0;
    const waitMs = () => (isBusy() ? drainMs : isParting() ? Math.min(drainMs, LIMITS.goodbyeMsMax) : 0);
    while (clock.elapsed() - startMs < waitMs()) await pause(clock, DRAIN_CHECK_MS);
    await destroy();
    log.info({}, 'engine stopped');
  };

  return {
    async start() {
      try {
        await serverCertificates.start();
        const address = await doorstep.listen();
        listeningPort = address.port;
        if (redirect) await bind(redirect, listenAddressOf(config.http.listen_addr), 'http.listen_addr');
        await metricsDoor?.listen();
        const adminAddress = await admin?.listen();
        if (adminAddress) log.info({ ...adminAddress }, 'admin page ready');
        webhooks.start();
        log.info(
          { host: engineHost, address: address.host, port: address.port, version: VERSION },
          'engine ready',
        );
        return { ...address, ...(adminAddress && { adminPort: adminAddress.port }) };
      } catch (error) {
        await destroy();
        throw error;
      }
    },

    stop() {
      stopped ??= drainAndDestroy();
      return stopped;
    },

    records,
    truthLight,
    reload(next) {
      drainMs = secondsOf(next.timeouts.drain_seconds);
      const changes = policyChanges(running.policy, next.policy);
      auditPolicyChanges({ actors, audit }, 'policy.change', changes);
      running = next;
      const rules = engineRulesFrom(next);
      policies.replaceRules(rules);
      if (changes.length > 0) warnOfForbidden({ log, registry }, rules);
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
        ports: edge.portCount,
        watchers: api.watcherCount,
        probes: truthLight?.runningCount ?? 0,
        adminConnections: admin?.connectionCount ?? 0,
        timers: clock.pendingCount,
      };
    },
  };
};

/** What the edge may know of a private dialer: not the TLS of its agent connection, which says nothing of what is inside. */
const addressesOf = ({ remoteAddress, remotePort, localAddress, localPort }: AgentConnection) => ({
  remoteAddress,
  remotePort,
  localAddress,
  localPort,
});
