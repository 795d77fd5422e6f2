import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { CredentialId } from '../../src/base/ids.ts';
import { createCredentialTable } from '../../src/store/credential-table.ts';
import { createFakeClock } from '../support/clock.ts';
import { openTestDatabase } from '../support/store.ts';

const record = (id: string, name = id) => ({
  id: id as CredentialId,
  kind: 'pat' as const,
  name,
  permissions: null,
  createdAt: 1,
});

describe('the credential table', () => {
  test('gives back what it was given', (t) => {
    const table = createCredentialTable({ database: openTestDatabase(t), clock: createFakeClock(1_000) });
    const full = { ...record('crd_1'), permissions: ['a', 'b'], expiresAt: 9_000 };
    const app = { ...record('crd_2'), kind: 'app' as const };
    const publicKey = Buffer.from('key');
    assert.equal(table.insert(full, { hash: 'hash-1' }), 'added');
    assert.equal(table.insert(app, { hash: 'hash-2', publicKey }), 'added');
    assert.deepEqual(table.byHash('hash-1'), { record: full, proof: { hash: 'hash-1', createdAt: 1 } });
    assert.deepEqual(table.byHash('hash-2')?.proof, { hash: 'hash-2', publicKey, createdAt: 1 });
    assert.deepEqual([table.all('pat'), table.all('app'), table.all('certificate')], [[full], [app], []]);
    assert.equal(table.byHash('hash-3'), undefined);
  });

  test('frees a name by revocation and by expiry; kinds share none', (t) => {
    const clock = createFakeClock(1_000);
    const table = createCredentialTable({ database: openTestDatabase(t), clock });
    assert.equal(table.insert({ ...record('crd_1', 'n'), expiresAt: 2_000 }, { hash: 'hash-1' }), 'added');
    assert.equal(table.insert(record('crd_2', 'n'), { hash: 'hash-2' }), 'name-taken');
    assert.equal(table.insert({ ...record('crd_9', 'n'), kind: 'app' }, { hash: 'hash-9' }), 'added');
    clock.advance(1_000);
    assert.equal(table.insert(record('crd_2', 'n'), { hash: 'hash-2' }), 'added');
    assert.equal(table.revoke('pat', 'n')?.id, 'crd_2');
    assert.equal(table.insert(record('crd_3', 'n'), { hash: 'hash-3' }), 'added');
    assert.equal(table.find('app', 'n')?.id, 'crd_9');
  });

  test('takes a proof once, also after the end of its credential', (t) => {
    const table = createCredentialTable({ database: openTestDatabase(t), clock: createFakeClock(1_000) });
    table.insert(record('crd_1'), { hash: 'hash' });
    assert.equal(table.insert(record('crd_2'), { hash: 'hash' }), 'proof-taken');
    table.revoke('pat', 'crd_1');
    assert.equal(table.insert(record('crd_2'), { hash: 'hash' }), 'proof-taken');
  });

  test('limits the older proofs in a rotation, and never makes their end later', (t) => {
    const clock = createFakeClock(1_000);
    const table = createCredentialTable({ database: openTestDatabase(t), clock });
    const { id } = record('crd_1');
    table.insert({ ...record('crd_1'), expiresAt: 9_000 }, { hash: 'one' });
    table.rotate(id, { hash: 'two' }, 100, 9_000);
    assert.deepEqual(table.rotate(id, { hash: 'three' }, 5_000, undefined), record('crd_1'));
    const [three, two, one] = table.proofsOf(id).map(({ proof }) => proof);
    assert.deepEqual(three, { hash: 'three', createdAt: 1_001 }, 'no two have the same time');
    assert.deepEqual(two, { hash: 'two', createdAt: 1_000, validUntil: 6_000 });
    assert.deepEqual(one, { hash: 'one', createdAt: 1, validUntil: 1_100 });
  });

  test('takes an id before a name, and keeps the time of the first revocation', (t) => {
    const clock = createFakeClock(1_000);
    const table = createCredentialTable({ database: openTestDatabase(t), clock });
    table.insert(record('crd_1'), { hash: 'hash-1' });
    table.insert(record('crd_2', 'crd_1'), { hash: 'hash-2' });
    assert.equal(table.revoke('pat', 'crd_1')?.revokedAt, 1_000);
    clock.advance(500);
    assert.deepEqual(table.revoke('pat', 'crd_1'), { ...record('crd_1'), revokedAt: 1_000 });
    assert.equal(table.find('pat', 'crd_2')?.revokedAt, undefined);
    assert.equal(table.revoke('app', 'crd_2'), undefined, 'another kind');
  });

  test('cannot hold permissions that would read as none or all by mistake', (t) => {
    const database = openTestDatabase(t);
    const table = createCredentialTable({ database, clock: createFakeClock() });
    table.insert(record('crd_1'), { hash: 'hash-1' });
    for (const permissions of ['', 'null', '{}', '"all"', '[', 'tunnels'])
      assert.throws(
        () =>
          database.use((connection) =>
            connection.prepare('UPDATE credentials SET permissions = ?').run(permissions),
          ),
        { code: 'STORE_UNAVAILABLE' },
        permissions,
      );
  });
});
