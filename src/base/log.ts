/**
 * Structured logs on standard error, one JSON object a line.
 *
 * Invariant: secrets are Secret objects and print as `***`; an EngineError logs its code, details and cause, nothing else does twice.
 */
import { type DestinationStream, destination, pino } from 'pino';
import { EngineError } from './errors.ts';

/** The levels that `engine.log_level` may name. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * Names of the fields that more than one room writes. Use them as they are: a search for an agent's id must find every line.
 */
export interface LogFields {
  errorId?: string | undefined;
  code?: string | undefined;
  agentId?: string | undefined;
  tunnelId?: string | undefined;
  streamId?: string | undefined;
  credentialId?: string | undefined;
  hostname?: string | undefined;
  /** Address and port of the peer that connected to us. */
  remote?: string | undefined;
  error?: unknown;
  [extra: string]: unknown;
}

/** What rooms see of a logger. */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  /** Whether lines of this level are written: ask before building fields on the hot path. */
  isLevelEnabled(level: 'debug' | 'info'): boolean;
  /** A logger that adds these fields to each line. */
  child(fields: LogFields): Logger;
}

/** A logger whose level can change; one that it was the parent of before keeps the level that it got. */
export interface RootLogger extends Logger {
  level: LogLevel;
}

const serializeError = (thrown: unknown): unknown => {
  if (thrown instanceof EngineError) {
    const cause = thrown.cause === undefined ? undefined : serializeError(thrown.cause);
    return { code: thrown.code, message: thrown.message, details: thrown.details, cause };
  }
  if (thrown instanceof Error) return { type: thrown.name, message: thrown.message, stack: thrown.stack };
  return thrown;
};

/**
 * @param level lines below it are dropped
 * @param output where lines go; standard error, written at once, by default
 */
export const createLogger = (
  level: LogLevel,
  output: DestinationStream = destination({ fd: 2, sync: true }),
): RootLogger =>
  pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: serializeError },
    },
    output,
  ) as unknown as RootLogger;
