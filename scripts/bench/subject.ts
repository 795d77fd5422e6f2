/**
 * A proxy that is measured, and the meter on its process.
 */
import type { Sample } from './figures.ts';
import { cpuSeconds } from './process.ts';

/** The engine, or the nginx that it is compared with. */
export interface Subject {
  host: string;
  port: number;
  pid: number;
  /** Publishes the upstream once more, under a name that nothing has been asked of; a proxy without tunnels has none. */
  openTunnel?(): Promise<{ host: string; close(): Promise<void> }>;
}

/** A moment: the subject's CPU seconds so far, and the time. */
export interface Reading {
  cpuSeconds: number;
  atMs: number;
}

/** Reads the meter. */
export const readMeter = ({ pid }: Subject): Reading => ({
  cpuSeconds: cpuSeconds(pid),
  atMs: performance.now(),
});

/** What the subject has spent since a reading. */
export const sinceReading = (subject: Subject, before: Reading): Pick<Sample, 'cpuSeconds' | 'seconds'> => {
  const now = readMeter(subject);
  return { cpuSeconds: now.cpuSeconds - before.cpuSeconds, seconds: (now.atMs - before.atMs) / 1000 };
};
