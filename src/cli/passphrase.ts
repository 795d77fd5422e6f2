/** The passphrase of a backup: from a file, from the environment, or a new one. */
import { readFileSync } from 'node:fs';
import { fail } from '../base/errors.ts';
import { randomText } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import { Secret } from '../base/secret.ts';
import type { CliContext } from './context.ts';

export const PASSPHRASE_FLAG = [
  '--passphrase-file <path>',
  'file that holds the passphrase (RSTREAM_BACKUP_PASSPHRASE)',
] as const;

// 120 bits.
const NEW_CHARS = 24;

/** The one that was given; undefined when there is none. Throws USAGE. */
export const passphraseFrom = (path: string | undefined, env: CliContext['env']): Secret | undefined => {
  const text = path === undefined ? env.RSTREAM_BACKUP_PASSPHRASE : read(path);
  if (text === undefined) return undefined;
  if (text.trim().length < LIMITS.backupPassphraseCharsMin)
    throw fail('USAGE', {
      problem: `The passphrase must have at least ${LIMITS.backupPassphraseCharsMin} characters`,
    });
  return new Secret(text.trim());
};

export const newPassphrase = (): Secret => new Secret(randomText(NEW_CHARS));

const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw fail('USAGE', { problem: `--passphrase-file ${path} cannot be read (${code})` }, cause);
  }
};
