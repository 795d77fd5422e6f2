/**
 * From a Config to the options of each room: every setting that a room takes over as it is, is taken over here.
 *
 * Invariant: rooms know no Config; units change here and nowhere else (seconds and days of an operator, milliseconds inside).
 */
import { splitListenAddress } from './base/ip.ts';
import type { Config } from './config/schema.ts';
import type { PostQuantum } from './socket/post-quantum.ts';
import { probeOptionsFrom } from './truth-light.ts';

const DAY_MS = 86_400_000;
const TLS_VERSIONS = { 'tls1.2': 'TLSv1.2', 'tls1.3': 'TLSv1.3' } as const;

export const secondsOf = (seconds: number): number => seconds * 1_000;

/** The configuration's own checks have made sure that it splits. */
export const listenAddressOf = (text: string) => splitListenAddress(text) ?? { host: '', port: 0 };

const portRangeOf = (text: string) => {
  const [first = 0, last = first] = text.split('-').map(Number);
  return { first, last };
};

/** What TLS everybody speaks, and what more is demanded of what is published. */
export const tlsDemandsFrom = ({ tls, policy }: Config) => {
  const versionMin = TLS_VERSIONS[tls.min_version];
  const postQuantum: PostQuantum = tls.post_quantum;
  return {
    versionMin,
    publishedVersionMin: policy.tls_min_version === 'tls1.3' ? TLS_VERSIONS['tls1.3'] : versionMin,
    postQuantum,
    publishedPostQuantum: policy.post_quantum === 'require' ? ('require' as const) : postQuantum,
  };
};

export const auditOptionsFrom = ({ audit }: Config) => ({
  path: audit.path,
  sizeBytesMax: audit.size_bytes,
  ageMsMax: audit.keep_days * DAY_MS,
});

export const observationOptionsFrom = ({ metrics, records, admin }: Config) => ({
  isMetered: metrics.prometheus.enabled,
  records: records.enabled
    ? { path: records.path, countMax: records.max_rows, ageMsMax: records.max_age_days * DAY_MS }
    : undefined,
  logLevel: records.log,
  isCharted: admin.enabled,
});

export const sourceLimitsFrom = ({ limits }: Config) => ({
  connectionsPerSource: limits.connections_per_source,
  ratePerSource: limits.connection_rate_per_source,
});

export const agentDoorOptionsFrom = ({ timeouts }: Config) => ({
  dialBackMs: secondsOf(timeouts.stream_request_seconds),
  streamIdleMs: secondsOf(timeouts.stream_idle_seconds),
});

export const edgeOptionsFrom = (config: Config) => {
  const { timeouts, limits, tcp } = config;
  return {
    idleMs: secondsOf(timeouts.http_idle_seconds),
    responseMs: secondsOf(timeouts.http_response_seconds),
    requestBodyIdleMs: secondsOf(timeouts.request_body_idle_seconds),
    streamIdleMs: secondsOf(timeouts.stream_idle_seconds),
    requestsPerConnectionMax: limits.requests_per_connection,
    requestsPerTunnelMax: limits.requests_per_tunnel,
    requestBodyBytesMax: limits.request_body_bytes,
    tcpPorts: tcp.enabled ? portRangeOf(tcp.port_range) : undefined,
    probe: probeOptionsFrom(config),
  };
};

export const doorstepOptionsFrom = (config: Config) => {
  const { versionMin, postQuantum, publishedPostQuantum } = tlsDemandsFrom(config);
  return {
    listenAddress: listenAddressOf(config.tls.listen_addr),
    engineHost: config.engine.host,
    connectionsMax: config.limits.connections,
    publishedProtocols: ['h2', 'http/1.1'],
    versionMin,
    postQuantum,
    publishedPostQuantum,
  };
};
