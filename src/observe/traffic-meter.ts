/**
 * Counts exchanges and streams.
 *
 * Flow: engine.ts hands in every record, on the hot path.
 * Invariant: a record is some additions: the numbers of each kind of tunnel and class of status are looked up once and kept.
 */
import type { ErrorCode } from '../base/errors.ts';
import type { Cell, Distribution, Metrics } from '../base/metric-numbers.ts';
import type { LabelsOf } from '../base/metrics.ts';
import { type RecordedTunnel, type TrafficRecord, terminationOf } from '../base/record.ts';

type Protocol = LabelsOf<'rstream_engine_exchange_seconds'>['protocol'];
type Status = LabelsOf<'rstream_engine_exchange_seconds'>['status'];

const STATUSES: readonly Status[] = ['none', '1xx', '2xx', '3xx', '4xx', '5xx'];

/** What one record adds to. */
interface Numbers {
  readonly ok: Cell;
  readonly seconds: Distribution;
  /** Undefined for raw streams: they are no messages with a size. */
  readonly request: Distribution | undefined;
  readonly response: Distribution | undefined;
  readonly up: Cell;
  readonly down: Cell;
}

/**
 * @param countRefusal of the edge
 */
export const createTrafficMeter = (metrics: Metrics, countRefusal: (code: ErrorCode) => void) => {
  const known = {
    exchange: emptyByProtocol(),
    stream: emptyByProtocol(),
    'private-stream': emptyByProtocol(),
  } satisfies Record<TrafficRecord['kind'], unknown>;

  const numbersFor = (kind: TrafficRecord['kind'], protocol: Protocol, status: Status): Numbers => ({
    ok: metrics.cell('rstream_engine_exchanges_total', { kind, outcome: 'ok', source: 'none' }),
    seconds: metrics.distribution('rstream_engine_exchange_seconds', { protocol, status }),
    ...(kind === 'exchange'
      ? {
          request: metrics.distribution('rstream_engine_request_bytes', { protocol, status }),
          response: metrics.distribution('rstream_engine_response_bytes', { protocol, status }),
        }
      : { request: undefined, response: undefined }),
    up: metrics.cell('rstream_engine_bytes_total', { protocol, direction: 'to_upstream' }),
    down: metrics.cell('rstream_engine_bytes_total', { protocol, direction: 'to_downstream' }),
  });

  const numbersOf = ({ kind, tunnel, status }: TrafficRecord): Numbers => {
    const protocol = protocolOf(tunnel);
    const statusClass = Math.floor(status / 100);
    const byStatus = known[kind][protocol];
    const numbers = byStatus[statusClass] ?? numbersFor(kind, protocol, STATUSES[statusClass] ?? 'none');
    byStatus[statusClass] = numbers;
    return numbers;
  };

  const countFailure = (record: TrafficRecord): void => {
    const { kind, error } = record;
    const { by } = terminationOf(record);
    const outcome = !error || error.code === 'REQUEST_ABORTED' ? 'aborted' : 'failed';
    metrics.cell('rstream_engine_exchanges_total', { kind, outcome, source: by }).value += 1;
    // A private stream is refused at the door of agents, which counts it.
    if (error && kind !== 'private-stream') countRefusal(error.code);
  };

  return (record: TrafficRecord): void => {
    const numbers = numbersOf(record);
    numbers.seconds.observe(record.durationMs / 1_000);
    numbers.request?.observe(record.bytesUp);
    numbers.response?.observe(record.bytesDown);
    numbers.up.value += record.bytesUp;
    numbers.down.value += record.bytesDown;
    if (record.error || record.isBroken) countFailure(record);
    else numbers.ok.value += 1;
  };
};

/** By class of status. */
const emptyByProtocol = (): Record<Protocol, Numbers[]> => ({
  http: [],
  tls: [],
  tcp: [],
  bytes: [],
  datagram: [],
  none: [],
});

/** As the metrics name it; undefined for no tunnel. */
export const protocolOf = (tunnel: Pick<RecordedTunnel, 'properties'> | undefined): Protocol => {
  if (!tunnel) return 'none';
  const { type, protocol } = tunnel.properties;
  if (type === 'datagram') return 'datagram';
  return protocol === 'http' || protocol === 'tls' || protocol === 'tcp' ? protocol : 'bytes';
};
