/**
 * What the engine says now, asked for again every few seconds while somebody looks and the engine answers.
 *
 * For what the engine does not tell by itself (link.ts): the connection to it says when to ask at once, and when asking is in vain.
 */
import { useEffect, useRef, useState } from 'preact/hooks';
import { ask, sentenceOf } from './api.ts';
import type { Inventory } from './inventory.ts';
import { useLink } from './link.ts';

const PERIOD_MS = 4_000;

export interface Live<Value> {
  readonly value: Value | undefined;
  /** When the value was true; milliseconds since 1970. Undefined for what the engine tells by itself. */
  readonly at: number | undefined;
  /** Why there is no newer one. */
  readonly fault: string | undefined;
  refresh(): void;
}

/** @param path below /api/admin; what was asked for one path is never shown for another */
export const useLive = <Value>(path: string): Live<Value> => {
  const [state, setState] = useState<Omit<Live<Value>, 'refresh'> & { path: string }>();
  const { turn, staleSince } = useLink();
  const isStale = staleSince !== undefined;
  const again = useRef<() => void>(() => {});
  useEffect(() => {
    let isOver = false;
    let timer = 0;
    let latest = 0;
    const run = async (isRefresh: boolean) => {
      clearTimeout(timer);
      latest += 1;
      const own = latest;
      const isOutdated = () => isOver || own !== latest;
      try {
        const value = await ask<Value>('GET', path, { isRefresh });
        if (isOutdated()) return;
        setState({ path, value, at: Date.now(), fault: undefined });
      } catch (thrown) {
        if (isOutdated()) return;
        const fault = sentenceOf(thrown);
        setState((old) =>
          old?.path === path ? { ...old, fault } : { path, value: undefined, at: undefined, fault },
        );
      }
      timer = window.setTimeout(tick, PERIOD_MS);
    };
    // A page that nobody sees asks for nothing.
    const tick = () => {
      if (!document.hidden && !isStale) void run(true);
    };
    again.current = () => void run(false);
    document.addEventListener('visibilitychange', tick);
    void run(turn > 0);
    return () => {
      isOver = true;
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', tick);
    };
  }, [path, turn, isStale]);
  const refresh = () => again.current();
  const shown = state?.path === path ? state : { value: undefined, at: undefined, fault: undefined };
  return { ...shown, refresh };
};

/** What the engine tells by itself, in the same form. */
export const useInventory = (): Live<Inventory> => {
  const { inventory } = useLink();
  return { value: inventory, at: undefined, fault: undefined, refresh: () => {} };
};
