/**
 * Files of an engine into one sealed file, and out of it again.
 *
 * Flow: cli/backup.ts says which files, the command and backup-desk.ts have them written; each is a line of JSON (path, size, SHA-256) and its bytes in an archive (archive.ts).
 * Invariant: a database is copied as SQLite sees it at one moment, beside an engine that writes; what comes out is checked before anybody
 * can take it for an engine: sums, SQLite's own integrity check, and that its schema is not newer than this engine. Beside a running
 * engine it is written in steps, of which the longest is the copy of the largest database.
 * Limits: backupFilesMax.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, isAbsolute, join, normalize } from 'node:path';
import { fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Secret } from '../base/secret.ts';
import {
  type ArchiveReader,
  type ArchiveSeal,
  type ArchiveWriter,
  createArchive,
  newSeal,
  newSealAside,
  openArchive,
} from './archive.ts';
import { AUDIT_MIGRATIONS } from './audit.ts';
import { checkCopy, checkDatabase, copyDatabase } from './database.ts';
import { MIGRATIONS } from './migrations.ts';
import { WEBHOOK_MIGRATIONS } from './webhooks.ts';

/** How a file is copied and checked. */
export type BackupKind = 'file' | 'credentials' | 'audit' | 'webhooks';

/** A file that goes into a backup. */
export interface BackupFile {
  /** Where it is. */
  readonly from: string;
  /** Where it goes, relative to the directory of the engine. */
  readonly path: string;
  readonly kind: BackupKind;
}

/** A file in a backup. */
export interface BackupEntry {
  readonly path: string;
  readonly kind: BackupKind;
  readonly size: number;
  readonly sha256: string;
}

/**
 * Writes a backup, beside a running engine or without one, and does nothing else meanwhile. The file must not exist; a failed one is removed.
 * @param passphrase without it the backup is not encrypted
 * @throws STORE_UNAVAILABLE, BACKUP_FAILED
 */
export const writeBackup = (
  path: string,
  files: readonly BackupFile[],
  passphrase: Secret | undefined,
): readonly BackupEntry[] => {
  const steps = backupSteps(path, files, newSeal(passphrase));
  for (;;) {
    const step = guarded(path, () => steps.next());
    if (step.done) return step.value;
  }
};

/**
 * The same in the process of a running engine: whatever else waits has its turn after each step.
 * @param signal ends it, and removes what was written
 * @throws STORE_UNAVAILABLE, BACKUP_FAILED, ENGINE_DRAINING
 */
export const writeBackupInSteps = async (
  path: string,
  files: readonly BackupFile[],
  passphrase: Secret,
  signal: AbortSignal,
): Promise<readonly BackupEntry[]> => {
  const steps = backupSteps(path, files, await newSealAside(passphrase));
  for (;;) {
    const step = guarded(path, () => (signal.aborted ? steps.throw(fail('ENGINE_DRAINING')) : steps.next()));
    if (step.done) return step.value;
    await othersTurn();
  }
};

/** What waits for a socket has its turn before this goes on. */
const othersTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Stops after each piece of work. */
function* backupSteps(path: string, files: readonly BackupFile[], seal: ArchiveSeal): Steps<BackupEntry[]> {
  const archive = createArchive(path, seal);
  let aside: string | undefined;
  let isWhole = false;
  try {
    aside = mkdtempSync(join(tmpdir(), 'rstream-engine-ce-'));
    const entries: BackupEntry[] = [];
    for (const [index, file] of files.entries())
      entries.push(yield* append(archive, file, join(aside, String(index))));
    archive.finish();
    isWhole = true;
    return entries;
  } finally {
    archive.close();
    if (aside) rmSync(aside, { recursive: true, force: true });
    if (!isWhole) rmSync(path, { force: true });
  }
}

type Steps<Result> = Generator<void, Result>;

/**
 * Reads a backup into a directory that exists and is empty, and checks everything in it.
 * @throws BACKUP_INVALID, BACKUP_FAILED, STORE_TOO_NEW, STORE_UNAVAILABLE
 */
export const readBackup = (
  path: string,
  dir: string,
  passphrase: Secret | undefined,
): readonly BackupEntry[] =>
  guarded(path, () => {
    const archive = openArchive(path, passphrase);
    const entries: BackupEntry[] = [];
    try {
      for (let line = archive.readLine(); line !== undefined; line = archive.readLine()) {
        const entry = entryFrom(line);
        if (!entry || entries.length === LIMITS.backupFilesMax)
          throw fail('BACKUP_INVALID', { path, problem: 'it holds what no backup of this engine holds' });
        if (extract(archive, entry, join(dir, entry.path)) !== entry.sha256)
          throw fail('BACKUP_INVALID', { path, problem: `${entry.path} in it is damaged` });
        entries.push(entry);
      }
    } finally {
      archive.close();
    }
    for (const { path, kind } of entries) if (kind !== 'file') checkDatabase(join(dir, path), SCHEMAS[kind]);
    return entries;
  });

const SCHEMAS = { credentials: MIGRATIONS, audit: AUDIT_MIGRATIONS, webhooks: WEBHOOK_MIGRATIONS } as const;

function* append(archive: ArchiveWriter, file: BackupFile, copy: string): Steps<BackupEntry> {
  const { from, path, kind } = file;
  const source = kind === 'file' ? from : copy;
  if (kind !== 'file') {
    copyDatabase(from, copy);
    yield;
    checkCopy(copy);
    yield;
  }
  const hash = createHash('sha256');
  const size = yield* eachPiece(source, (piece) => hash.update(piece));
  const entry = { path, kind, size, sha256: hash.digest('hex') };
  archive.write(Buffer.from(`${JSON.stringify(entry)}\n`));
  // One that grew or shrank meanwhile is noticed here, where it can be tried again.
  const written = yield* eachPiece(source, (piece) => archive.write(piece));
  if (written !== size) throw fail('BACKUP_FAILED', { path: from, problem: 'it changes: try again' });
  return entry;
}

/** Hands a file out piece by piece. Returns its size in bytes. */
function* eachPiece(path: string, take: (piece: Buffer) => void): Steps<number> {
  const file = openSync(path, 'r');
  const piece = Buffer.alloc(LIMITS.archiveRecordBytes);
  let size = 0;
  try {
    for (let read = -1; read !== 0; size += read) {
      read = readSync(file, piece);
      take(piece.subarray(0, read));
      yield;
    }
    return size;
  } finally {
    closeSync(file);
  }
}

/** Returns the SHA-256 of what was written. */
const extract = (archive: ArchiveReader, { size }: BackupEntry, to: string): string => {
  mkdirSync(dirname(to), { recursive: true, mode: 0o700 });
  const file = openSync(to, 'wx', 0o600);
  const hash = createHash('sha256');
  try {
    for (let left = size; left > 0; ) {
      const piece = archive.read(Math.min(left, LIMITS.archiveRecordBytes));
      // Not writeSync, which is content with a part where the disk is about to be full.
      writeFileSync(file, piece);
      hash.update(piece);
      left -= piece.length;
    }
  } finally {
    closeSync(file);
  }
  chmodSync(to, 0o600);
  return hash.digest('hex');
};

const entryFrom = (line: string): BackupEntry | undefined => {
  const entry = parsed(line);
  const { path, size } = entry ?? {};
  if (!entry || typeof path !== 'string' || !Number.isSafeInteger(size) || Number(size) < 0) return undefined;
  // Nothing in a backup may point out of the directory that it is read into.
  const isInside = !isAbsolute(path) && normalize(path) === path && !path.startsWith('..') && path !== '.';
  return isInside ? entry : undefined;
};

const parsed = (line: string): BackupEntry | undefined => {
  try {
    return JSON.parse(line) as BackupEntry;
  } catch {
    return undefined;
  }
};

/** Gives faults of the file system a sentence. */
const guarded = <Result>(path: string, work: () => Result): Result => {
  try {
    return work();
  } catch (thrown) {
    const { code, syscall, path: at = path } = thrown as NodeJS.ErrnoException;
    if (syscall === undefined) throw thrown;
    const problem = code === 'EEXIST' ? 'it exists already' : `the system reports ${code}`;
    throw fail('BACKUP_FAILED', { path: at, problem }, thrown);
  }
};
