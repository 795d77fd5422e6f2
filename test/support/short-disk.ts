/** A disk that takes a part of a file: the system writes the first bytes, and refuses only who asks for the rest. */
import { execFileSync } from 'node:child_process';

/** Does some work while no file of this process may grow beyond so many bytes. */
export const onShortDisk = (bytesMax: number, work: () => void): void => {
  const limitTo = (bytes: string) =>
    execFileSync('prlimit', [`--pid=${process.pid}`, `--fsize=${bytes}:unlimited`]);
  limitTo(String(bytesMax));
  try {
    work();
  } finally {
    limitTo('unlimited');
  }
};
