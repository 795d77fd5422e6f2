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

-- Who may log in to the admin page.
-- password_hash: argon2id, as a PHC string; NULL until the first login by a link. totp: the shared secret of the second factor, sealed
-- with the password; totp_step: the last time step of which a code was used. version: grows with each change.
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

-- One-time links, by SHA-256 in hex.
CREATE TABLE admin_links (
  hash TEXT PRIMARY KEY,
  admin_id TEXT NOT NULL REFERENCES admins (id) ON DELETE CASCADE,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Browsers that are logged in; hash: SHA-256 in hex of the cookie.
CREATE TABLE admin_sessions (
  id TEXT PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,
  admin_id TEXT NOT NULL REFERENCES admins (id) ON DELETE CASCADE,
  address TEXT NOT NULL,
  agent TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
