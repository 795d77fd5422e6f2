/**
 * The metrics that are read when somebody scrapes: what the rooms count for themselves, the process, the files.
 *
 * Invariant: a scrape reads numbers that exist; the only thing that runs between scrapes is the runtime's own measure of its event
 * loop, until it is stopped.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Metrics } from '../base/metric-numbers.ts';
import type { LabelsOf } from '../base/metrics.ts';
import { databaseBytes } from '../store/database.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import { protocolOf } from './traffic-meter.ts';

type DropReason = LabelsOf<'rstream_engine_drops_total'>['reason'];
type WebhookOutcome = LabelsOf<'rstream_engine_webhooks_total'>['outcome'];
type DatabaseName = LabelsOf<'rstream_engine_database_bytes'>['database'];

/** Where the numbers are. */
export interface ReadingsNeeds {
  readonly metrics: Metrics;
  tunnels(): readonly Tunnel[];
  /** One for each control channel. */
  sessions(): readonly { readonly credentialId: string }[];
  counts(): {
    readonly connections: number;
    readonly downstreams: number;
    readonly streams: number;
    readonly dials: number;
    readonly badProofSources: number;
  };
  drops(): Readonly<Partial<Record<DropReason, number>>>;
  records(): { readonly keptCount: number; readonly lostCount: number };
  webhooks(): Readonly<Record<WebhookOutcome | 'waiting', number>>;
  /** The path of each database that there is. */
  readonly databases: Readonly<Partial<Record<DatabaseName, string>>>;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
}

// How finely the runtime looks at its event loop: a timer that fires this often is what it costs.
const LAG_RESOLUTION_MS = 20;

/** Reads at each scrape, until it is stopped. */
export const createReadings = (needs: ReadingsNeeds): { stop(): void } => {
  const { metrics } = needs;
  const lag = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
  lag.enable();
  metrics.cell('rstream_engine_start_time_seconds', {}).value = needs.startedAt / 1_000;

  metrics.onScrape(() => readInventory(needs));
  metrics.onScrape(() => readProcess(metrics));
  metrics.onScrape(() => {
    const seconds = (value: number) =>
      Number.isFinite(value) ? Math.max(0, value / 1e6 - LAG_RESOLUTION_MS) / 1e3 : 0;
    const values = { mean: lag.mean, p99: lag.percentile(99), max: lag.max };
    for (const statistic of ['mean', 'p99', 'max'] as const)
      metrics.cell('rstream_engine_event_loop_lag_seconds', { statistic }).value = seconds(values[statistic]);
    lag.reset();
  });
  return { stop: () => void lag.disable() };
};

const readInventory = (needs: ReadingsNeeds): void => {
  const { metrics } = needs;
  const sessions = needs.sessions();
  metrics.cell('rstream_engine_sessions', {}).value = sessions.length;
  metrics.cell('rstream_engine_agents', {}).value = new Set(
    sessions.map(({ credentialId }) => credentialId),
  ).size;
  readTunnels(needs);

  const { connections, downstreams, streams, dials, badProofSources } = needs.counts();
  metrics.cell('rstream_engine_connections', { kind: 'accepted' }).value = connections;
  metrics.cell('rstream_engine_connections', { kind: 'downstreams' }).value = downstreams;
  metrics.cell('rstream_engine_streams', {}).value = streams;
  metrics.cell('rstream_engine_dials', {}).value = dials;
  metrics.cell('rstream_engine_bad_proof_sources', {}).value = badProofSources;

  for (const [reason, count] of Object.entries(needs.drops()))
    metrics.cell('rstream_engine_drops_total', { reason: reason as DropReason }).value = count;
  const { keptCount, lostCount } = needs.records();
  metrics.cell('rstream_engine_records_total', { outcome: 'kept' }).value = keptCount;
  metrics.cell('rstream_engine_records_total', { outcome: 'lost' }).value = lostCount;
  const { waiting, ...outcomes } = needs.webhooks();
  metrics.cell('rstream_engine_webhooks_waiting', {}).value = waiting;
  for (const [outcome, count] of Object.entries(outcomes))
    metrics.cell('rstream_engine_webhooks_total', { outcome: outcome as WebhookOutcome }).value = count;
  for (const [database, path] of Object.entries(needs.databases))
    metrics.cell('rstream_engine_database_bytes', { database: database as DatabaseName }).value =
      databaseBytes(path);
};

/** Those that there were a scrape ago and are no more must read 0. */
const readTunnels = ({ metrics, tunnels }: ReadingsNeeds): void => {
  const cellOf = (tunnel: Tunnel) =>
    metrics.cell('rstream_engine_tunnels', {
      protocol: protocolOf(tunnel),
      access: tunnel.properties.publish ? 'published' : 'private',
    });
  metrics.reset('rstream_engine_tunnels');
  for (const tunnel of tunnels()) cellOf(tunnel).value += 1;
};

const readProcess = (metrics: Metrics): void => {
  const { rss, heapUsed, external } = process.memoryUsage();
  metrics.cell('rstream_engine_memory_bytes', { kind: 'resident' }).value = rss;
  metrics.cell('rstream_engine_memory_bytes', { kind: 'heap' }).value = heapUsed;
  metrics.cell('rstream_engine_memory_bytes', { kind: 'external' }).value = external;
  const { user, system } = process.cpuUsage();
  metrics.cell('rstream_engine_cpu_seconds_total', { mode: 'user' }).value = user / 1e6;
  metrics.cell('rstream_engine_cpu_seconds_total', { mode: 'system' }).value = system / 1e6;
};
