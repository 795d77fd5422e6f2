/**
 * What the engine counts, and the functions by which its rooms tell of it.
 *
 * Flow: engine.ts makes the meters, gives each room the one function that it needs, and what is kept elsewhere to readings.ts.
 * Invariant: with metrics off every function is one that does nothing, so that no room asks whether they are on.
 */
import { EngineError, type ErrorCode, engineErrorFrom } from '../base/errors.ts';
import type { Metrics } from '../base/metric-numbers.ts';
import type { LabelsOf } from '../base/metrics.ts';
import type { TrafficRecord } from '../base/record.ts';
import type { Clock } from '../base/time.ts';
import { createTrafficMeter } from './traffic-meter.ts';

type Door = LabelsOf<'rstream_engine_refusals_total'>['door'];
type Proof = LabelsOf<'rstream_engine_auth_total'>['proof'];
type DialOutcome = LabelsOf<'rstream_engine_dial_seconds'>['outcome'];

export interface Meters {
  /** Counts an exchange or stream that is over. */
  readonly countTraffic: (record: TrafficRecord) => void;
  /** Counts a TLS handshake that is complete. */
  readonly countHandshake: (tlsVersion: string, isPostQuantumOffered: boolean) => void;
  /** Counts the refusals of one door. */
  readonly countRefusalAt: (door: Door) => (code: ErrorCode) => void;
  /** The same verification, each of its results counted. */
  readonly countingProofs: <Arguments extends unknown[], Proven>(
    proof: Proof,
    verify: (...proof: Arguments) => Proven,
  ) => (...proof: Arguments) => Proven;
  /** The same dial, the time of each counted. */
  readonly timingDials: <Arguments extends unknown[], Stream>(
    dial: (...target: Arguments) => Promise<Stream>,
  ) => (...target: Arguments) => Promise<Stream>;
}

export const NO_METERS: Meters = {
  countTraffic() {},
  countHandshake() {},
  countRefusalAt: () => () => {},
  countingProofs: (_proof, verify) => verify,
  timingDials: (dial) => dial,
};

export const createMeters = (metrics: Metrics, clock: Clock): Meters => {
  const countRefusalAt = (door: Door) => (code: ErrorCode) => {
    metrics.cell('rstream_engine_refusals_total', { door, code }).value += 1;
  };
  const countProof = (proof: Proof, thrown?: unknown) => {
    const result = thrown === undefined ? 'ok' : engineErrorFrom(thrown).code;
    metrics.cell('rstream_engine_auth_total', { proof, result }).value += 1;
  };
  const timeDial = (startMs: number, outcome: DialOutcome) =>
    metrics
      .distribution('rstream_engine_dial_seconds', { outcome })
      .observe((clock.elapsed() - startMs) / 1_000);

  return {
    countTraffic: createTrafficMeter(metrics, countRefusalAt('edge')),

    countHandshake(tlsVersion, isPostQuantumOffered) {
      const version = tlsVersion === 'TLSv1.3' ? 'TLSv1.3' : 'TLSv1.2';
      const post_quantum = isPostQuantumOffered ? 'offered' : 'not_offered';
      metrics.cell('rstream_engine_handshakes_total', { version, post_quantum }).value += 1;
    },

    countRefusalAt,

    countingProofs:
      (proof, verify) =>
      (...given) => {
        try {
          const proven = verify(...given);
          if (proven instanceof Promise)
            proven.then(
              () => countProof(proof),
              (thrown: unknown) => countProof(proof, thrown),
            );
          else countProof(proof);
          return proven;
        } catch (thrown) {
          countProof(proof, thrown);
          throw thrown;
        }
      },

    timingDials:
      (dial) =>
      async (...target) => {
        const startMs = clock.elapsed();
        try {
          const stream = await dial(...target);
          timeDial(startMs, 'answered');
          return stream;
        } catch (thrown) {
          timeDial(startMs, (thrown instanceof EngineError && DIAL_OUTCOMES[thrown.code]) || 'failed');
          throw thrown;
        }
      },
  };
};

const DIAL_OUTCOMES: Partial<Record<ErrorCode, DialOutcome>> = {
  DIAL_BACK_REFUSED: 'refused',
  DIAL_BACK_TIMEOUT: 'late',
  REQUEST_ABORTED: 'abandoned',
};
