/**
 * A disk of some MiB that only one process sees: a tmpfs in a mount namespace of its own, which takes root or user namespaces.
 *
 * It is gone with the process that runs in it.
 */
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';

const AS_ROOT = process.getuid?.() === 0;
const SCRIPT = 'mount -t tmpfs -o size="$1" tmpfs "$2" && cp -a "$3/." "$2" && shift 3 && exec "$@"';

/** Words before a command that has a disk of that size at `dir`, with a copy of `from` on it. */
export const withDisk = (dir: string, { size, from }: { size: string; from: string }): string[] => [
  ...['unshare', '--mount', ...(AS_ROOT ? [] : ['--map-root-user'])],
  ...['sh', '-c', SCRIPT, 'sh', size, dir, from],
];

/** Words before a command that sees the disks of a process. */
export const besides = (pid: number): string[] => [
  'nsenter',
  `--target=${pid}`,
  '--mount',
  ...(AS_ROOT ? [] : ['--user', '--preserve-credentials']),
  '--',
];

/** Fills the disk at `dir` of a process to its last byte; returns what makes room again. */
export const fillDisk = (pid: number, dir: string): (() => void) => {
  const path = `/proc/${pid}/root${dir}/filler`;
  const file = openSync(path, 'w');
  // Smaller and smaller pieces: a piece that does not fit whole may be refused whole.
  for (let bytes = 65_536; bytes >= 1; bytes /= 16) {
    const piece = Buffer.alloc(bytes);
    try {
      for (;;) writeSync(file, piece);
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== 'ENOSPC') throw thrown;
    }
  }
  closeSync(file);
  return () => rmSync(path);
};
