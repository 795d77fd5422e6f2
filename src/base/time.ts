/**
 * The only timers of the engine.
 *
 * Flow: engine.ts makes one Clock and hands it to every room; tests hand in one that they move by hand.
 * Invariant: a timer belongs to the clock that set it, is counted until it fires or is cancelled, and never keeps the process alive.
 */

/** A pending call. */
export interface Timer {
  /** Starts its full time again; does nothing once it fired or was cancelled. */
  refresh(): void;
  /** Forgets the call; safe to repeat. */
  cancel(): void;
}

/** Where time comes from. */
export interface Clock {
  /** Milliseconds since 1970, for records and expiry. */
  now(): number;
  /** Milliseconds of a clock that never jumps, for durations. */
  elapsed(): number;
  /** Calls once after `ms` milliseconds. */
  after(ms: number, call: () => void): Timer;
  /** Timers that are pending now; zero after the engine has stopped. */
  readonly pendingCount: number;
}

// setTimeout takes a signed 32-bit number and fires at once beyond it.
const TIMER_MS_MAX = 2 ** 31 - 1;

/** A clock over the system's time. */
export const createClock = (): Clock => {
  let pendingCount = 0;
  return {
    now: () => Date.now(),
    elapsed: () => performance.now(),
    after(ms, call) {
      pendingCount += 1;
      let isPending = true;
      const settle = () => {
        if (!isPending) return false;
        isPending = false;
        pendingCount -= 1;
        return true;
      };
      const timeout = setTimeout(() => settle() && call(), Math.min(ms, TIMER_MS_MAX)).unref();
      return {
        refresh: () => isPending && timeout.refresh(),
        cancel: () => settle() && clearTimeout(timeout),
      };
    },
    get pendingCount() {
      return pendingCount;
    },
  };
};

/** Calls every `ms` milliseconds until cancelled; the next turn is set after the call has returned. */
export const every = (clock: Clock, ms: number, call: () => void): Timer => {
  let current: Timer;
  let isCancelled = false;
  const turn = () => {
    call();
    if (!isCancelled) current = clock.after(ms, turn);
  };
  current = clock.after(ms, turn);
  return {
    refresh: () => current.refresh(),
    cancel: () => {
      isCancelled = true;
      current.cancel();
    },
  };
};

/** Resolves after `ms` milliseconds, or at once when `signal` aborts. */
export const pause = (clock: Clock, ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      timer.cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = clock.after(ms, done);
    signal?.addEventListener('abort', done);
  });

/**
 * Waiting times that double from `baseMs` to `maxMs`, each drawn evenly between half and the whole of it, so that a fleet which
 * lost its engine does not come back in one instant.
 */
export const createBackoff = (baseMs: number, maxMs: number, random: () => number = Math.random) => {
  let attemptCount = 0;
  return {
    /** The next waiting time in milliseconds. */
    nextMs(): number {
      const ceiling = Math.min(maxMs, baseMs * 2 ** Math.min(attemptCount, 30));
      attemptCount += 1;
      return ceiling * (0.5 + random() / 2);
    },
    /** Begins again at `baseMs`; call it after a success. */
    reset(): void {
      attemptCount = 0;
    },
  };
};

/**
 * A waiting time with full jitter, for one that retries alone and wants to be found early: drawn evenly in whole milliseconds between nothing and `baseMs`, doubled
 * by every failure but the first, `maxMs` at most.
 */
export const fullJitterMs = (
  failureCount: number,
  baseMs: number,
  maxMs: number,
  random: () => number = Math.random,
): number =>
  Math.round(random() * Math.min(maxMs, baseMs * 2 ** Math.min(Math.max(0, failureCount - 1), 30)));

/**
 * The one way to start a promise that nobody awaits.
 * @param onFault gets what it rejects with; a fault here is a bug, so it is logged, never dropped
 */
export const inBackground = (task: Promise<unknown>, onFault: (fault: unknown) => void): void => {
  task.catch(onFault);
};

/** Something with deadlines of its own, looked at once per sweep. */
export interface Swept {
  /** @param nowMs what {@link Sweep.nowMs} has been since the turn before: no time that an item took from it lies later */
  checkDeadline(nowMs: number): void;
}

/** One timer for thousands of deadlines. */
export interface Sweep {
  /** The clock's elapsed time, at most one period old: free to read on the hot path. */
  readonly nowMs: number;
  add(item: Swept): void;
  remove(item: Swept): void;
}

/**
 * Looks at every item once per period, as long as there are any. A deadline kept this way costs its owner one number to move, where a
 * timer would cost an object; it is never met early, and up to two periods late.
 */
export const createSweep = (clock: Clock, periodMs: number): Sweep => {
  const items = new Set<Swept>();
  let nowMs = clock.elapsed();
  let timer: Timer | undefined;
  const turn = () => {
    // An item that began to wait since the turn before took that turn's time for now: compared with the present it would look older.
    for (const item of items) item.checkDeadline(nowMs);
    nowMs = clock.elapsed();
    // The last item may have left and another come meanwhile, which has set a timer already.
    timer?.cancel();
    timer = items.size > 0 ? clock.after(periodMs, turn) : undefined;
  };
  return {
    get nowMs() {
      return nowMs;
    },
    add(item) {
      items.add(item);
      if (timer) return;
      nowMs = clock.elapsed();
      timer = clock.after(periodMs, turn);
    },
    remove(item) {
      items.delete(item);
      if (items.size > 0 || !timer) return;
      timer.cancel();
      timer = undefined;
    },
  };
};
