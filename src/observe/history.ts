/**
 * What the engine has done in the last hour and the last day, for the charts of the admin page.
 *
 * Flow: observation.ts counts into it what goes by; every ten seconds what was counted becomes a step; api/admin reads.
 * Invariant: counting is an addition into an array that exists; nothing is kept but numbers, in memory of a fixed size (some 700 KiB), and a
 * restart begins anew. Refusals are counted by their code, which is a closed set.
 * Limits: historyStepMs, historyHourSteps, historyDaySteps.
 */
import { ERRORS, type ErrorCode } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { type Clock, every } from '../base/time.ts';

/** What is counted, by the step. */
const COUNTS = [
  'requests',
  'raw_streams',
  'bytes_up',
  'bytes_down',
  'tls12',
  'tls13',
  'post_quantum',
  'proof_none',
  'proof_token',
  'proof_certificate',
] as const;
/** What is read at the end of each step; a longer step has the mean of its parts. */
const LEVELS = ['open_streams', 'memory_bytes', 'loop_busy'] as const;
const CODES = Object.keys(ERRORS) as ErrorCode[];

export type CountName = (typeof COUNTS)[number];
export type LevelName = (typeof LEVELS)[number];

// One array for all of them: counts, codes, levels, and then the times.
const AT = new Map<string, number>([...COUNTS, ...CODES, ...LEVELS].map((name, at) => [name, at]));
const LEVELS_AT = COUNTS.length + CODES.length;
const SECONDS_AT = AT.size;
const ENDED_AT = AT.size + 1;
const WIDTH = AT.size + 2;

/** One step, or several together. */
export interface HistoryStep {
  /** Milliseconds since 1970. */
  readonly endedAt: number;
  readonly seconds: number;
  /** Refusals of all codes. */
  readonly refusedCount: number;
  of(name: CountName | LevelName | ErrorCode): number;
}

export interface History {
  count(name: CountName, by?: number): void;
  countRefusal(code: ErrorCode): void;
  /** The oldest first; steps that lie before the start of the engine are not there. */
  steps(range: 'hour' | 'day'): HistoryStep[];
  /** Refusals of a range by code, the most frequent first. */
  refusals(range: 'hour' | 'day'): { code: ErrorCode; count: number }[];
  stop(): void;
}

/** A ring of steps. */
const createRing = (steps: number) => {
  const cells = new Float64Array(steps * WIDTH);
  let count = 0;
  return {
    push(step: Float64Array): void {
      cells.set(step, (count % steps) * WIDTH);
      count += 1;
    },
    /** The oldest first; the views change with the ring. */
    rows(): Float64Array[] {
      const first = Math.max(0, count - steps);
      return Array.from({ length: count - first }, (_, index) => {
        const at = ((first + index) % steps) * WIDTH;
        return cells.subarray(at, at + WIDTH);
      });
    },
  };
};

const DAY_STEP_PARTS = 86_400_000 / LIMITS.historyDaySteps / LIMITS.historyStepMs;

/** @param levels reads what {@link LEVELS} names */
export const createHistory = (clock: Clock, levels: () => Readonly<Record<LevelName, number>>): History => {
  const rings = { hour: createRing(LIMITS.historyHourSteps), day: createRing(LIMITS.historyDaySteps) };
  const step = new Float64Array(WIDTH);
  const dayStep = new Float64Array(WIDTH);
  let parts = 0;
  let startedMs = clock.elapsed();

  const finishStep = (): void => {
    const nowMs = clock.elapsed();
    step[SECONDS_AT] = (nowMs - startedMs) / 1_000;
    step[ENDED_AT] = clock.now();
    startedMs = nowMs;
    const read = levels();
    for (const [index, name] of LEVELS.entries()) step[LEVELS_AT + index] = read[name];
    rings.hour.push(step);
    for (let at = 0; at < ENDED_AT; at += 1) dayStep[at]! += step[at]!;
    dayStep[ENDED_AT] = step[ENDED_AT]!;
    parts += 1;
    step.fill(0);
    if (parts === DAY_STEP_PARTS) finishDayStep();
  };

  const finishDayStep = (): void => {
    rings.day.push(meaned(dayStep, parts));
    dayStep.fill(0);
    parts = 0;
  };

  const timer = every(clock, LIMITS.historyStepMs, finishStep);
  const rowsOf = (range: 'hour' | 'day'): Float64Array[] =>
    // A day that has just begun to be counted is no empty one.
    range === 'day' && parts > 0 ? [...rings.day.rows(), meaned(dayStep, parts)] : rings[range].rows();

  return {
    count(name, by = 1) {
      step[AT.get(name)!]! += by;
    },
    countRefusal(code) {
      step[AT.get(code)!]! += 1;
    },
    steps: (range) =>
      rowsOf(range).map((row) => ({
        endedAt: row[ENDED_AT]!,
        seconds: row[SECONDS_AT]!,
        refusedCount: row.subarray(COUNTS.length, LEVELS_AT).reduce((sum, count) => sum + count, 0),
        of: (name) => row[AT.get(name)!]!,
      })),
    refusals(range) {
      const rows = rowsOf(range);
      return CODES.map((code) => ({ code, count: rows.reduce((sum, row) => sum + row[AT.get(code)!]!, 0) }))
        .filter(({ count }) => count > 0)
        .sort((a, b) => b.count - a.count);
    },
    stop: () => timer.cancel(),
  };
};

/** A sum of steps, whose levels are means. */
const meaned = (sum: Float64Array, parts: number): Float64Array => {
  const row = sum.slice();
  for (let at = LEVELS_AT; at < SECONDS_AT; at += 1) row[at]! /= parts;
  return row;
};
