/**
 * Reads a V8 CPU profile (`--cpu-prof`) and tells where the time went: the functions with the most self time.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/** The parts of a .cpuprofile file that matter here. */
export interface CpuProfile {
  nodes: {
    id: number;
    callFrame: { functionName: string; url: string; lineNumber: number };
  }[];
  /** Ids of the nodes that were running, one a sample. */
  samples: number[];
  /** Microseconds before each sample. */
  timeDeltas: number[];
}

/** A function and its own time, without what it called. */
export interface SelfTime {
  /** Function, file and line. */
  where: string;
  ms: number;
  /** Of the time in which the process did anything. */
  share: number;
}

/** Functions by self time, most first. Idle time is left out. */
export const selfTimesFromProfile = ({ nodes, samples, timeDeltas }: CpuProfile): SelfTime[] => {
  const whereById = new Map(
    nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => [
      id,
      `${functionName || '(anonymous)'}${url ? ` ${basename(url)}:${lineNumber + 1}` : ''}`,
    ]),
  );
  const usByWhere = new Map<string, number>();
  let usTotal = 0;
  for (const [index, id] of samples.entries()) {
    const where = whereById.get(id) ?? '(unknown)';
    if (where === '(idle)') continue;
    // A sample stands for the time until the next one.
    const us = timeDeltas[index + 1] ?? 0;
    usTotal += us;
    usByWhere.set(where, (usByWhere.get(where) ?? 0) + us);
  }
  return [...usByWhere]
    .map(([where, us]) => ({ where, ms: us / 1000, share: us / usTotal }))
    .sort((a, b) => b.ms - a.ms);
};

/** Reads the one profile that a process left in a folder of its own. */
export const readProfile = (dir: string): CpuProfile => {
  const name = readdirSync(dir).find((entry) => entry.endsWith('.cpuprofile'));
  if (name === undefined) throw new Error('the engine left no CPU profile: did it end by itself?');
  return JSON.parse(readFileSync(join(dir, name), 'utf8')) as CpuProfile;
};
