-- The schema after all migrations (migrations.ts), for readers; a test compares the two.
-- Times are milliseconds since 1970.

-- Secrets of the engine itself, each made once.
CREATE TABLE keys (
  name TEXT PRIMARY KEY,
  secret BLOB NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Tokens that the engine issued: SHA-256 in hex, never the token. Revoked ones stay, so that they are refused by name.
-- permissions: a JSON array of names, or NULL for unrestricted.
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
