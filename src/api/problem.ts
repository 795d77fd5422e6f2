/**
 * How the Engine API says no: one shape of body, one line in the log.
 *
 * Invariant: what the caller reads and what the log holds carry the same error id, and neither carries a token or a query.
 */
import { STATUS_CODES } from 'node:http';
import { z } from 'zod';
import type { EngineError, ErrorCode } from '../base/errors.ts';
import type { LogFields, Logger } from '../base/log.ts';

export const problemSchema = z
  .object({
    error: z.string().meta({ description: 'What went wrong, in a sentence.' }),
    code: z.string().meta({ description: 'The name of this refusal, for programs.' }),
    error_id: z.string().meta({ description: "Found again in the engine's log." }),
  })
  .meta({ description: 'A refusal.' });

export type Problem = z.infer<typeof problemSchema>;

export const problemFrom = (error: EngineError, errorId: string): Problem => ({
  error: error.message,
  code: error.code,
  error_id: errorId,
});

/** The whole answer to what was no request, for which node:http makes no response object. */
export const rawProblemFrom = (error: EngineError, errorId: string): string => {
  const body = JSON.stringify(problemFrom(error, errorId));
  const { status } = error.row;
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    'cache-control: no-store',
    'connection: close',
    '',
    body,
  ].join('\r\n');
};

export interface ProblemNeeds {
  readonly log: Logger;
  /** Told of every refusal. */
  readonly countRefusal?: (code: ErrorCode) => void;
}

/** Counts a refusal, and writes its one line: our faults as errors, failed proofs as warnings, slips of the caller only when debugging. */
export const reportProblem = (
  { log, countRefusal }: ProblemNeeds,
  error: EngineError,
  fields: LogFields,
): void => {
  countRefusal?.(error.code);
  const line: LogFields = { code: error.code, ...fields, error };
  const { status } = error.row;
  if (status >= 500) log.error(line, 'api request failed');
  else if (status === 401 || status === 403) log.warn(line, 'api request denied');
  else log.debug(line, 'api request refused');
};
