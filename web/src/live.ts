/** What the engine says now, asked for again every few seconds while somebody looks. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { ask, sentenceOf } from './api.ts';

const PERIOD_MS = 4_000;

export interface Live<Value> {
  readonly value: Value | undefined;
  /** When the value was true; milliseconds since 1970. */
  readonly at: number | undefined;
  /** Why there is no newer one. */
  readonly fault: string | undefined;
  refresh(): void;
}

/** @param path below /api/admin; what was asked for one path is never shown for another */
export const useLive = <Value>(path: string): Live<Value> => {
  const [state, setState] = useState<Omit<Live<Value>, 'refresh'> & { path: string }>();
  const again = useRef<() => void>(() => {});
  useEffect(() => {
    let isOver = false;
    let timer = 0;
    let turn = 0;
    const run = async (isRefresh: boolean) => {
      clearTimeout(timer);
      turn += 1;
      const own = turn;
      const isOutdated = () => isOver || own !== turn;
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
      if (!document.hidden) void run(true);
    };
    again.current = () => void run(false);
    document.addEventListener('visibilitychange', tick);
    void run(false);
    return () => {
      isOver = true;
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', tick);
    };
  }, [path]);
  const refresh = () => again.current();
  const shown = state?.path === path ? state : { value: undefined, at: undefined, fault: undefined };
  return { ...shown, refresh };
};
