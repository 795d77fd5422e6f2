/**
 * How an agent is told no: one line in the log, and the wire's form of the same error.
 *
 * Flow: control/accept.ts and control/session-tunnels.ts catch, call it once, and send what it gives.
 */
import { type EngineError, type ErrorCode, engineErrorFrom } from '../base/errors.ts';
import { newErrorId } from '../base/ids.ts';
import type { LogFields, Logger } from '../base/log.ts';
import type { WireError } from '../wire/message.ts';

const RESOURCE_CONFLICT = 8_000;

// What happens on a healthy engine all day long must not look like a warning.
const levelOf = ({ code }: EngineError): 'debug' | 'info' | 'warn' | 'error' => {
  if (code === 'INTERNAL') return 'error';
  if (code === 'REQUEST_ABORTED') return 'debug';
  return code === 'STREAM_UNKNOWN' ? 'info' : 'warn';
};

export interface RefusalNeeds {
  readonly log: Logger;
  readonly countRefusal?: (code: ErrorCode) => void;
}

/**
 * Logs a failure under a new error id, and counts it.
 * @param thrown what was caught; what is not from the table counts as INTERNAL
 * @param what the line's message
 * @returns code, sentence and id for the agent
 */
export const reportRefusal = (
  { log, countRefusal }: RefusalNeeds,
  thrown: unknown,
  fields: LogFields,
  what: string,
): WireError => {
  const error = engineErrorFrom(thrown);
  const errorId = newErrorId();
  countRefusal?.(error.code);
  log[levelOf(error)]({ ...fields, errorId, code: error.code, error }, what);
  const { wireCode } = error.row;
  // Clients recognise conflicts by their text as well (protocol.md 7.6), so nothing is added to it.
  const isExact = wireCode === RESOURCE_CONFLICT;
  return {
    code: wireCode,
    message: isExact ? error.message : `${error.message} (${error.code}, error id ${errorId})`,
  };
};
