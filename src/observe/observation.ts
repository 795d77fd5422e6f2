/**
 * Everything that happens to a record: counted, told to the log, kept, and told to webhooks where it failed.
 *
 * Flow: engine.ts makes one, hands `record` to edge and control, and the meters to whoever counts.
 * Invariant: each of the four can be off without the others; `record` never throws.
 */
import { createMetrics, type Metrics } from '../base/metric-numbers.ts';
import type { TrafficRecord } from '../base/record.ts';
import type { RecordsOptions } from '../store/records.ts';
import { type AccessLogLevel, createAccessLog } from './access-log.ts';
import { createMeters, type Meters, NO_METERS } from './meters.ts';
import { createRecords, type Records, type RecordsNeeds } from './records.ts';

export interface ObservationOptions {
  readonly isMetered: boolean;
  /** Absent where no records are kept. */
  readonly records: RecordsOptions | undefined;
  readonly logLevel: AccessLogLevel;
}

export interface Observation {
  readonly record: (record: TrafficRecord) => void;
  readonly meters: Meters;
  readonly metrics: Metrics | undefined;
  readonly records: Records | undefined;
}

export interface ObservationNeeds extends RecordsNeeds {
  /** Told of each record; must not throw. */
  tellFailed(record: TrafficRecord): void;
}

export const createObservation = (needs: ObservationNeeds, options: ObservationOptions): Observation => {
  const metrics = options.isMetered ? createMetrics() : undefined;
  const meters = metrics ? createMeters(metrics, needs.clock) : NO_METERS;
  const records = options.records && createRecords(needs, options.records);
  const log = createAccessLog(needs.log, { level: options.logLevel });
  return {
    record(record) {
      meters.countTraffic(record);
      log(record);
      records?.keep(record);
      needs.tellFailed(record);
    },
    meters,
    metrics,
    records,
  };
};
