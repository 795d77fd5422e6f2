-- The schema after all migrations (migrations.ts), for readers; a test compares the two.
-- Times are milliseconds since 1970.

-- Where engines before schema 2 kept the key that signs tokens; key-ring.ts moves it into a file of its own.
CREATE TABLE keys (
  name TEXT PRIMARY KEY,
  secret BLOB NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What the engine issued or registered. Revoked ones stay, so that they are refused by name.
-- permissions: a JSON array of names, or NULL for unrestricted.
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

-- What proves a credential, never the secret itself. Rotating adds one and limits those before it by valid_until.
-- hash: SHA-256 in hex of the token, of the application's public key, or of the certificate (its fingerprint).
-- public_key: SPKI in DER, of applications only.
CREATE TABLE proofs (
  hash TEXT PRIMARY KEY,
  credential_id TEXT NOT NULL REFERENCES credentials (id),
  public_key BLOB,
  created_at INTEGER NOT NULL,
  valid_until INTEGER
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX proofs_by_credential ON proofs (credential_id, created_at);
