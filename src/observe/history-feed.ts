/**
 * What the history is told of: records, and what the meters are told.
 *
 * Invariant: a few additions for each record, with no object made; a refusal is counted once, by the door that the metrics count it at.
 */
import type { TrafficRecord } from '../base/record.ts';
import type { History } from './history.ts';
import type { Meters } from './meters.ts';

/** Counts an exchange or stream that is over. */
export const countInHistory = (history: History, record: TrafficRecord): void => {
  const { kind, tunnel, error, bytesUp, bytesDown } = record;
  history.count(kind === 'exchange' ? 'requests' : 'raw_streams');
  history.count('bytes_up', bytesUp);
  history.count('bytes_down', bytesDown);
  // Who was denied has proved nothing that counts.
  const isDenied = error?.row.status === 401 || error?.row.status === 403;
  if (tunnel && kind !== 'private-stream' && !isDenied) history.count(proofOf(record));
  // As in traffic-meter.ts: who goes away was not refused, and a private stream is refused at the door of agents.
  if (error && error.code !== 'REQUEST_ABORTED' && kind !== 'private-stream')
    history.countRefusal(error.code);
};

const proofOf = ({ dialerKind }: TrafficRecord) => {
  if (dialerKind === undefined) return 'proof_none';
  return dialerKind === 'certificate' ? 'proof_certificate' : 'proof_token';
};

/** The same meters, which tell the history as well. */
export const feedingHistory = (meters: Meters, history: History): Meters => ({
  ...meters,
  countHandshake(tlsVersion, isPostQuantumOffered) {
    meters.countHandshake(tlsVersion, isPostQuantumOffered);
    history.count(tlsVersion === 'TLSv1.3' ? 'tls13' : 'tls12');
    if (isPostQuantumOffered) history.count('post_quantum');
  },
  countRefusalAt(door) {
    const count = meters.countRefusalAt(door);
    return (code) => {
      count(code);
      history.countRefusal(code);
    };
  },
});
