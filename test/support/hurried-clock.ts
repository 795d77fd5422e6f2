/** The system's clock, for which a step of the history takes a moment instead of ten seconds. */
import { LIMITS } from '../../src/base/limits.ts';
import { type Clock, createClock } from '../../src/base/time.ts';

const STEP_MS = 100;

export const createHurriedClock = (): Clock => {
  const clock = createClock();
  return {
    now: clock.now,
    elapsed: clock.elapsed,
    after: (ms, call) => clock.after(ms === LIMITS.historyStepMs ? STEP_MS : ms, call),
    get pendingCount() {
      return clock.pendingCount;
    },
  };
};
