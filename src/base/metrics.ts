/**
 * Every metric, in one table.
 *
 * Flow: metric-numbers.ts keeps the numbers; observe/ counts; docs/metrics.md is rendered from the table.
 * Invariant: labels take their values from closed sets, never from what a peer chose, so that there is an end to the series.
 */
import { ERRORS, type ErrorCode } from './errors.ts';

type Labels = Readonly<Record<string, readonly string[]>>;

/** One row of the table. */
export interface MetricRow {
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** A sentence for the operator. */
  readonly help: string;
  /** Every value that each label may have. */
  readonly labels: Labels;
  /** Upper bounds of a histogram's buckets. */
  readonly buckets: readonly number[];
}

const NO_LABELS = {} as const;
const counter = <const L extends Labels>(help: string, labels: L) =>
  ({ type: 'counter', help, labels, buckets: [] }) as const;
const gauge = <const L extends Labels>(help: string, labels: L) =>
  ({ type: 'gauge', help, labels, buckets: [] }) as const;
const histogram = <const L extends Labels>(help: string, labels: L, buckets: readonly number[]) =>
  ({ type: 'histogram', help, labels, buckets }) as const;

/** Of a tunnel; `bytes` is a private one that names none, `none` stands for no tunnel. */
const protocol = ['http', 'tls', 'tcp', 'bytes', 'datagram', 'none'] as const;
const kind = ['exchange', 'stream', 'private-stream'] as const;
const status = ['1xx', '2xx', '3xx', '4xx', '5xx', 'none'] as const;
const direction = ['to_upstream', 'to_downstream'] as const;
const source = ['none', 'downstream', 'upstream', 'agent', 'operator', 'engine'] as const;
const code = Object.keys(ERRORS) as readonly ErrorCode[];

// From what a cache answers to what a report takes.
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
const BYTES = [0, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 16_777_216, 268_435_456];

/** The table. Order: who is there, what runs through, what was refused, the process. */
export const METRICS = {
  rstream_engine_sessions: gauge('Control channels of agents that are open.', NO_LABELS),
  rstream_engine_agents: gauge(
    'Credentials with at least one open control channel: several agents may share one.',
    NO_LABELS,
  ),
  rstream_engine_tunnels: gauge('Tunnels that are open, by protocol; `bytes` is raw and private.', {
    protocol,
    access: ['published', 'private'],
  }),
  rstream_engine_tunnel_truth: gauge(
    'Tunnels by what is proved of them: `online`, `suspect` (nothing yet, a failed probe, or an old proof), `down`; those that are not probed are missing.',
    { state: ['online', 'suspect', 'down'] },
  ),
  rstream_engine_connections: gauge(
    'Connections that are open: `accepted` on the TLS listener, and among them those of `downstreams`, with TCP tunnels and private HTTP dialers.',
    { kind: ['accepted', 'downstreams'] },
  ),
  rstream_engine_streams: gauge(
    'Streams to agents that are open, those that wait in a pool for the next request included.',
    NO_LABELS,
  ),
  rstream_engine_dials: gauge('Dial requests that wait for the dial-back of their agent.', NO_LABELS),

  rstream_engine_exchanges_total: counter(
    'Requests and raw streams that are over, by how they ended and whose fault it was; a side that breaks off has aborted.',
    { kind, outcome: ['ok', 'failed', 'aborted'], source },
  ),
  rstream_engine_exchange_seconds: histogram(
    'From a request or the begin of a raw stream to its end; `none` stands for raw streams, which have no status.',
    { protocol, status },
    SECONDS,
  ),
  rstream_engine_request_bytes: histogram(
    'Bodies of requests, with their framing where they pass through in chunks.',
    { protocol, status },
    BYTES,
  ),
  rstream_engine_response_bytes: histogram(
    'Bodies of answers, with their framing where they pass through in chunks.',
    { protocol, status },
    BYTES,
  ),
  rstream_engine_bytes_total: counter(
    'Bytes of bodies and raw streams, counted when their request or stream is over.',
    { protocol, direction },
  ),
  rstream_engine_dial_seconds: histogram(
    'From a dial request to its dial-back, or to the end of the wait for it.',
    { outcome: ['answered', 'refused', 'late', 'abandoned', 'failed'] },
    SECONDS,
  ),

  rstream_engine_probes_total: counter(
    "Probes of idle tunnels: `proved`, `failed`, or `inconclusive` where the fault was the engine's or bytes came through meanwhile.",
    { outcome: ['proved', 'failed', 'inconclusive'] },
  ),

  rstream_engine_handshakes_total: counter(
    'TLS handshakes that the engine completed, by version and by whether the client offered X25519MLKEM768.',
    { version: ['TLSv1.2', 'TLSv1.3'], post_quantum: ['offered', 'not_offered'] },
  ),
  rstream_engine_refusals_total: counter(
    'Refusals by their code (docs/errors.md) and by who refused: the TLS listener, the edge to downstreams, the door of agents, or the Engine API.',
    { door: ['listener', 'edge', 'agents', 'api'], code },
  ),
  rstream_engine_auth_total: counter(
    'Verified proofs of agents, downstreams and callers of the Engine API, by result: `ok`, or the code of the refusal.',
    { proof: ['token', 'certificate'], result: ['ok', ...code] as readonly ('ok' | ErrorCode)[] },
  ),
  rstream_engine_bad_proof_sources: gauge(
    'Sources of addresses that gave bad proofs lately; one that gives too many is answered AUTHENTICATION_THROTTLED for a while.',
    NO_LABELS,
  ),
  rstream_engine_drops_total: counter('Connections that were dropped without a word for being too many.', {
    reason: ['CONNECTION_LIMIT', 'HANDSHAKE_LIMIT', 'SOURCE_CONNECTION_LIMIT', 'SOURCE_RATE_LIMIT'],
  }),
  rstream_engine_records_total: counter(
    'Records that were written to their database, or lost because there were too many or the disk failed.',
    { outcome: ['kept', 'lost'] },
  ),
  rstream_engine_webhooks_total: counter(
    'Webhooks that were `delivered`, attempts that `failed` and are repeated, and what is never told: `expired` by age, or `lost` because too much was waiting.',
    { outcome: ['delivered', 'failed', 'expired', 'lost'] },
  ),
  rstream_engine_webhooks_waiting: gauge(
    'Deliveries that wait for their receiver, and events that wait to be written.',
    NO_LABELS,
  ),

  rstream_engine_certificate_expiry_timestamp_seconds: gauge(
    'When each server certificate ends, in seconds since 1970: `0` is that of `certs.static`, `1` the first of `additional`, and so on.',
    { certificate: ['0', '1', '2', '3', '4', '5', '6', '7'] },
  ),
  rstream_engine_certificate_renewals_total: counter(
    'Attempts to renew a server certificate that the local CA has made.',
    { outcome: ['renewed', 'failed'] },
  ),

  rstream_engine_event_loop_lag_seconds: gauge(
    'How late the event loop runs what is due, since the scrape before.',
    { statistic: ['mean', 'p99', 'max'] },
  ),
  rstream_engine_cpu_seconds_total: counter('CPU time of the process.', { mode: ['user', 'system'] }),
  rstream_engine_memory_bytes: gauge('Memory of the process.', { kind: ['resident', 'heap', 'external'] }),
  rstream_engine_database_bytes: gauge('Size of each database on the disk.', {
    database: ['credentials', 'audit', 'records', 'webhooks'],
  }),
  rstream_engine_start_time_seconds: gauge('When the engine started, in seconds since 1970.', NO_LABELS),
} as const satisfies Record<string, MetricRow>;

/** A key of {@link METRICS}. */
export type MetricName = keyof typeof METRICS;
/** The metrics of a type. */
export type NameOf<Type extends MetricRow['type']> = {
  [Name in MetricName]: (typeof METRICS)[Name]['type'] extends Type ? Name : never;
}[MetricName];

/** A value for each label of a metric. */
export type LabelsOf<Name extends MetricName> = {
  readonly [Label in keyof (typeof METRICS)[Name]['labels']]: (typeof METRICS)[Name]['labels'][Label] extends readonly (infer Value)[]
    ? Value
    : never;
};
