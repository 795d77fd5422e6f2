/**
 * The audit log: who did what to which credential, from where, and with which result.
 *
 * Flow: the command line and the engine's doors `record`; `audit list` and `audit verify` read. It has a file of its own, which several
 * processes may write at once.
 * Invariant: each entry's hash covers the entry before it, so that nothing in between can be changed or left out unseen; what the caps
 * remove is anchored by the hash of the last entry that went. A log that cannot be written is told to `onFault`, with the event, and stops
 * nothing. A damaged one is never replaced: it may be the trace of somebody, and is the operator's to look at and to move away.
 * Limits: sizeBytesMax and ageMsMax (options), auditTextCharsMax for each text.
 */
import { type EngineError, engineErrorFrom, fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { sha256Hex } from '../base/secret.ts';
import type { Clock } from '../base/time.ts';
import { type Connection, type Database, openDatabase } from './database.ts';
import type { Migration } from './migrations.ts';

/** What happened. */
export interface AuditEvent {
  /** Who: like `cli:alice` or `admin:bob`. */
  readonly actor: string;
  /** What: `<kind>.<verb>`, like `pat.revoke`. */
  readonly action: string;
  /** Which object: an id, or what was asked for where there is none. */
  readonly object: string;
  /** The object's name for people, where it has one. */
  readonly name?: string;
  /** From where: an address, or `local`. */
  readonly origin: string;
  /** `ok`, or the code of the refusal. */
  readonly result: string;
}

/** What is in the log. */
export interface AuditEntry extends AuditEvent {
  /** 1, 2, 3 ... without gaps. */
  readonly number: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** SHA-256 in hex over the entry and the hash before it. */
  readonly hash: string;
}

/** How much of a log was found sound. */
export interface AuditReport {
  readonly count: number;
  /** Number and hash of the last entry: whoever keeps them elsewhere notices when entries at the end are missing. */
  readonly lastNumber: number;
  readonly lastHash: string;
}

export interface AuditLog {
  /** Never throws. */
  record(event: AuditEvent): void;
  /** The newest first, those before a number where one is given. Throws STORE_UNAVAILABLE. */
  list(countMax: number, before?: number): AuditEntry[];
  /** Throws AUDIT_BROKEN with what is wrong, or STORE_UNAVAILABLE. */
  verify(): AuditReport;
  close(): void;
}

export interface AuditOptions {
  /** A file; it is made with the first entry. */
  readonly path: string;
  readonly sizeBytesMax: number;
  readonly ageMsMax: number;
}

export const AUDIT_MIGRATIONS: readonly Migration[] = [
  {
    number: 1,
    reason: 'the chain of entries, and where it begins',
    sql: `
      CREATE TABLE entries (
        number INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        object TEXT NOT NULL,
        name TEXT,
        origin TEXT NOT NULL,
        result TEXT NOT NULL,
        hash TEXT NOT NULL
      ) STRICT;

      CREATE TABLE anchor (number INTEGER NOT NULL, hash TEXT NOT NULL) STRICT;
      INSERT INTO anchor (number, hash) VALUES (0, '');
    `,
  },
];

type Row = Omit<AuditEntry, 'name'> & { name: string | null };
type Link = Pick<AuditEntry, 'number' | 'hash'>;

// The caps are looked at when an entry has a number that is a multiple of this.
const PRUNE_EVERY = 64;

/** The log of an engine; nothing is opened before it is needed. */
export const createAuditLog = (
  { clock, onFault }: { clock: Clock; onFault: (error: EngineError, event: AuditEvent) => void },
  options: AuditOptions,
): AuditLog => {
  let opened: Database | undefined;
  const database = (mode: 'open' | 'create'): Database => {
    opened ??= openDatabase({ path: options.path, mode, migrations: AUDIT_MIGRATIONS });
    return opened;
  };

  const close = (): void => {
    opened?.close();
    opened = undefined;
  };

  const append = (event: AuditEvent): void =>
    database('create').transact((connection) => {
      const previous = lastLink(connection);
      const row: Omit<Row, 'hash'> = {
        number: previous.number + 1,
        at: clock.now(),
        actor: cut(event.actor),
        action: cut(event.action),
        object: cut(event.object),
        name: event.name === undefined ? null : cut(event.name),
        origin: cut(event.origin),
        result: cut(event.result),
      };
      connection
        .prepare(
          `INSERT INTO entries (number, at, actor, action, object, name, origin, result, hash)
           VALUES (:number, :at, :actor, :action, :object, :name, :origin, :result, :hash)`,
        )
        .run({ ...row, hash: hashOf(row, previous.hash) });
      if (row.number % PRUNE_EVERY === 0) prune(connection, clock.now(), options);
    });

  return {
    record(event) {
      try {
        append(event);
      } catch (thrown) {
        onFault(engineErrorFrom(thrown), event);
        // The next event finds the file that lies there then, which may be another one.
        close();
      }
    },
    list: (countMax, before = Number.MAX_SAFE_INTEGER) =>
      database('open')
        .use((connection) =>
          connection
            .prepare<[number, number], Row>(
              'SELECT * FROM entries WHERE number < ? ORDER BY number DESC LIMIT ?',
            )
            .all(before, countMax),
        )
        .map(({ name, ...entry }) => (name === null ? entry : { ...entry, name })),
    verify: () => database('open').use(verifyChain),
    close,
  };
};

const cut = (text: string): string => text.slice(0, LIMITS.auditTextCharsMax);

const hashOf = (row: Omit<Row, 'hash'>, previousHash: string): string => {
  const { number, at, actor, action, object, name, origin, result } = row;
  return sha256Hex(JSON.stringify([previousHash, number, at, actor, action, object, name, origin, result]));
};

const anchorOf = (connection: Connection): Link =>
  connection.prepare<[], Link>('SELECT number, hash FROM anchor').get() ?? { number: 0, hash: '' };

const lastLink = (connection: Connection): Link =>
  connection.prepare<[], Link>('SELECT number, hash FROM entries ORDER BY number DESC LIMIT 1').get() ??
  anchorOf(connection);

const verifyChain = (connection: Connection): AuditReport => {
  let { number, hash } = anchorOf(connection);
  let count = 0;
  for (const row of connection.prepare<[], Row>('SELECT * FROM entries ORDER BY number').iterate()) {
    number += 1;
    if (row.number !== number) throw fail('AUDIT_BROKEN', { problem: `entry ${number} is missing` });
    hash = hashOf(row, hash);
    if (row.hash !== hash) throw fail('AUDIT_BROKEN', { problem: `entry ${number} was changed` });
    count += 1;
  }
  return { count, lastNumber: number, lastHash: hash };
};

/** Removes what is too old, and the oldest tenth as long as the file is too large. */
const prune = (connection: Connection, nowMs: number, { ageMsMax, sizeBytesMax }: AuditOptions): void => {
  const firstYoung = connection
    .prepare<[number], number | null>('SELECT min(number) FROM entries WHERE at >= ?')
    .pluck()
    .get(nowMs - ageMsMax);
  removeBefore(connection, firstYoung ?? 0);
  while (usedBytes(connection) > sizeBytesMax) {
    const { first, last } = connection
      .prepare<[], { first: number; last: number }>(
        'SELECT min(number) AS first, max(number) AS last FROM entries',
      )
      .get()!;
    if (last - first < PRUNE_EVERY) return;
    removeBefore(connection, first + Math.ceil((last - first) / 10));
  }
};

const usedBytes = (connection: Connection): number => {
  const pragma = (name: string) => Number(connection.pragma(name, { simple: true }));
  return (pragma('page_count') - pragma('freelist_count')) * pragma('page_size');
};

const removeBefore = (connection: Connection, number: number): void => {
  const last = connection
    .prepare<[number], Link>('SELECT number, hash FROM entries WHERE number < ? ORDER BY number DESC LIMIT 1')
    .get(number);
  if (!last) return;
  connection.prepare('UPDATE anchor SET number = :number, hash = :hash').run(last);
  connection.prepare('DELETE FROM entries WHERE number <= ?').run(last.number);
};
