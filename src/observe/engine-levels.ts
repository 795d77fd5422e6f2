/** How busy the engine is: what the history reads every ten seconds. */
import { performance } from 'node:perf_hooks';
import type { LevelName } from './history.ts';

/** @param openStreams to agents, those that wait in a pool included */
export const createLevels = (openStreams: () => number): (() => Readonly<Record<LevelName, number>>) => {
  let before = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    return {
      open_streams: openStreams(),
      memory_bytes: process.memoryUsage.rss(),
      loop_busy: Number.isFinite(utilization) ? utilization : 0,
    };
  };
};
