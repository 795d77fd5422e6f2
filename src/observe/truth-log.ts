/**
 * The line in the log about a tunnel that goes down or comes back.
 *
 * Limits: truthLogLinesMax in each truthLogMs; what is not told is counted in the next line.
 */
import type { EngineError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Clock } from '../base/time.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';

export const createTruthLog = ({ clock, log }: { readonly clock: Clock; readonly log: Logger }) => {
  let beganMs = Number.NEGATIVE_INFINITY;
  let toldCount = 0;
  let untoldCount = 0;
  return (tunnel: Tunnel, isDown: boolean, cause: EngineError | undefined): void => {
    const nowMs = clock.elapsed();
    if (nowMs - beganMs >= LIMITS.truthLogMs) {
      beganMs = nowMs;
      toldCount = 0;
    }
    if (toldCount >= LIMITS.truthLogLinesMax) {
      untoldCount += 1;
      return;
    }
    toldCount += 1;
    const { name, hostname } = tunnel.properties;
    const fields = {
      tunnelId: tunnel.id,
      agentId: tunnel.agentId,
      name,
      hostname,
      ...(cause && { code: cause.code, errorId: cause.errorId, reason: cause.message }),
      ...(untoldCount > 0 && { untoldCount }),
    };
    untoldCount = 0;
    if (isDown) log.warn(fields, 'tunnel down: its probes fail');
    else log.info(fields, 'tunnel online again');
  };
};
