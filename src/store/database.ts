/**
 * One SQLite file: opened, migrated, closed.
 *
 * Flow: the lobby opens the engine's database before it listens; the tables of this room (credential-table.ts) run SQL through `use`
 * and `transact`.
 * Invariant: the file and its -wal and -shm are readable and writable by their owner only, from the first moment they exist; a
 * database is never left between two schema versions; SQLite's own failures leave as STORE_UNAVAILABLE with a plain sentence.
 */
import { chmodSync, closeSync, mkdirSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import Sqlite from 'better-sqlite3';
import { EngineError, fail } from '../base/errors.ts';
import { MIGRATIONS, type Migration } from './migrations.ts';

/** The connection as SQL sees it; leaves this room nowhere. */
export type Connection = Sqlite.Database;

/** An open database. */
export interface Database {
  readonly path: string;
  /** Runs SQL. */
  use<Result>(work: (connection: Connection) => Result): Result;
  /** Runs SQL in one transaction that other writers wait for; whatever `work` throws rolls it back. */
  transact<Result>(work: (connection: Connection) => Result): Result;
  /** A number that changes when another connection or process has committed, and never by this one. */
  dataVersion(): number;
  /** The last connection to a file moves its -wal into it and removes it. Safe to repeat. */
  close(): void;
}

/** What {@link openDatabase} takes. */
export interface DatabaseOptions {
  /** A file, or `:memory:`. */
  readonly path: string;
  /** `create` makes the file and its directory where they are missing, `open` insists on them. */
  readonly mode: 'open' | 'create';
  readonly migrations?: readonly Migration[];
  /**
   * For what may be lost: a commit waits neither for the disk nor for long for another program, and space that becomes free can be given back by
   * `PRAGMA incremental_vacuum`.
   */
  readonly isExpendable?: boolean;
}

const MEMORY = ':memory:';
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;
// Another process writes for milliseconds; who waits longer than this waits for a program that hangs.
const BUSY_MS = 5_000;
// What may be lost is not worth a wait of the whole process.
const EXPENDABLE_BUSY_MS = 20;

// By the code of SQLite without its extension (SQLITE_IOERR_WRITE is SQLITE_IOERR), or of the file system.
const PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: 'it does not exist',
  EACCES: 'this user may not read and write it',
  EPERM: 'this user does not own it',
  ENOTDIR: 'a part of its path is not a directory',
  EEXIST: 'a part of its path is not a directory',
  ENOSPC: 'the disk is full',
  EROFS: 'the disk is read-only',
  SQLITE_BUSY: 'another program keeps it locked',
  SQLITE_CANTOPEN: 'it cannot be opened',
  SQLITE_CORRUPT: 'it is damaged',
  SQLITE_FULL: 'the disk is full',
  SQLITE_IOERR: 'the disk reports an error',
  SQLITE_NOTADB: 'it is not an SQLite database',
  SQLITE_READONLY: 'it is read-only',
};

/** Opens, migrates and returns the database. Throws STORE_UNAVAILABLE or STORE_TOO_NEW. */
export const openDatabase = ({
  path,
  mode,
  migrations = MIGRATIONS,
  isExpendable = false,
}: DatabaseOptions): Database => {
  const guard = <Result>(work: () => Result): Result => {
    try {
      return work();
    } catch (thrown) {
      throw faultFrom(path, thrown);
    }
  };
  const connection = guard(() => {
    if (path !== MEMORY) secureFile(path, mode);
    return new Sqlite(path, {
      fileMustExist: path !== MEMORY,
      timeout: isExpendable ? EXPENDABLE_BUSY_MS : BUSY_MS,
    });
  });
  try {
    guard(() => {
      // It counts only before the file has its first page.
      if (isExpendable) connection.pragma('auto_vacuum = INCREMENTAL');
      prepare(connection, path, migrations);
      if (isExpendable) connection.pragma('synchronous = NORMAL');
    });
  } catch (thrown) {
    connection.close();
    throw thrown;
  }
  const readDataVersion = connection.prepare<[], number>('PRAGMA data_version').pluck();
  return {
    path,
    use: (work) => guard(() => work(connection)),
    transact: (work) =>
      guard(() => withRoom(connection, () => connection.transaction(() => work(connection)).immediate())),
    dataVersion: () => guard(() => readDataVersion.get() ?? 0),
    close: () => {
      connection.close();
    },
  };
};

/**
 * Tries once more where the disk is full: what the -wal holds moves into the file first, where it mostly has its place already, and the room of
 * the -wal serves again. That is enough to revoke a credential beside a running engine.
 */
const withRoom = <Result>(connection: Connection, transact: () => Result): Result => {
  try {
    return transact();
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'SQLITE_FULL') throw thrown;
    connection.pragma('wal_checkpoint(RESTART)');
    return transact();
  }
};

/** Copies a database as it is at one moment, beside those who write to it. Throws STORE_UNAVAILABLE. */
export const copyDatabase = (path: string, to: string): void =>
  withReader(path, (connection) => void connection.prepare('VACUUM INTO ?').run(to));

/** What SQLite itself says of a file. Throws STORE_UNAVAILABLE when it is damaged. */
export const checkCopy = (path: string): void =>
  withReader(path, (connection) => assertSound(path, connection));

/** Looks at a database, and changes nothing. Throws STORE_UNAVAILABLE, or STORE_TOO_NEW for a newer engine's. */
export const checkDatabase = (path: string, migrations: readonly Migration[] = MIGRATIONS): void =>
  withReader(path, (connection) => {
    assertKnown(path, connection, migrations);
    assertSound(path, connection);
  });

const withReader = <Result>(path: string, work: (connection: Connection) => Result): Result => {
  let connection: Connection | undefined;
  try {
    connection = new Sqlite(path, { readonly: true, fileMustExist: true, timeout: BUSY_MS });
    return work(connection);
  } catch (thrown) {
    throw faultFrom(path, thrown);
  } finally {
    connection?.close();
  }
};

const assertSound = (path: string, connection: Connection): void => {
  if (connection.pragma('integrity_check(1)', { simple: true }) !== 'ok')
    throw fail('STORE_UNAVAILABLE', { path, problem: PROBLEMS.SQLITE_CORRUPT });
};

// SQLite gives its -wal and -shm the mode of the file, so the file must have its mode before SQLite sees it.
const secureFile = (path: string, mode: DatabaseOptions['mode']): void => {
  if (mode === 'create') {
    mkdirSync(dirname(path), { recursive: true, mode: DIRECTORY_MODE });
    closeSync(openSync(path, 'a', FILE_MODE));
  }
  if (!statSync(path).isFile()) throw fail('STORE_UNAVAILABLE', { path, problem: 'it is not a file' });
  for (const file of [path, `${path}-wal`, `${path}-shm`]) {
    const stats = statSync(file, { throwIfNoEntry: false });
    if (stats && (stats.mode & 0o777) !== FILE_MODE) chmodSync(file, FILE_MODE);
  }
};

const prepare = (connection: Connection, path: string, migrations: readonly Migration[]): void => {
  // WAL: readers never wait for the writer, so `token revoke` on the command line works beside a running engine.
  connection.pragma('journal_mode = WAL');
  connection.pragma('synchronous = FULL');
  connection.transaction(() => migrate(connection, path, migrations)).immediate();
  // Only now: a migration that rebuilds a table must be free to drop the old one.
  connection.pragma('foreign_keys = ON');
};

const migrate = (connection: Connection, path: string, migrations: readonly Migration[]): void => {
  const { found, known } = assertKnown(path, connection, migrations);
  for (const { number, sql } of migrations) if (number > found) connection.exec(sql);
  if (found < known) connection.pragma(`user_version = ${known}`);
};

/** The file's schema version, and ours. */
const assertKnown = (path: string, connection: Connection, migrations: readonly Migration[]) => {
  const found = Number(connection.pragma('user_version', { simple: true }));
  const known = migrations.at(-1)?.number ?? 0;
  if (found > known) throw fail('STORE_TOO_NEW', { path, found, known });
  return { found, known };
};

/** Whether a fault of a database means that its file is none, or no longer: it will not pass by itself. */
export const isDamage = (thrown: unknown): boolean => {
  const { code = '' } = ((thrown as Error | undefined)?.cause ?? {}) as NodeJS.ErrnoException;
  return /^SQLITE_(?:CORRUPT|NOTADB)/.test(code);
};

/** Where {@link setAside} puts a damaged database. */
export const asideOf = (path: string): string => `${path}.damaged`;

/**
 * Moves a damaged database, which nobody has open, out of the way; an earlier one gives way, so that there is never more than one.
 * @throws STORE_UNAVAILABLE
 */
export const setAside = (path: string): void => {
  try {
    renameSync(path, asideOf(path));
    // They belong to no file that may come after it.
    for (const suffix of ['-wal', '-shm']) rmSync(path + suffix, { force: true });
  } catch (thrown) {
    throw faultFrom(path, thrown);
  }
};

/** Bytes that a database takes on the disk, with what has not moved into its file yet; 0 as long as there is none. */
export const databaseBytes = (path: string): number =>
  [path, `${path}-wal`].reduce(
    (bytes, file) => bytes + (statSync(file, { throwIfNoEntry: false })?.size ?? 0),
    0,
  );

/** What is neither SQLite's nor the file system's is a bug, and passes as it is. */
const faultFrom = (path: string, thrown: unknown): unknown => {
  if (thrown instanceof EngineError || !(thrown instanceof Error)) return thrown;
  const { code } = thrown as NodeJS.ErrnoException;
  if (typeof code !== 'string') return thrown;
  const problem = PROBLEMS[code.startsWith('SQLITE_') ? code.split('_', 2).join('_') : code];
  return fail('STORE_UNAVAILABLE', { path, problem: problem ?? `the system reports ${code}` }, thrown);
};
