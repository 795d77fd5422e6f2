/**
 * Everything that happens to a record: counted, charted, told to the log, kept, and told to webhooks where it failed.
 *
 * Flow: engine.ts makes one, hands `record` to edge and control, and the meters to whoever counts.
 * Invariant: each of them can be off without the others; `record` never throws.
 */
import { createMetrics, type Metrics } from '../base/metric-numbers.ts';
import type { TrafficRecord } from '../base/record.ts';
import type { RecordsOptions } from '../store/records.ts';
import { type AccessLogLevel, createAccessLog } from './access-log.ts';
import { createHistory, type History, type LevelName } from './history.ts';
import { countInHistory, feedingHistory } from './history-feed.ts';
import { createMeters, type Meters, NO_METERS } from './meters.ts';
import { createRecords, type Records, type RecordsNeeds } from './records.ts';

export interface ObservationOptions {
  readonly isMetered: boolean;
  /** Absent where no records are kept. */
  readonly records: RecordsOptions | undefined;
  readonly logLevel: AccessLogLevel;
  /** Whether somebody may look at the history. */
  readonly isCharted: boolean;
}

export interface ObservationNeeds extends RecordsNeeds {
  /** What the history reads at the end of each step; called only where there is one. */
  levels(): Readonly<Record<LevelName, number>>;
  /** Told of each record; must not throw. */
  tellFailed(record: TrafficRecord): void;
}

export interface Observation {
  readonly record: (record: TrafficRecord) => void;
  readonly meters: Meters;
  readonly metrics: Metrics | undefined;
  readonly records: Records | undefined;
  readonly history: History | undefined;
}

export const createObservation = (needs: ObservationNeeds, options: ObservationOptions): Observation => {
  const metrics = options.isMetered ? createMetrics() : undefined;
  const counting = metrics ? createMeters(metrics, needs.clock) : NO_METERS;
  const history = options.isCharted ? createHistory(needs.clock, needs.levels) : undefined;
  const meters = history ? feedingHistory(counting, history) : counting;
  const records = options.records && createRecords(needs, options.records);
  const log = createAccessLog(needs.log, { level: options.logLevel });
  return {
    record(record) {
      meters.countTraffic(record);
      if (history) countInHistory(history, record);
      log(record);
      records?.keep(record);
      needs.tellFailed(record);
    },
    meters,
    metrics,
    records,
    history,
  };
};
