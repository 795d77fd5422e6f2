/**
 * `backup FILE` and `backup verify FILE`: everything that an engine needs to be itself again, in one file.
 *
 * Invariant: keys leave the machine encrypted unless the operator says otherwise; a passphrase that is made here is printed once.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { isAbsolute, join, relative, resolve } from 'node:path';
import type { Command } from 'commander';
import type { LoadedConfig } from '../config/load.ts';
import { type BackupFile, type BackupKind, readBackup, writeBackup } from '../store/backup.ts';
import { keyFileOf } from '../store/key-ring.ts';
import type { CliContext } from './context.ts';
import { type AccessFlags, CONFIG_FLAG, configOf } from './credential-access.ts';
import { instanceFiles } from './instance.ts';
import { newPassphrase, PASSPHRASE_FLAG, passphraseFrom } from './passphrase.ts';

interface CreateFlags extends AccessFlags {
  readonly passphraseFile?: string;
  readonly encryption: boolean;
}

/** Where files go that lie outside of the engine's directory. */
export const ELSEWHERE = 'elsewhere';

/** Adds the `backup` commands. */
export const registerBackup = (program: Command, context: CliContext): void => {
  const command = program.command('backup').description('save configuration, keys and databases in one file');

  command
    .command('create', { isDefault: true })
    .description('write a backup, beside a running engine or without one')
    .argument('<file>', 'must not exist')
    .option(...PASSPHRASE_FLAG)
    .option('--no-encryption', 'leave the keys in it readable')
    .option(...CONFIG_FLAG)
    .action((file: string, flags: CreateFlags) => create(file, flags, context));

  command
    .command('verify')
    .description('check that a backup is whole and can be restored by this engine')
    .argument('<file>')
    .option(...PASSPHRASE_FLAG)
    .action((file: string, flags: { passphraseFile?: string }) => verify(file, flags, context));
};

const create = (file: string, flags: CreateFlags, context: CliContext): void => {
  const given = passphraseFrom(flags.passphraseFile, context.env);
  const made = flags.encryption && !given ? newPassphrase() : undefined;
  const loaded = configOf(flags, context);
  const entries = writeBackup(resolve(file), filesOf(loaded), flags.encryption ? (given ?? made) : undefined);
  context.tell(`Saved ${entries.map(({ path }) => path).join(', ')} in ${file}.`);
  if (loaded.config.store.signing_key)
    context.tell('Not in it: store.signing_key, if it comes from the environment. Keep it elsewhere.');
  if (!flags.encryption)
    context.tell('It is NOT encrypted: whoever reads it can sign tokens and be this engine.');
  if (!made) return;
  context.tell('Its passphrase is shown only now:');
  context.print(made.reveal());
};

const verify = (file: string, flags: { passphraseFile?: string }, context: CliContext): void => {
  const dir = mkdtempSync(join(tmpdir(), 'rstream-engine-ce-'));
  try {
    const entries = readBackup(resolve(file), dir, passphraseFrom(flags.passphraseFile, context.env));
    context.print(`ok: ${file} holds ${entries.map(({ path }) => path).join(', ')}`);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
};

/** What a backup holds. The databases first: a key that is made meanwhile is then in the backup before it is needed. */
export const filesOf = ({
  config,
  path,
  dir,
}: Pick<LoadedConfig, 'config' | 'path' | 'dir'>): BackupFile[] => {
  const { caCertificate, caKey } = instanceFiles(dir);
  const { cert_file, key_file, additional = [] } = config.certs.static;
  const pairs = [{ cert_file, key_file }, ...additional].flatMap((pair) => [pair.cert_file, pair.key_file]);
  const all: [from: string, kind: BackupKind][] = [
    [config.store.path, 'credentials'],
    [config.audit.path, 'audit'],
    [config.webhooks.path, 'webhooks'],
    ...[path, keyFileOf(config.store.path), caCertificate, caKey, ...pairs].map(
      (from): [string, BackupKind] => [from, 'file'],
    ),
  ];
  const isOptional = (from: string) =>
    ![config.store.path, path, ...pairs].includes(from) && !statSync(from, { throwIfNoEntry: false });
  const wanted = new Map(all.filter(([from]) => !isOptional(from)));
  return [...wanted].map(([from, kind]) => ({
    from,
    kind,
    path: from === path ? 'config.yaml' : pathIn(dir, from),
  }));
};

const pathIn = (dir: string, from: string): string => {
  const inside = relative(dir, from);
  return inside.startsWith('..') || isAbsolute(inside) ? join(ELSEWHERE, from) : inside;
};
