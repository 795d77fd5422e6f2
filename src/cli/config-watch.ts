/**
 * Notices that the configuration file is another one.
 *
 * Flow: serve.ts asks for a turn every configCheckMs, and reads the file again when it is told to.
 * Why it looks instead of being told: editors and config managers replace files by renaming, by links and over networks, and stat sees all
 * of that.
 * Invariant: a file is told of once for each of its states, and not before it was the same at two looks: one that is still being written
 * is not read. One that is missing is not told of: it is on its way, or the engine goes on as it is.
 */
import { statSync } from 'node:fs';
import { LIMITS } from '../base/limits.ts';
import { type Clock, every } from '../base/time.ts';

/** Made by {@link watchConfig}. */
export interface ConfigWatch {
  /** The file as it is now was read: there is nothing to tell of it. */
  markRead(): void;
  stop(): void;
}

/** @param onChange called with nothing: what is in the file, who is told reads */
export const watchConfig = (clock: Clock, path: string, onChange: () => void): ConfigWatch => {
  let read = stampOf(path);
  let last = read;
  const look = () => {
    const stamp = stampOf(path);
    const isSettled = stamp === last;
    last = stamp;
    if (!isSettled || stamp === read || stamp === undefined) return;
    read = stamp;
    onChange();
  };
  const timer = every(clock, LIMITS.configCheckMs, look);
  return {
    markRead: () => {
      read = stampOf(path);
    },
    stop: timer.cancel,
  };
};

/** Another text for another file behind the path, and for another content of the same; undefined where there is none. */
const stampOf = (path: string): string | undefined => {
  try {
    // Nanoseconds: two writes fit into one millisecond.
    const { dev, ino, size, mtimeNs } = statSync(path, { bigint: true });
    return `${dev}:${ino}:${size}:${mtimeNs}`;
  } catch {
    return undefined;
  }
};
