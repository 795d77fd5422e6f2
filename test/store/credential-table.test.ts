import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { CredentialId } from '../../src/base/ids.ts';
import { createCredentialTable } from '../../src/store/credential-table.ts';
import { createFakeClock } from '../support/clock.ts';
import { openTestDatabase } from '../support/store.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const record = (id: string, name = id) => ({
  id: id as CredentialId,
  name,
  permissions: null,
  createdAt: 1,
});

describe('the credential table', () => {
  test('gives every process of a database the same signing key, and each database its own', (t) => {
    const clock = createFakeClock();
    const path = join(makeTemporaryDirectory(t), 'engine.db');
    const keyOf = (at?: string) =>
      createCredentialTable({ database: openTestDatabase(t, at), clock }).signingKey();
    const key = keyOf(path);
    assert.equal(key.symmetricKeySize, 32);
    assert.ok(key.equals(keyOf(path)));
    assert.equal(key.equals(keyOf()), false);
  });

  test('gives back what it was given', (t) => {
    const table = createCredentialTable({ database: openTestDatabase(t), clock: createFakeClock(1_000) });
    const full = { ...record('crd_1'), permissions: ['a', 'b'], expiresAt: 9_000 };
    assert.ok(table.insert(full, 'hash-1'));
    assert.ok(table.insert(record('crd_2'), 'hash-2'));
    assert.deepEqual(table.byHash('hash-1'), full);
    assert.deepEqual(table.byId('crd_2'), record('crd_2'));
    assert.deepEqual(table.all(), [full, record('crd_2')]);
    assert.equal(table.byHash('hash-3'), undefined);
  });

  test('frees a name by revocation and by expiry', (t) => {
    const clock = createFakeClock(1_000);
    const table = createCredentialTable({ database: openTestDatabase(t), clock });
    assert.ok(table.insert({ ...record('crd_1', 'n'), expiresAt: 2_000 }, 'hash-1'));
    assert.equal(table.insert(record('crd_2', 'n'), 'hash-2'), false);
    clock.advance(1_000);
    assert.ok(table.insert(record('crd_2', 'n'), 'hash-2'));
    assert.equal(table.revoke('n')?.id, 'crd_2');
    assert.ok(table.insert(record('crd_3', 'n'), 'hash-3'));
  });

  test('takes an id before a name, and keeps the time of the first revocation', (t) => {
    const clock = createFakeClock(1_000);
    const table = createCredentialTable({ database: openTestDatabase(t), clock });
    table.insert(record('crd_1'), 'hash-1');
    table.insert(record('crd_2', 'crd_1'), 'hash-2');
    assert.equal(table.revoke('crd_1')?.revokedAt, 1_000);
    clock.advance(500);
    assert.deepEqual(table.revoke('crd_1'), { ...record('crd_1'), revokedAt: 1_000 });
    assert.equal(table.byId('crd_2')?.revokedAt, undefined);
  });

  test('cannot hold permissions that would read as none or all by mistake', (t) => {
    const database = openTestDatabase(t);
    const table = createCredentialTable({ database, clock: createFakeClock() });
    table.insert(record('crd_1'), 'hash-1');
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
