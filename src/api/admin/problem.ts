/**
 * How the Admin API says no: problem+json (RFC 9457), with the code, the advice and the id of the error table.
 */
import { STATUS_CODES } from 'node:http';
import { z } from 'zod';
import type { EngineError } from '../../base/errors.ts';

export const PROBLEM_MEDIA_TYPE = 'application/problem+json';

export const adminProblemSchema = z
  .object({
    title: z.string(),
    status: z.int(),
    detail: z.string().meta({ description: 'What went wrong, in a sentence.' }),
    advice: z.string().meta({ description: 'What to do about it.' }),
    code: z.string().meta({ description: 'The name of this refusal, for programs.' }),
    error_id: z.string().meta({ description: "Found again in the engine's log." }),
    retry_after: z.int().optional().meta({ description: 'Seconds to wait before another try.' }),
  })
  .meta({ description: 'A refusal.' });

export const adminProblemFrom = (error: EngineError): z.output<typeof adminProblemSchema> => {
  const { retrySeconds } = error.details;
  return {
    title: STATUS_CODES[error.row.status] ?? 'Refused',
    status: error.row.status,
    detail: error.message,
    advice: error.row.advice,
    code: error.code,
    error_id: error.errorId,
    ...(typeof retrySeconds === 'number' && { retry_after: retrySeconds }),
  };
};
