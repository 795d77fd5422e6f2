/**
 * The configuration file of an engine that runs: read again, and written, without a restart.
 *
 * Flow: serve.ts makes one; SIGHUP and the admin page reload; the admin page writes.
 * Invariant: what is put into force is what the file says, whoever asks. A file is replaced whole or not at all, only by one that is valid,
 * and only while it is what the writer has read; what it was before is beside it, as `<file>.bak`.
 */
import {
  accessSync,
  closeSync,
  constants,
  copyFileSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fail } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { sha256Hex } from '../base/secret.ts';
import { configFromText, readConfigText } from '../config/load.ts';
import { type Environment, overridesFrom } from '../config/overrides.ts';
import type { Config } from '../config/schema.ts';
import { type ConfigChange, changeFrom } from './reload.ts';

export interface ConfigFile {
  /** Absolute. */
  readonly path: string;
  /** What is in force. */
  running(): Config;
  /** Keys of settings that the environment sets, whatever the file says. */
  readonly overridden: readonly string[];
  /** What is in the file now. Throws CONFIG_NOT_FOUND, or CONFIG_INVALID where it has faults. */
  read(): { readonly text: string; readonly hash: string; readonly config: Config };
  /** Why it cannot be written; undefined when it can. */
  writeProblem(): string | undefined;
  /**
   * Replaces the file.
   * @param hash of the text that the new one was made from
   * @throws VERSION_OUTDATED, CONFIG_NOT_WRITABLE, CONFIG_INVALID
   */
  write(text: string, hash: string): void;
  /** Puts what the file says into force, as far as a running engine can. Throws like `read`, and has then changed nothing. */
  reload(): ConfigChange;
}

export interface ConfigFileNeeds {
  readonly log: Logger;
  /** Takes over what a running engine can take. */
  apply(config: Config): void;
}

export const createConfigFile = (
  { log, apply }: ConfigFileNeeds,
  source: { readonly path: string; readonly env: Environment },
  started: Config,
): ConfigFile => {
  const path = resolve(source.path);
  let running = started;

  const parsed = (file: ReturnType<typeof readConfigText>) => ({
    ...file,
    ...configFromText({ ...file, path, env: source.env }),
    hash: sha256Hex(file.text),
  });
  // The page looks at the file every few seconds, and a text that is the same says the same.
  let latest: ReturnType<typeof parsed> | undefined;
  const load = () => {
    const file = readConfigText(path);
    if (latest?.text !== file.text || latest.isReadByOthers !== file.isReadByOthers) latest = parsed(file);
    return latest;
  };
  const writeProblem = (): string | undefined => {
    try {
      const target = realpathSync(path);
      accessSync(target, constants.W_OK);
      // A file that is replaced needs a directory that may be written to.
      accessSync(dirname(target), constants.W_OK);
      return undefined;
    } catch (error) {
      return `${path}: ${(error as NodeJS.ErrnoException).code ?? 'no access'}`;
    }
  };

  return {
    path,
    running: () => running,
    overridden: [...overridesFrom(source.env).values.keys()],
    read: load,
    writeProblem,

    write(text, hash) {
      const problem = writeProblem();
      if (problem) throw fail('CONFIG_NOT_WRITABLE', { problem });
      configFromText({ text, isReadByOthers: false, path, env: source.env });
      if (sha256Hex(readConfigText(path).text) !== hash) throw fail('VERSION_OUTDATED');
      try {
        replaceFile(realpathSync(path), text);
      } catch (error) {
        const { code = 'failed' } = error as NodeJS.ErrnoException;
        throw fail('CONFIG_NOT_WRITABLE', { problem: `${path}: ${code}` }, error);
      }
    },

    reload() {
      const next = load();
      const change = changeFrom(running, next.config);
      for (const warning of next.warnings) log.warn({}, warning);
      running = change.config;
      apply(running);
      log.info({ changed: change.changed }, 'the configuration was reloaded');
      if (change.pending.length > 0)
        log.warn({ settings: change.pending }, 'these settings change with the next start');
      return change;
    },
  };
};

/** Keeps the old one as a backup; mode and owner stay, as the file may hold secrets. */
const replaceFile = (path: string, text: string): void => {
  const { mode, uid, gid } = statSync(path);
  const aside = `${path}.${process.pid}.new`;
  try {
    const file = openSync(aside, 'wx', 0o600);
    try {
      // Not writeSync, which is content with a part where the disk is about to be full.
      writeFileSync(file, text);
      if (uid !== process.getuid?.() || gid !== process.getgid?.()) fchownSync(file, uid, gid);
      fchmodSync(file, mode & 0o777);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    // A new one each time, so that it is no more readable than the file.
    rmSync(`${path}.bak`, { force: true });
    copyFileSync(path, `${path}.bak`);
    renameSync(aside, path);
  } catch (error) {
    rmSync(aside, { force: true });
    throw error;
  }
};
