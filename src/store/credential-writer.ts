/**
 * Writes checked orders into the table: new credentials, and proofs that replace others.
 *
 * Flow: credential-desk.ts checks an order here, makes the proof that it needs, and writes both.
 * Invariant: nothing is written that an order check refuses; after every write `onChange` is called.
 */
import { fail } from '../base/errors.ts';
import { newCredentialId } from '../base/ids.ts';
import type { Clock } from '../base/time.ts';
import { type CredentialOrder, checkOrder, checkRotation, type RotationOrder } from './credential-order.ts';
import { shortened } from './credential-report.ts';
import type { CredentialKind, CredentialRecord, CredentialTable, NewProof } from './credential-table.ts';
import { wholeSeconds } from './token-signer.ts';

export interface CredentialWriterNeeds {
  readonly clock: Clock;
  readonly table: CredentialTable;
  readonly onChange: () => void;
}

const invalid = (problem: string) => fail('CREDENTIAL_INVALID', { problem });

/** All throw CREDENTIAL_INVALID or CREDENTIAL_NOT_FOUND. */
export const createCredentialWriter = ({ clock, table, onChange }: CredentialWriterNeeds) => {
  const find = (kind: CredentialKind, idOrName: string): CredentialRecord => {
    const record = table.find(kind, idOrName);
    if (!record) throw fail('CREDENTIAL_NOT_FOUND', { id: shortened(idOrName) });
    return record;
  };

  const recordFrom = (kind: CredentialKind, order: CredentialOrder): CredentialRecord => {
    checkOrder(kind, order, clock.now());
    const { name, permissions, expiresAt } = order;
    return {
      id: newCredentialId(),
      kind,
      name,
      permissions: permissions && [...new Set(permissions)],
      createdAt: clock.now(),
      ...(expiresAt !== undefined && { expiresAt: wholeSeconds(expiresAt) * 1_000 }),
    };
  };

  const insert = (record: CredentialRecord, proof: NewProof): void => {
    const outcome = table.insert(record, proof);
    if (outcome === 'name-taken')
      throw invalid(`another live credential of this kind has the name "${record.name}"`);
    if (outcome === 'proof-taken') throw invalid('it is registered already');
    onChange();
  };

  /** The record as a rotation leaves it. */
  const rotated = (kind: CredentialKind, idOrName: string, order: RotationOrder): CredentialRecord => {
    checkRotation(order, clock.now());
    const record = find(kind, idOrName);
    if (record.revokedAt !== undefined) throw invalid('it has been revoked');
    const expiresAt =
      order.expiresAt === undefined ? record.expiresAt : wholeSeconds(order.expiresAt) * 1_000;
    if (expiresAt !== undefined && expiresAt <= clock.now())
      throw invalid('it has expired: give a new expiry');
    return { ...record, ...(expiresAt !== undefined && { expiresAt }) };
  };

  const rotate = (
    record: CredentialRecord,
    proof: NewProof,
    { graceMs }: RotationOrder,
  ): CredentialRecord => {
    const result = table.rotate(record.id, proof, graceMs, record.expiresAt);
    onChange();
    return result;
  };

  return { find, recordFrom, insert, rotated, rotate };
};
