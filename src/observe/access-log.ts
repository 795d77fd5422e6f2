/**
 * The line in the log about each exchange and stream.
 *
 * Invariant: what fails is always told, with the error id that the downstream was shown; queries and headers never are. Private streams that fail are told of by the agent's door, which answers them.
 */
import { addressWithPort } from '../base/ip.ts';
import type { LogFields, Logger } from '../base/log.ts';
import { type TrafficRecord, terminationOf } from '../base/record.ts';

/** At which level what went well is told (`records.log`). */
export type AccessLogLevel = 'off' | 'debug' | 'info';

export const createAccessLog = (log: Logger, { level }: { readonly level: AccessLogLevel }) => {
  const isTold = level !== 'off' && log.isLevelEnabled(level);

  return (record: TrafficRecord): void => {
    const { kind, error } = record;
    // Browsers break off requests all day long.
    if (!error || error.code === 'REQUEST_ABORTED') {
      if (isTold) log[level](lineFrom(record), kind === 'exchange' ? 'exchange' : `${kind} ended`);
    } else if (error.code === 'INTERNAL') log.error({ ...lineFrom(record), error }, `${kind} failed`);
    else if (kind !== 'private-stream') log.info(lineFrom(record), `${kind} refused`);
  };
};

const lineFrom = (record: TrafficRecord): LogFields => {
  const { kind, connection, tunnel, request, error } = record;
  const { by, reason } = terminationOf(record);
  return {
    remote: addressWithPort(connection.remoteAddress, connection.remotePort),
    ...(kind === 'exchange'
      ? { status: record.status, method: request?.method, hostname: request?.authority }
      : { streamId: record.streamId, hostname: tunnel ? tunnel.properties.hostname : connection.serverName }),
    tunnelId: tunnel?.id,
    ...(connection.replay && { replayOf: connection.replay.of }),
    durationMs: Math.round(record.durationMs),
    bytesUp: record.bytesUp,
    bytesDown: record.bytesDown,
    endedBy: by,
    ended: reason,
    ...(error && { code: error.code, errorId: error.errorId, reason: causeOf(error.cause) }),
  };
};

/** What the downstream is not told: why the upstream could not be reached or read. */
const causeOf = (cause: unknown): string | undefined => (cause instanceof Error ? cause.message : undefined);
