/**
 * The keys that sign the engine's own tokens: one that signs, and rotated ones that verify until their overlap ends.
 *
 * Flow: credentials.ts signs with `current` and verifies with `verifying`; `key rotate` on the command line changes the file, and a
 * running engine notices at its next look.
 * Invariant: the keys are in a file beside the database that its owner alone reads (or in the operator's environment), never in the
 * database: who gets a copy of that can sign nothing. A missing file whose tokens exist is a fault, not a reason for a new key.
 */

import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { fail } from '../base/errors.ts';
import { randomText } from '../base/ids.ts';
import { isoFrom } from '../base/instant.ts';
import type { Secret } from '../base/secret.ts';
import type { Clock } from '../base/time.ts';
import type { Database } from './database.ts';

/** A key that verifies. */
export interface VerifyingKey {
  readonly key: KeyObject;
  /** Milliseconds since 1970; absent for the key that signs. */
  readonly validUntil?: number;
}

/** Made by {@link createKeyRing}. */
export interface KeyRing {
  current(): KeyObject;
  /** The newest first; those whose overlap is over are not among them. */
  verifying(): readonly VerifyingKey[];
  /**
   * Makes a new key; the present one verifies for `overlapMs` more.
   * @throws KEY_NOT_ROTATABLE when the key comes from the environment
   */
  rotate(overlapMs: number): void;
}

interface StoredKey {
  readonly secret: string;
  readonly created_at: string;
  readonly valid_until?: string;
}

const OLD_ROW = 'token-signing';
// HS256 wants a key as long as its hash (RFC 7518 section 3.2).
const KEY_BYTES = 32;
const FILE_MODE = 0o600;

/** The file of a database's keys: engine.db has engine.signing-key. Not `.key`, which somebody's TLS key may be called. */
export const keyFileOf = (databasePath: string): string => `${databasePath.replace(/\.db$/, '')}.signing-key`;

/**
 * Opens the ring of a database, and makes the first key of a new one.
 * @param needs.signingKey takes the place of the file
 * @throws STORE_UNAVAILABLE when the file is missing, unreadable or damaged
 */
export const createKeyRing = (needs: {
  readonly database: Database;
  readonly clock: Clock;
  readonly signingKey?: Secret;
}): KeyRing => {
  const { database, clock, signingKey } = needs;
  const notRotatable = () => {
    throw fail('KEY_NOT_ROTATABLE');
  };
  if (signingKey) return fixedRing(createSecretKey(signingKey.reveal(), 'utf8'), notRotatable);
  // A database in memory has no directory, and its tokens end with it.
  if (database.path === ':memory:') return fixedRing(createSecretKey(randomBytes(KEY_BYTES)), notRotatable);

  const path = keyFileOf(database.path);
  const guarded = <Result>(work: () => Result): Result => {
    try {
      return work();
    } catch (cause) {
      const { code = 'damage' } = cause as NodeJS.ErrnoException;
      const problem = code === 'ENOENT' ? 'it is missing, and tokens need it' : `it cannot be used (${code})`;
      throw fail('STORE_UNAVAILABLE', { path, problem }, cause);
    }
  };
  guarded(() => makeFirst(path, database, clock));

  let stamp = '';
  let keys: readonly VerifyingKey[] = [];
  const load = () =>
    guarded(() => {
      const { mtimeMs, ino, size } = statSync(path);
      const found = `${mtimeMs} ${ino} ${size}`;
      if (found === stamp) return keys;
      keys = readKeys(path).map(({ secret, valid_until }) => ({
        key: createSecretKey(Buffer.from(secret, 'base64url')),
        ...(valid_until !== undefined && { validUntil: Date.parse(valid_until) }),
      }));
      stamp = found;
      return keys;
    });
  load();

  const verifying = () => {
    const now = clock.now();
    return load().filter(({ validUntil = Number.POSITIVE_INFINITY }) => validUntil > now);
  };
  return {
    current: () => load()[0]!.key,
    verifying,
    rotate: (overlapMs) =>
      guarded(() => {
        const now = clock.now();
        const validUntil = isoFrom(now + overlapMs);
        const kept = readKeys(path)
          .map((key) => ({ ...key, valid_until: earlier(key.valid_until, validUntil) }))
          .filter(({ valid_until }) => Date.parse(valid_until) > now);
        replaceFile(path, [newKey(clock), ...kept]);
        // Takes the old file's place as a whole: a crash leaves one or the other.
        keys = load();
      }),
  };
};

const fixedRing = (key: KeyObject, rotate: () => never): KeyRing => ({
  current: () => key,
  verifying: () => [{ key }],
  rotate,
});

const earlier = (a: string | undefined, b: string): string => (a !== undefined && a < b ? a : b);

const newKey = (clock: Clock, secret: Buffer = randomBytes(KEY_BYTES)): StoredKey => ({
  secret: secret.toString('base64url'),
  created_at: isoFrom(clock.now()),
});

const makeFirst = (path: string, database: Database, clock: Clock): void => {
  const old = database.use((connection) =>
    connection.prepare<[string], Buffer>('SELECT secret FROM keys WHERE name = ?').pluck().get(OLD_ROW),
  );
  if (!statSync(path, { throwIfNoEntry: false })) {
    const hasTokens = database.use((connection) =>
      connection.prepare(`SELECT 1 FROM credentials WHERE kind = 'pat' LIMIT 1`).get(),
    );
    // Reading it now says that it is missing.
    if (hasTokens && !old) readKeys(path);
    createFile(path, [newKey(clock, old)]);
  }
  if ((statSync(path).mode & 0o777) !== FILE_MODE) chmodSync(path, FILE_MODE);
  if (old) forgetOldRow(database);
};

// Overwritten, and folded out of the -wal: a copy of the files must not hold the key any more.
const forgetOldRow = (database: Database): void => {
  database.use((connection) => {
    connection.pragma('secure_delete = ON');
    connection.prepare('DELETE FROM keys WHERE name = ?').run(OLD_ROW);
    connection.pragma('wal_checkpoint(TRUNCATE)');
  });
};

const readKeys = (path: string): StoredKey[] => {
  const { keys } = JSON.parse(readFileSync(path, 'utf8')) as { keys: StoredKey[] };
  for (const { secret, valid_until } of keys) {
    const isSound = Buffer.from(secret, 'base64url').length >= KEY_BYTES;
    if (!isSound || Number.isNaN(Date.parse(valid_until ?? '1970-01-01'))) throw new Error('damaged');
  }
  if (keys[0] === undefined || keys[0].valid_until !== undefined) throw new Error('no key that signs');
  return keys;
};

const writeAside = (path: string, keys: readonly StoredKey[]): string => {
  const aside = `${path}.${randomText(8)}`;
  const file = openSync(aside, 'wx', FILE_MODE);
  try {
    // Not writeSync, which is content with a part where the disk is about to be full.
    writeFileSync(file, `${JSON.stringify({ keys }, null, 2)}\n`);
    fsyncSync(file);
  } catch (cause) {
    unlinkSync(aside);
    throw cause;
  } finally {
    closeSync(file);
  }
  return aside;
};

const replaceFile = (path: string, keys: readonly StoredKey[]): void =>
  renameSync(writeAside(path, keys), path);

/** Two processes that race get the same file: a link is never made over another. */
const createFile = (path: string, keys: readonly StoredKey[]): void => {
  const aside = writeAside(path, keys);
  try {
    linkSync(aside, path);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
  } finally {
    unlinkSync(aside);
  }
};
