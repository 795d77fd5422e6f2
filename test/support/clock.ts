/** A clock that tests move by hand. Timers run in the order of their time, inside `advance`. */
import type { Clock, Timer } from '../../src/base/time.ts';

export interface FakeClock extends Clock {
  /** Moves time forward and runs every timer that falls due on the way. */
  advance(ms: number): void;
}

export const createFakeClock = (startMs = 1_800_000_000_000): FakeClock => {
  let nowMs = startMs;
  let order = 0;
  const pending = new Map<Timer, { dueMs: number; order: number; call: () => void }>();
  return {
    now: () => nowMs,
    elapsed: () => nowMs - startMs,
    after(ms, call) {
      const timer: Timer = {
        refresh: () => {
          const entry = pending.get(timer);
          if (entry) entry.dueMs = nowMs + ms;
        },
        cancel: () => {
          pending.delete(timer);
        },
      };
      pending.set(timer, { dueMs: nowMs + ms, order: order++, call });
      return timer;
    },
    get pendingCount() {
      return pending.size;
    },
    advance(ms) {
      const endMs = nowMs + ms;
      for (;;) {
        const due = [...pending]
          .filter(([, entry]) => entry.dueMs <= endMs)
          .sort(([, a], [, b]) => a.dueMs - b.dueMs || a.order - b.order)[0];
        if (!due) break;
        pending.delete(due[0]);
        nowMs = Math.max(nowMs, due[1].dueMs);
        due[1].call();
      }
      nowMs = endMs;
    },
  };
};
