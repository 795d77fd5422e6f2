/**
 * `restore FILE`: an engine's directory out of a backup.
 *
 * Invariant: the directory appears as a whole, after everything in it was checked, or not at all; nothing that exists is overwritten.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmdirSync, rmSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import { fail } from '../base/errors.ts';
import { randomText } from '../base/ids.ts';
import { readBackup } from '../store/backup.ts';
import { ELSEWHERE } from './backup.ts';
import type { CliContext } from './context.ts';
import { PASSPHRASE_FLAG, passphraseFrom } from './passphrase.ts';

interface Flags {
  readonly dir: string;
  readonly passphraseFile?: string;
}

/** Adds the command. */
export const registerRestore = (program: Command, context: CliContext): void => {
  program
    .command('restore')
    .description('make the directory of an engine from a backup')
    .argument('<file>')
    .option('--dir <dir>', 'where to; absent or empty', 'data')
    .option(...PASSPHRASE_FLAG)
    .action((file: string, flags: Flags) => restore(file, flags, context));
};

const restore = (file: string, flags: Flags, context: CliContext): void => {
  const dir = resolve(flags.dir);
  const isEmpty = !existsSync(dir) || readdirSync(dir).length === 0;
  if (!isEmpty) throw fail('ALREADY_INITIALIZED', { path: dir });
  const passphrase = passphraseFrom(flags.passphraseFile, context.env);
  mkdirSync(dirname(dir), { recursive: true });
  const aside = `${dir}.${randomText(8)}`;
  mkdirSync(aside, { mode: 0o700 });
  try {
    const entries = readBackup(resolve(file), aside, passphrase);
    if (existsSync(dir)) rmdirSync(dir);
    renameSync(aside, dir);
    context.tell(`Restored ${entries.map(({ path }) => path).join(', ')} to ${dir}.`);
    const elsewhere = entries.filter(({ path }) => path.startsWith(`${ELSEWHERE}/`));
    for (const { path } of elsewhere)
      context.tell(`The configuration expects ${path.slice(ELSEWHERE.length)}: put ${path} there.`);
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
};
