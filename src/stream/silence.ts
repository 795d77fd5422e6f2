/**
 * Notices that nothing has happened for too long, at the price of one clock reading per sign of life.
 *
 * A timer re-armed per chunk costs more than the chunk. This one looks when the time may be over, and looks again when the rest of it
 * may be over.
 */
import type { Clock } from '../base/time.ts';

/** A running watch; it must be cancelled when what it watches ends. */
export interface SilenceWatch {
  /** Reports a sign of life; returns its time. */
  touch(): number;
  /** Milliseconds since the last one. */
  readonly silentMs: number;
  /** Safe to repeat. */
  cancel(): void;
}

/** Calls `onSilent` once when `limitMs` have passed without a touch. */
export const createSilenceWatch = (clock: Clock, limitMs: number, onSilent: () => void): SilenceWatch => {
  let touchedMs = clock.elapsed();
  const silentMs = () => clock.elapsed() - touchedMs;
  const look = () => {
    const remainingMs = limitMs - silentMs();
    // System timers fire up to a millisecond early by the other clock.
    if (remainingMs < 1) onSilent();
    else timer = clock.after(remainingMs, look);
  };
  let timer = clock.after(limitMs, look);
  return {
    touch: () => {
      touchedMs = clock.elapsed();
      return touchedMs;
    },
    get silentMs() {
      return silentMs();
    },
    cancel: () => timer.cancel(),
  };
};
