/**
 * Where credentials are made, rotated, listed and revoked.
 *
 * Flow: the command line, beside a running engine or without one, and the engine's own doors call it; credentials.ts verifies.
 * Invariant: a secret is given to the caller once and kept nowhere. Everything that is done, or refused, is told to `onEvent`.
 */
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { fail } from '../base/errors.ts';
import type { Principal } from '../base/principal.ts';
import { Secret, sha256Hex } from '../base/secret.ts';
import type { Clock } from '../base/time.ts';
import {
  type AuthTokenOrder,
  authTokenPermissions,
  type CredentialOrder,
  checkRotation,
  type RotationOrder,
} from './credential-order.ts';
import { type CredentialEvent, createReporter, shortened } from './credential-report.ts';
import type { CredentialKind, CredentialRecord, CredentialTable, NewProof } from './credential-table.ts';
import { createCredentialWriter } from './credential-writer.ts';
import type { KeyRing } from './key-ring.ts';
import { endOf, principalFromProof } from './token-families.ts';
import { createTokenSigner } from './token-signer.ts';

export interface CredentialDesk {
  /** Throws CREDENTIAL_INVALID. The token is not kept: whoever loses it needs a new one. */
  createToken(order: CredentialOrder): Promise<{ record: CredentialRecord; token: string }>;
  /** A new token for the same record. Throws CREDENTIAL_NOT_FOUND, CREDENTIAL_INVALID. */
  rotateToken(idOrName: string, order: RotationOrder): Promise<{ record: CredentialRecord; token: string }>;
  /** A token for an hour at most that can do what its source can, or less. Throws CREDENTIAL_INVALID, BOUNDARIES_NOT_ENFORCED. */
  mintAuthToken(order: AuthTokenOrder): Promise<{ token: string; expiresAt: number }>;
  /** Whom a live credential of the store stands for, found by id or name: the source of an auth token. Throws CREDENTIAL_NOT_FOUND. */
  principalOf(idOrName: string): Principal;
  /** The client secret signs app tokens: PKCS#8 DER of a P-521 key in hex. Only its public key is kept. Throws CREDENTIAL_INVALID. */
  createApp(order: CredentialOrder): { record: CredentialRecord; clientSecret: Secret };
  /** A new client secret for the same record. Throws CREDENTIAL_NOT_FOUND, CREDENTIAL_INVALID. */
  rotateApp(idOrName: string, order: RotationOrder): { record: CredentialRecord; clientSecret: Secret };
  /**
   * Registers a client certificate by its fingerprint; it ends with the certificate at the latest.
   * @param pem the certificate, the leaf first
   * @throws CREDENTIAL_INVALID
   */
  addCertificate(order: CredentialOrder & { pem: string }): CredentialRecord;
  /** Oldest first, revoked and expired ones included. */
  list(kind: CredentialKind): CredentialRecord[];
  listTokens(): CredentialRecord[];
  /** One credential with the hashes of its proofs, the newest first. Throws CREDENTIAL_NOT_FOUND. */
  show(kind: CredentialKind, idOrName: string): { record: CredentialRecord; proofs: readonly string[] };
  /** Takes an id, or the name of a live one; revoking twice changes nothing. Throws CREDENTIAL_NOT_FOUND. */
  revoke(kind: CredentialKind, idOrName: string): CredentialRecord;
  revokeToken(idOrName: string): CredentialRecord;
  /** New tokens are signed with a new key; old ones are valid for `overlapMs` more. Throws KEY_NOT_ROTATABLE, CREDENTIAL_INVALID. */
  rotateSigningKey(overlapMs: number): void;
}

export interface CredentialDeskNeeds {
  readonly clock: Clock;
  readonly table: CredentialTable;
  readonly keyRing: KeyRing;
  readonly engineHost: string;
  readonly onChange: () => void;
  readonly onEvent?: (event: CredentialEvent) => void;
}

export const createCredentialDesk = (needs: CredentialDeskNeeds): CredentialDesk => {
  const { clock, table, keyRing, onChange } = needs;
  const { find, recordFrom, insert, rotated, rotate } = createCredentialWriter(needs);
  const { told, toldLater } = createReporter(needs.onEvent);
  const signer = createTokenSigner(needs);

  const revoke: CredentialDesk['revoke'] = (kind, idOrName) =>
    told(`${kind}.revoke`, idOrName, () => {
      const record = table.revoke(kind, idOrName);
      if (!record) throw fail('CREDENTIAL_NOT_FOUND', { id: shortened(idOrName) });
      onChange();
      return { record };
    }).record;

  return {
    createToken: (order) =>
      toldLater(
        'pat.create',
        order.name,
        () => recordFrom('pat', order),
        async (record) => {
          const token = await signer.personal(record);
          return () => {
            insert(record, { hash: sha256Hex(token) });
            return { record, token };
          };
        },
      ),
    rotateToken: (idOrName, order) =>
      toldLater(
        'pat.rotate',
        idOrName,
        () => rotated('pat', idOrName, order),
        async (record) => {
          const token = await signer.personal(record);
          return () => ({ record: rotate(record, { hash: sha256Hex(token) }, order), token });
        },
      ),
    mintAuthToken: (order) =>
      toldLater(
        'auth.mint',
        order.source.credentialId,
        () => authTokenPermissions(order, clock.now()),
        async (permissions) => {
          const { proof } = order.source;
          const updatedAt = proof === undefined ? undefined : table.byHash(proof)?.proof.createdAt;
          const minted = await signer.auth(order, permissions, updatedAt);
          return () => minted;
        },
      ),
    principalOf(idOrName) {
      for (const kind of ['pat', 'app', 'certificate'] as const) {
        const record = table.find(kind, idOrName);
        const [newest] = record && record.revokedAt === undefined ? table.proofsOf(record.id) : [];
        if (newest) return principalFromProof(kind, newest);
      }
      throw fail('CREDENTIAL_NOT_FOUND', { id: shortened(idOrName) });
    },
    createApp: (order) =>
      told('app.create', order.name, () => {
        const record = recordFrom('app', order);
        const { proof, clientSecret } = generateApplicationKey();
        insert(record, proof);
        return { record, clientSecret };
      }),
    rotateApp: (idOrName, order) =>
      told('app.rotate', idOrName, () => {
        const next = rotated('app', idOrName, order);
        const { proof, clientSecret } = generateApplicationKey();
        return { record: rotate(next, proof, order), clientSecret };
      }),
    addCertificate: ({ pem, ...order }) =>
      told('certificate.add', order.name, () => {
        const { fingerprint, expiresAt } = certificateFrom(pem);
        const record = recordFrom('certificate', { ...order, ...endOf(order.expiresAt, expiresAt) });
        insert(record, { hash: fingerprint });
        return { record };
      }).record,
    list: (kind) => table.all(kind),
    listTokens: () => table.all('pat'),
    show(kind, idOrName) {
      const record = find(kind, idOrName);
      return { record, proofs: table.proofsOf(record.id).map(({ proof }) => proof.hash) };
    },
    revoke,
    revokeToken: (idOrName) => revoke('pat', idOrName),
    rotateSigningKey: (overlapMs) =>
      told('key.rotate', 'signing key', () => {
        checkRotation({ graceMs: overlapMs }, clock.now());
        keyRing.rotate(overlapMs);
        // Whoever is connected by an old token goes when its key does.
        table.limitTokens(clock.now() + overlapMs);
        onChange();
      }),
  };
};

const generateApplicationKey = (): { proof: NewProof; clientSecret: Secret } => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-521' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  return {
    proof: { hash: sha256Hex(spki), publicKey: spki },
    clientSecret: new Secret(privateKey.export({ type: 'pkcs8', format: 'der' }).toString('hex')),
  };
};

/** SHA-256 of the leaf in hex, and when it ends. */
const certificateFrom = (pem: string): { fingerprint: string; expiresAt: number } => {
  try {
    const certificate = new X509Certificate(pem);
    return { fingerprint: sha256Hex(certificate.raw), expiresAt: Date.parse(certificate.validTo) };
  } catch {
    throw fail('CREDENTIAL_INVALID', { problem: 'the file holds no PEM certificate' });
  }
};
