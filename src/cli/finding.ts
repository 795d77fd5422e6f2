/** What a check of `doctor` is given and what it finds. */
import type { Clock } from '../base/time.ts';
import type { LoadedConfig } from '../config/load.ts';
import type { CliContext } from './context.ts';

export interface Result {
  readonly verdict: 'ok' | 'warning' | 'fault';
  /** One sentence: what is so, and what to do about it. */
  readonly detail: string;
}

/** A line of the output. */
export interface Finding extends Result {
  readonly check: string;
}

export interface CheckNeeds extends LoadedConfig {
  readonly clock: Clock;
  readonly context: CliContext;
}

/** One check; what it throws is a fault. */
export type Check = (needs: CheckNeeds) => Result[] | Promise<Result[]>;

export const ok = (detail: string): Result => ({ verdict: 'ok', detail });
export const warning = (detail: string): Result => ({ verdict: 'warning', detail });
export const fault = (detail: string): Result => ({ verdict: 'fault', detail });

export const faultFrom = (thrown: unknown): Result =>
  fault(thrown instanceof Error ? thrown.message : String(thrown));

/** The findings, or that there are none. */
export const orOk = (results: readonly Result[], detail: string): Result[] =>
  results.length > 0 ? [...results] : [ok(detail)];
