/**
 * How the schema came to be: a list that only grows.
 *
 * Flow: database.ts runs, in one transaction, those whose number is above the file's `user_version`.
 * Invariant: a released migration is never changed, since databases exist that ran it; the result of all is schema.sql (tested).
 */

/** One step from a schema to the next. */
export interface Migration {
  /** 1, 2, 3 ... without gaps. */
  readonly number: number;
  readonly reason: string;
  readonly sql: string;
}

export const MIGRATIONS: readonly Migration[] = [
  {
    number: 1,
    reason: 'keys of the engine, and the credentials that it issued',
    sql: `
      CREATE TABLE keys (
        name TEXT PRIMARY KEY,
        secret BLOB NOT NULL,
        created_at INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;

      CREATE TABLE credentials (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        token_hash TEXT NOT NULL UNIQUE,
        permissions TEXT CHECK (permissions IS NULL OR json_type(permissions) = 'array'),
        created_at INTEGER NOT NULL,
        expires_at INTEGER,
        revoked_at INTEGER
      ) STRICT, WITHOUT ROWID;

      CREATE INDEX credentials_by_name ON credentials (name);
    `,
  },
  {
    number: 2,
    reason: 'credentials of several kinds, whose proofs can be replaced',
    sql: `
      ALTER TABLE credentials RENAME TO tokens;
      DROP INDEX credentials_by_name;

      CREATE TABLE credentials (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL CHECK (kind IN ('pat', 'app', 'certificate')),
        name TEXT NOT NULL,
        permissions TEXT CHECK (permissions IS NULL OR json_type(permissions) = 'array'),
        created_at INTEGER NOT NULL,
        expires_at INTEGER,
        revoked_at INTEGER
      ) STRICT, WITHOUT ROWID;

      CREATE INDEX credentials_by_name ON credentials (kind, name);

      CREATE TABLE proofs (
        hash TEXT PRIMARY KEY,
        credential_id TEXT NOT NULL REFERENCES credentials (id),
        public_key BLOB,
        created_at INTEGER NOT NULL,
        valid_until INTEGER
      ) STRICT, WITHOUT ROWID;

      CREATE UNIQUE INDEX proofs_by_credential ON proofs (credential_id, created_at);

      INSERT INTO credentials (id, kind, name, permissions, created_at, expires_at, revoked_at)
        SELECT id, 'pat', name, permissions, created_at, expires_at, revoked_at FROM tokens;
      INSERT INTO proofs (hash, credential_id, created_at) SELECT token_hash, id, created_at FROM tokens;
      DROP TABLE tokens;
    `,
  },
  {
    number: 3,
    reason: 'people who log in to the admin page, their one-time links and their sessions',
    sql: `
      CREATE TABLE admins (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        role TEXT NOT NULL CHECK (role IN ('admin', 'viewer')),
        password_hash TEXT,
        totp TEXT,
        totp_step INTEGER,
        version INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        last_login_at INTEGER
      ) STRICT, WITHOUT ROWID;

      CREATE TABLE admin_links (
        hash TEXT PRIMARY KEY,
        admin_id TEXT NOT NULL REFERENCES admins (id) ON DELETE CASCADE,
        expires_at INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;

      CREATE TABLE admin_sessions (
        id TEXT PRIMARY KEY,
        hash TEXT NOT NULL UNIQUE,
        admin_id TEXT NOT NULL REFERENCES admins (id) ON DELETE CASCADE,
        address TEXT NOT NULL,
        agent TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        seen_at INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;
    `,
  },
];
