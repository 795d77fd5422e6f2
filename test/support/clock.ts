/** Clocks that tests move by hand. Timers run in the order of their time, inside `advance`. */
import { type Clock, createClock, type Timer } from '../../src/base/time.ts';

export interface FakeClock extends Clock {
  /** Moves time forward and runs every timer that falls due on the way. */
  advance(ms: number): void;
  /** Sets the calendar, as an operator or NTP does: no time has passed. */
  jump(ms: number): void;
}

export const createFakeClock = (startMs = 1_800_000_000_000): FakeClock => {
  let nowMs = startMs;
  let jumpedMs = 0;
  let order = 0;
  const pending = new Map<Timer, { dueMs: number; order: number; call: () => void }>();
  return {
    now: () => nowMs + jumpedMs,
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
    jump(ms) {
      jumpedMs += ms;
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

export interface CalendarClock extends Clock {
  /** Sets the calendar to so much before or after the system's. */
  setCalendar(aheadMs: number): void;
  /** Runs what waits for hours. */
  passHours(): void;
}

const HOUR_MS = 3_600_000;

/** For whole engines: sockets live in real time, the calendar and what waits for hours are the test's. */
export const createCalendarClock = (startAheadMs = 0): CalendarClock => {
  const real = createClock();
  const slow = new Map<Timer, () => void>();
  let aheadMs = startAheadMs;
  return {
    now: () => real.now() + aheadMs,
    elapsed: real.elapsed,
    after(ms, call) {
      if (ms < HOUR_MS) return real.after(ms, call);
      const timer = { refresh: () => {}, cancel: () => void slow.delete(timer) };
      slow.set(timer, call);
      return timer;
    },
    get pendingCount() {
      return real.pendingCount + slow.size;
    },
    setCalendar(ms) {
      aheadMs = ms;
    },
    passHours() {
      for (const [timer, call] of [...slow]) {
        slow.delete(timer);
        call();
      }
    },
  };
};
