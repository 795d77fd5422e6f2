/**
 * The rows behind credentials.ts: credentials by id and name, and their proofs by hash.
 *
 * Invariant: holds hashes and public keys, never a secret; the only file that knows the columns. A proof belongs to one credential, and
 * no two proofs have the same hash: one token, key or certificate is registered once.
 */
import type { CredentialId } from '../base/ids.ts';
import type { Clock } from '../base/time.ts';
import type { Database } from './database.ts';

/** What the store keeps; short-lived auth tokens are not kept. */
export type CredentialKind = 'pat' | 'app' | 'certificate';

/** What the engine knows about a credential. Times are milliseconds since 1970. */
export interface CredentialRecord {
  readonly id: CredentialId;
  readonly kind: CredentialKind;
  readonly name: string;
  /** Null: unrestricted. */
  readonly permissions: readonly string[] | null;
  readonly createdAt: number;
  readonly expiresAt?: number;
  readonly revokedAt?: number;
}

/** One thing that proves a credential. */
export interface Proof {
  /** SHA-256 in hex of the token, of the application's public key, or of the certificate. */
  readonly hash: string;
  /** SPKI in DER; applications only. */
  readonly publicKey?: Buffer;
  readonly createdAt: number;
  /** Set by a rotation. */
  readonly validUntil?: number;
}

/** A proof together with what it proves. */
export interface ProvenCredential {
  readonly record: CredentialRecord;
  readonly proof: Proof;
}

/** A proof that is to be added. */
export type NewProof = Pick<Proof, 'hash' | 'publicKey'>;

interface CredentialRow {
  id: CredentialId;
  kind: CredentialKind;
  name: string;
  permissions: string | null;
  created_at: number;
  expires_at: number | null;
  revoked_at: number | null;
}

interface ProofRow extends CredentialRow {
  hash: string;
  public_key: Buffer | null;
  proof_created_at: number;
  valid_until: number | null;
}

const COLUMNS = 'id, kind, name, permissions, credentials.created_at, expires_at, revoked_at';
const LIVE = 'revoked_at IS NULL AND (expires_at IS NULL OR expires_at > :now)';
const PROVEN = `SELECT ${COLUMNS}, hash, public_key, proofs.created_at AS proof_created_at, valid_until
  FROM proofs JOIN credentials ON id = credential_id`;

const recordFromRow = (row: CredentialRow): CredentialRecord => ({
  id: row.id,
  kind: row.kind,
  name: row.name,
  permissions: row.permissions === null ? null : (JSON.parse(row.permissions) as string[]),
  createdAt: row.created_at,
  ...(row.expires_at !== null && { expiresAt: row.expires_at }),
  ...(row.revoked_at !== null && { revokedAt: row.revoked_at }),
});

const provenFromRow = (row: ProofRow): ProvenCredential => ({
  record: recordFromRow(row),
  proof: {
    hash: row.hash,
    ...(row.public_key && { publicKey: row.public_key }),
    createdAt: row.proof_created_at,
    ...(row.valid_until !== null && { validUntil: row.valid_until }),
  },
});

export type CredentialTable = ReturnType<typeof createCredentialTable>;

/** Prepares the statements once; every call is one synchronous look into SQLite. */
export const createCredentialTable = ({ database, clock }: { database: Database; clock: Clock }) => {
  const statements = database.use((connection) => ({
    insert: connection.prepare(
      `INSERT INTO credentials (id, kind, name, permissions, created_at, expires_at)
       VALUES (:id, :kind, :name, :permissions, :createdAt, :expiresAt)`,
    ),
    insertProof: connection.prepare(
      `INSERT INTO proofs (hash, credential_id, public_key, created_at) VALUES (:hash, :id, :publicKey, :createdAt)`,
    ),
    byId: connection.prepare<[string], CredentialRow>(`SELECT ${COLUMNS} FROM credentials WHERE id = ?`),
    liveByName: connection.prepare<[{ kind: string; name: string; now: number }], CredentialRow>(
      `SELECT ${COLUMNS} FROM credentials WHERE kind = :kind AND name = :name AND ${LIVE}`,
    ),
    all: connection.prepare<[string], CredentialRow>(
      `SELECT ${COLUMNS} FROM credentials WHERE kind = ? ORDER BY created_at, id`,
    ),
    byHash: connection.prepare<[string], ProofRow>(`${PROVEN} WHERE hash = ?`),
    proofsOf: connection.prepare<[string], ProofRow>(
      `${PROVEN} WHERE credential_id = ? ORDER BY proofs.created_at DESC`,
    ),
    limitProofs: connection.prepare(
      `UPDATE proofs SET valid_until = min(ifnull(valid_until, :until), :until) WHERE credential_id = :id`,
    ),
    limitTokens: connection.prepare(
      `UPDATE proofs SET valid_until = min(ifnull(valid_until, :until), :until)
       WHERE credential_id IN (SELECT id FROM credentials WHERE kind = 'pat')`,
    ),
    setExpiry: connection.prepare('UPDATE credentials SET expires_at = :expiresAt WHERE id = :id'),
    revoke: connection.prepare(
      'UPDATE credentials SET revoked_at = :now WHERE id = :id AND revoked_at IS NULL',
    ),
  }));

  const find = (kind: CredentialKind, idOrName: string): CredentialRow | undefined => {
    const byId = statements.byId.get(idOrName);
    if (byId?.kind === kind) return byId;
    return statements.liveByName.get({ kind, name: idOrName, now: clock.now() });
  };
  const proofsOf = (id: string) => statements.proofsOf.all(id).map(provenFromRow);
  const addProof = (id: string, { hash, publicKey = undefined }: NewProof, createdAt: number) =>
    statements.insertProof.run({ hash, id, publicKey: publicKey ?? null, createdAt });

  return {
    /** Adds a credential and its first proof. Says what is in the way, and does nothing, when something is. */
    insert: (record: CredentialRecord, proof: NewProof): 'added' | 'name-taken' | 'proof-taken' =>
      database.transact(() => {
        const { id, kind, name, permissions, createdAt, expiresAt = null } = record;
        if (statements.liveByName.get({ kind, name, now: clock.now() })) return 'name-taken';
        if (statements.byHash.get(proof.hash)) return 'proof-taken';
        const list = permissions && JSON.stringify(permissions);
        statements.insert.run({ id, kind, name, permissions: list, createdAt, expiresAt });
        addProof(id, proof, createdAt);
        return 'added';
      }),

    /**
     * Adds a proof and lets those before it end.
     * @param graceMs how long they stay valid
     * @param expiresAt the credential's from now on
     */
    rotate: (id: CredentialId, proof: NewProof, graceMs: number, expiresAt: number | undefined) =>
      database.transact(() => {
        const now = clock.now();
        const [newest] = proofsOf(id);
        statements.limitProofs.run({ id, until: now + graceMs });
        // Never at the same time as another: auth tokens name the proof of their source by it.
        addProof(id, proof, Math.max(now, (newest?.proof.createdAt ?? 0) + 1));
        statements.setExpiry.run({ id, expiresAt: expiresAt ?? null });
        return recordFromRow(statements.byId.get(id)!);
      }),

    /** Lets the tokens of all credentials end: their signing key does. */
    limitTokens: (until: number): void => {
      database.transact(() => statements.limitTokens.run({ until }));
    },

    byHash: (hash: string): ProvenCredential | undefined => {
      const row = database.use(() => statements.byHash.get(hash));
      return row && provenFromRow(row);
    },
    /** The proofs of a credential, the newest first. */
    proofsOf: (id: string): ProvenCredential[] => database.use(() => proofsOf(id)),
    /** By id, or by the name of a live one; an id wins. */
    find: (kind: CredentialKind, idOrName: string): CredentialRecord | undefined => {
      const row = database.use(() => find(kind, idOrName));
      return row && recordFromRow(row);
    },
    /** Oldest first, revoked and expired ones included. */
    all: (kind: CredentialKind) => database.use(() => statements.all.all(kind)).map(recordFromRow),
    /** As `find`. Revoking again keeps the first time. */
    revoke: (kind: CredentialKind, idOrName: string): CredentialRecord | undefined =>
      database.transact(() => {
        const row = find(kind, idOrName);
        if (!row) return undefined;
        statements.revoke.run({ id: row.id, now: clock.now() });
        return recordFromRow(statements.byId.get(row.id)!);
      }),
  };
};
