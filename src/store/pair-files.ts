/**
 * Puts a certificate and its key into the place of others, in files.
 *
 * Flow: the renewal of the local CA's own certificate and uploads through the Admin API replace; the engine's start finishes what a crash
 * has cut in two.
 * Invariant: at any moment, a crash included, the two files hold a whole old pair or lead to a whole new one: both are written aside, then
 * the key takes its place, then the certificate; a certificate that waits without its key says that the key has gone ahead. The last
 * pair stays beside them as `.old`. Keys are readable by their owner alone. A link is not replaced: another program keeps what it names.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { fail } from '../base/errors.ts';

/** Where a pair is. */
export interface PairFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** PEM. */
export interface PairTexts {
  readonly cert: Buffer;
  readonly key: Buffer;
}

const CERT_MODE = 0o644;
const KEY_MODE = 0o600;
// A name that nobody else uses: whatever lies there at a start is taken for ours, put into place or removed.
const aside = (path: string): string => `${path}.rstream-new`;
const kept = (path: string): string => `${path}.old`;

/**
 * Replaces both files, and keeps the pair that was in them as `.old`.
 * @returns puts the earlier pair back
 * @throws CERTIFICATE_FILES_FIXED when the files cannot be replaced; they are then as they were
 */
export const replacePair = (files: PairFiles, next: PairTexts): { undo(): void } => {
  if (files.certFile === files.keyFile)
    throw fail('CERTIFICATE_FILES_FIXED', { problem: `${files.certFile} holds both certificate and key` });
  for (const path of [files.certFile, files.keyFile])
    if (guarded(() => lstatSync(path)).isSymbolicLink())
      throw fail('CERTIFICATE_FILES_FIXED', { problem: `${path} is a link, which another program keeps` });
  const earlier = guarded(() => ({ cert: readFileSync(files.certFile), key: readFileSync(files.keyFile) }));
  guarded(() => {
    try {
      writeWhole(kept(files.keyFile), earlier.key, KEY_MODE);
      writeWhole(kept(files.certFile), earlier.cert, CERT_MODE);
      putPair(files, next);
    } catch (error) {
      putBack(files, earlier);
      throw error;
    }
  });
  return { undo: () => guarded(() => putPair(files, earlier)) };
};

/** Ends a replacement that a crash has cut in two; does nothing where there is none. */
export const finishReplacement = ({ certFile, keyFile }: PairFiles): void => {
  guarded(() => {
    if (existsSync(aside(certFile)) && !existsSync(aside(keyFile))) renameSync(aside(certFile), certFile);
    removeAside([certFile, keyFile]);
  });
};

const putPair = ({ certFile, keyFile }: PairFiles, { cert, key }: PairTexts): void => {
  writeWhole(aside(keyFile), key, KEY_MODE);
  writeWhole(aside(certFile), cert, CERT_MODE);
  renameSync(aside(keyFile), keyFile);
  renameSync(aside(certFile), certFile);
  for (const directory of new Set([dirname(certFile), dirname(keyFile)])) syncDirectory(directory);
};

/** After a failure: whatever was put already goes, and the earlier key comes back if its place was taken. */
const putBack = ({ certFile, keyFile }: PairFiles, earlier: PairTexts): void => {
  removeAside([certFile, keyFile]);
  if (readFileSync(keyFile).equals(earlier.key)) return;
  writeWhole(aside(keyFile), earlier.key, KEY_MODE);
  renameSync(aside(keyFile), keyFile);
};

// Looked at first: on a file system that is read-only even what is not there cannot be removed.
const removeAside = (paths: readonly string[]): void => {
  for (const path of paths.map(aside)) if (existsSync(path)) rmSync(path);
};

/** The directory's entry is as durable as the file; not every file system can, and none needs it to be right. */
const syncDirectory = (path: string): void => {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
};

const writeWhole = (path: string, content: Buffer, mode: number): void => {
  // Whatever an earlier crash left there may be open to others; wx follows no link either.
  rmSync(path, { force: true });
  const file = openSync(path, 'wx', mode);
  try {
    writeFileSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
};

const guarded = <Result>(work: () => Result): Result => {
  try {
    return work();
  } catch (cause) {
    const { code = 'damage', path = 'a file' } = cause as NodeJS.ErrnoException;
    throw fail('CERTIFICATE_FILES_FIXED', { problem: `${path} cannot be used (${code})` }, cause);
  }
};
