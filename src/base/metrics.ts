/**
 * Every metric, in one table, and the numbers behind it.
 *
 * Flow: observe/ asks for a cell of a metric once and counts in it; api/metrics-server.ts renders all of them for a scrape; docs/metrics.md is
 * rendered from the table.
 * Invariant: labels take their values from closed sets, never from what a peer chose, so that there is an end to the series. Counting is an
 * addition: no label is looked at and no object is made on the hot path.
 */
import assert from 'node:assert';
import { type Metric, Registry } from 'prom-client';
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

  rstream_engine_handshakes_total: counter(
    'TLS handshakes that the engine completed, by version and by whether the client offered X25519MLKEM768.',
    { version: ['TLSv1.2', 'TLSv1.3'], post_quantum: ['offered', 'not_offered'] },
  ),
  rstream_engine_refusals_total: counter(
    'Refusals by their code (docs/errors.md) and by who refused: the TLS listener, the edge to downstreams, the door of agents, or the Engine API.',
    { door: ['listener', 'edge', 'agents', 'api'], code },
  ),
  rstream_engine_auth_total: counter(
    'Verified proofs of agents and of callers of the Engine API, by result: `ok`, or the code of the refusal.',
    { proof: ['token', 'certificate'], result: ['ok', ...code] as readonly ('ok' | ErrorCode)[] },
  ),
  rstream_engine_drops_total: counter('Connections that were dropped without a word for being too many.', {
    reason: ['CONNECTION_LIMIT', 'HANDSHAKE_LIMIT', 'SOURCE_CONNECTION_LIMIT', 'SOURCE_RATE_LIMIT'],
  }),
  rstream_engine_records_total: counter(
    'Records that were written to their database, or lost because there were too many or the disk failed.',
    { outcome: ['kept', 'lost'] },
  ),

  rstream_engine_event_loop_lag_seconds: gauge(
    'How late the event loop runs what is due, since the scrape before.',
    { statistic: ['mean', 'p99', 'max'] },
  ),
  rstream_engine_cpu_seconds_total: counter('CPU time of the process.', { mode: ['user', 'system'] }),
  rstream_engine_memory_bytes: gauge('Memory of the process.', { kind: ['resident', 'heap', 'external'] }),
  rstream_engine_database_bytes: gauge('Size of each database on the disk.', {
    database: ['credentials', 'audit', 'records'],
  }),
  rstream_engine_start_time_seconds: gauge('When the engine started, in seconds since 1970.', NO_LABELS),
} as const satisfies Record<string, MetricRow>;

/** A key of {@link METRICS}. */
export type MetricName = keyof typeof METRICS;
type NameOf<Type extends MetricRow['type']> = {
  [Name in MetricName]: (typeof METRICS)[Name]['type'] extends Type ? Name : never;
}[MetricName];

/** A value for each label of a metric. */
export type LabelsOf<Name extends MetricName> = {
  readonly [Label in keyof (typeof METRICS)[Name]['labels']]: (typeof METRICS)[Name]['labels'][Label] extends readonly (infer Value)[]
    ? Value
    : never;
};

/** One number of a counter or gauge. */
export interface Cell {
  value: number;
}

/** What is known of one series of a histogram. */
export interface Distribution {
  observe(value: number): void;
}

export interface Metrics {
  /** The number behind these labels; keep it where it is counted often. */
  cell<Name extends NameOf<'counter' | 'gauge'>>(name: Name, labels: LabelsOf<Name>): Cell;
  distribution<Name extends NameOf<'histogram'>>(name: Name, labels: LabelsOf<Name>): Distribution;
  /** Sets every series of a gauge to 0. */
  reset(name: NameOf<'gauge'>): void;
  /** Calls before each scrape, for numbers that are kept elsewhere. */
  onScrape(read: () => void): void;
  /** All of them, in the text format of Prometheus. */
  render(): Promise<string>;
  readonly contentType: string;
}

class Buckets implements Distribution {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    let at = 0;
    while (at < this.#bounds.length && value > (this.#bounds[at] as number)) at += 1;
    this.#counts[at] = (this.#counts[at] as number) + 1;
    this.#sum += value;
  }

  /** The series of one histogram, each bucket with those below it. */
  samples(name: string, labels: Readonly<Record<string, string>>) {
    let total = 0;
    const buckets = this.#counts.map((count, at) => {
      total += count;
      return {
        metricName: `${name}_bucket`,
        labels: { ...labels, le: this.#bounds[at] ?? '+Inf' },
        value: total,
      };
    });
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels, value: this.#sum },
      { metricName: `${name}_count`, labels, value: total },
    ];
  }
}

interface Series<Value> {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: Value;
}

/** Finds a series by the values of its labels, or makes it. */
const seriesOf = <Value>(name: MetricName, make: () => Value) => {
  const row: MetricRow = METRICS[name];
  const all = new Map<string, Series<Value>>();
  const of = (labels: Readonly<Record<string, string>>): Value => {
    const key = Object.keys(row.labels)
      .map((label) => labels[label])
      .join(' ');
    const known = all.get(key);
    if (known) return known.value;
    for (const [label, values] of Object.entries(row.labels))
      assert(values.includes(labels[label] ?? ''), `${name} has no ${label} of this value`);
    const value = make();
    all.set(key, { labels: { ...labels }, value });
    return value;
  };
  if (Object.keys(row.labels).length === 0) of({});
  return { of, all };
};

/** The numbers of one engine. */
export const createMetrics = (): Metrics => {
  const registry = new Registry();
  const reads: (() => void)[] = [];
  const cells = new Map<string, ReturnType<typeof seriesOf<Cell>>>();
  const distributions = new Map<string, ReturnType<typeof seriesOf<Buckets>>>();

  const register = (name: MetricName, values: () => unknown[]) => {
    const { help, type } = METRICS[name];
    // A registry asks a metric for nothing but this. The package's own metrics look their labels up at every observation, which is too
    // dear for every request.
    const metric = { name, help, type, get: () => Promise.resolve({ name, help, type, values: values() }) };
    registry.registerMetric(metric as unknown as Metric);
  };
  for (const name of Object.keys(METRICS) as MetricName[]) {
    const { type, buckets } = METRICS[name] as MetricRow;
    if (type === 'histogram') {
      const series = seriesOf(name, () => new Buckets(buckets));
      distributions.set(name, series);
      register(name, () =>
        [...series.all.values()].flatMap(({ labels, value }) => value.samples(name, labels)),
      );
    } else {
      const series = seriesOf<Cell>(name, () => ({ value: 0 }));
      cells.set(name, series);
      register(name, () =>
        [...series.all.values()].map(({ labels, value }) => ({ labels, value: value.value })),
      );
    }
  }

  return {
    cell: (name, labels) => cells.get(name)!.of(labels as Readonly<Record<string, string>>),
    distribution: (name, labels) => distributions.get(name)!.of(labels as Readonly<Record<string, string>>),
    reset(name) {
      for (const { value } of cells.get(name)!.all.values()) value.value = 0;
    },
    onScrape: (read) => void reads.push(read),
    async render() {
      for (const read of reads) read();
      return registry.metrics();
    },
    contentType: registry.contentType,
  };
};
