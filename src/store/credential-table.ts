/**
 * The rows behind credentials.ts: records by id, name and hash of the token, and the key that signs tokens.
 *
 * Invariant: holds hashes, never tokens; the only file that knows the columns.
 */
import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import type { CredentialId } from '../base/ids.ts';
import type { Clock } from '../base/time.ts';
import type { Database } from './database.ts';

/** What the engine keeps about a token that it issued. Times are milliseconds since 1970. */
export interface CredentialRecord {
  readonly id: CredentialId;
  readonly name: string;
  /** Null: unrestricted. */
  readonly permissions: readonly string[] | null;
  readonly createdAt: number;
  readonly expiresAt?: number;
  readonly revokedAt?: number;
}

interface CredentialRow {
  id: CredentialId;
  name: string;
  permissions: string | null;
  created_at: number;
  expires_at: number | null;
  revoked_at: number | null;
}

const SIGNING_KEY = 'token-signing';
// HS256 wants a key as long as its hash (RFC 7518 section 3.2).
const SIGNING_KEY_BYTES = 32;

const COLUMNS = 'id, name, permissions, created_at, expires_at, revoked_at';
const LIVE = 'revoked_at IS NULL AND (expires_at IS NULL OR expires_at > :now)';

const recordFromRow = (row: CredentialRow): CredentialRecord => ({
  id: row.id,
  name: row.name,
  permissions: row.permissions === null ? null : (JSON.parse(row.permissions) as string[]),
  createdAt: row.created_at,
  ...(row.expires_at !== null && { expiresAt: row.expires_at }),
  ...(row.revoked_at !== null && { revokedAt: row.revoked_at }),
});

/** Prepares the statements once; every call is one synchronous look into SQLite. */
export const createCredentialTable = ({ database, clock }: { database: Database; clock: Clock }) => {
  const statements = database.use((connection) => ({
    insert: connection.prepare(
      `INSERT INTO credentials (id, name, token_hash, permissions, created_at, expires_at)
       VALUES (:id, :name, :tokenHash, :permissions, :createdAt, :expiresAt)`,
    ),
    byHash: connection.prepare<[string], CredentialRow>(
      `SELECT ${COLUMNS} FROM credentials WHERE token_hash = ?`,
    ),
    byId: connection.prepare<[string], CredentialRow>(`SELECT ${COLUMNS} FROM credentials WHERE id = ?`),
    liveByName: connection.prepare<[{ name: string; now: number }], CredentialRow>(
      `SELECT ${COLUMNS} FROM credentials WHERE name = :name AND ${LIVE}`,
    ),
    all: connection.prepare<[], CredentialRow>(`SELECT ${COLUMNS} FROM credentials ORDER BY created_at, id`),
    revoke: connection.prepare(
      'UPDATE credentials SET revoked_at = :now WHERE id = :id AND revoked_at IS NULL',
    ),
    addKey: connection.prepare('INSERT OR IGNORE INTO keys (name, secret, created_at) VALUES (?, ?, ?)'),
    key: connection.prepare<[string], Buffer>('SELECT secret FROM keys WHERE name = ?').pluck(),
  }));

  const find = (row: CredentialRow | undefined) => row && recordFromRow(row);

  return {
    /** Adds a record. False, and nothing done, when a live one has its name. */
    insert: (record: CredentialRecord, tokenHash: string): boolean =>
      database.transact(() => {
        const { id, name, permissions, createdAt, expiresAt = null } = record;
        if (statements.liveByName.get({ name, now: clock.now() })) return false;
        const list = permissions && JSON.stringify(permissions);
        statements.insert.run({ id, name, tokenHash, permissions: list, createdAt, expiresAt });
        return true;
      }),
    byHash: (tokenHash: string) => find(database.use(() => statements.byHash.get(tokenHash))),
    byId: (id: string) => find(database.use(() => statements.byId.get(id))),
    /** Oldest first, revoked and expired ones included. */
    all: () => database.use(() => statements.all.all()).map(recordFromRow),
    /** By id, or by the name of a live one; an id wins. Revoking again keeps the first time. */
    revoke: (idOrName: string): CredentialRecord | undefined =>
      database.transact(() => {
        const now = clock.now();
        const row = statements.byId.get(idOrName) ?? statements.liveByName.get({ name: idOrName, now });
        if (!row) return undefined;
        statements.revoke.run({ id: row.id, now });
        return find(statements.byId.get(row.id));
      }),
    /** The key of this engine's tokens, made at the first call for a database; two processes that race get the same. */
    signingKey: (): KeyObject =>
      database.transact(() => {
        statements.addKey.run(SIGNING_KEY, randomBytes(SIGNING_KEY_BYTES), clock.now());
        return createSecretKey(statements.key.get(SIGNING_KEY)!);
      }),
  };
};
