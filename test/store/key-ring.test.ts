import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { Secret } from '../../src/base/secret.ts';
import { createCredentials } from '../../src/store/credentials.ts';
import { createKeyRing, keyFileOf } from '../../src/store/key-ring.ts';
import { createFakeClock } from '../support/clock.ts';
import { onShortDisk } from '../support/short-disk.ts';
import { openTestDatabase } from '../support/store.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const DAY_MS = 86_400_000;
const ORDER = { name: 'agent', permissions: null };

const setUp = (t: TestContext) => {
  const clock = createFakeClock();
  const path = join(makeTemporaryDirectory(t), 'engine.db');
  const keyFile = keyFileOf(path);
  const database = openTestDatabase(t, path);
  return { clock, path, keyFile, database, needs: { database, clock, engineHost: 'localhost' } };
};

describe('the signing key', () => {
  test('is in a file beside the database that its owner alone reads, and not in the database', (t) => {
    const { database, clock, keyFile } = setUp(t);
    const key = createKeyRing({ database, clock }).current();
    assert.equal(statSync(keyFile).mode & 0o777, 0o600);
    assert.match(keyFile, /engine\.signing-key$/);
    assert.equal(database.use((connection) => connection.serialize()).includes(key.export()), false);
  });

  test('is the same for every process of a database', (t) => {
    const { database, clock, path } = setUp(t);
    const key = createKeyRing({ database, clock }).current();
    assert.equal(key.symmetricKeySize, 32);
    assert.ok(key.equals(createKeyRing({ database: openTestDatabase(t, path), clock }).current()));
  });

  test('stays as it is when the disk takes but a part of the next', (t) => {
    const { database, clock, keyFile, path } = setUp(t);
    const ring = createKeyRing({ database, clock });
    const before = readFileSync(keyFile);
    onShortDisk(64, () => assert.throws(() => ring.rotate(DAY_MS), { code: 'STORE_UNAVAILABLE' }));
    assert.deepEqual(readFileSync(keyFile), before);
    const names = readdirSync(dirname(path)).filter((name) => name.includes('key'));
    assert.equal(names.length, 1, 'and nothing of it is left');
  });

  test('of an older engine moves out of the database, which keeps no copy', (t) => {
    const { database, clock, path, keyFile } = setUp(t);
    const secret = Buffer.alloc(32, 'a secret of the older engine');
    database.use((connection) =>
      connection
        .prepare('INSERT INTO keys (name, secret, created_at) VALUES (?, ?, 1)')
        .run('token-signing', secret),
    );
    assert.deepEqual(createKeyRing({ database, clock }).current().export(), secret);
    assert.ok(existsSync(keyFile));
    for (const file of [path, `${path}-wal`]) assert.equal(readFileSync(file).includes(secret), false, file);
    assert.deepEqual(createKeyRing({ database, clock }).current().export(), secret);
  });

  test('may come from the environment: then there is no file, and no rotation here', (t) => {
    const { database, clock, keyFile } = setUp(t);
    const ring = createKeyRing({ database, clock, signingKey: new Secret('x'.repeat(32)) });
    assert.equal(ring.current().export().toString(), 'x'.repeat(32));
    assert.equal(existsSync(keyFile), false);
    assert.throws(() => ring.rotate(0), { code: 'KEY_NOT_ROTATABLE' });
  });

  test('gets its mode back where somebody opened it to others', (t) => {
    const { database, clock, keyFile } = setUp(t);
    createKeyRing({ database, clock });
    chmodSync(keyFile, 0o644);
    createKeyRing({ database, clock });
    assert.equal(statSync(keyFile).mode & 0o777, 0o600);
  });
});

// A new key in its place would look like success and end every token (Caddy CVE-2026-27586: never fail open, never guess).
describe('a key file that fails closed', () => {
  test('when it is missing although tokens exist', async (t) => {
    const { needs, keyFile } = setUp(t);
    await createCredentials(needs).createToken(ORDER);
    unlinkSync(keyFile);
    assert.throws(() => createCredentials(needs), {
      code: 'STORE_UNAVAILABLE',
      message: /engine\.signing-key.*missing/,
    });
    assert.equal(existsSync(keyFile), false);
  });

  for (const text of [
    '',
    '{',
    '{"keys":[]}',
    '{"keys":[{"secret":"c2hvcnQ"}]}',
    '{"keys":[{"secret":7}]}',
    'null',
  ])
    test(`when it holds ${text || 'nothing'}`, (t) => {
      const { needs, keyFile } = setUp(t);
      writeFileSync(keyFile, text);
      assert.throws(() => createCredentials(needs), { code: 'STORE_UNAVAILABLE' });
      assert.equal(readFileSync(keyFile, 'utf8'), text);
    });
});

describe('a rotation of the signing key', () => {
  test('lets old tokens live until the overlap ends, in every process, and no longer', async (t) => {
    const { needs, clock, path } = setUp(t);
    const engine = createCredentials(needs);
    const old = await engine.createToken(ORDER);
    const before = await engine.verify(old.token);
    assert.equal(before.expiresAt, undefined);
    // Another process, as the command line is one.
    createCredentials({ ...needs, database: openTestDatabase(t, path) }).rotateSigningKey(DAY_MS);
    const young = await engine.createToken({ ...ORDER, name: 'young' });
    clock.advance(DAY_MS - 1);
    await engine.verify(old.token);
    assert.equal(engine.isActive(before), true);
    clock.advance(1);
    assert.equal(engine.isActive(before), false, 'its sessions end too');
    for (const credentials of [engine, createCredentials(needs)]) {
      await assert.rejects(credentials.verify(old.token), { code: /^TOKEN_(EXPIRED|INVALID)$/ });
      await credentials.verify(young.token);
    }
  });

  test('without overlap ends old tokens and their sessions at once', async (t) => {
    const { needs } = setUp(t);
    const engine = createCredentials(needs);
    const { token } = await engine.createToken(ORDER);
    const principal = await engine.verify(token);
    engine.rotateSigningKey(0);
    assert.equal(engine.isActive(principal), false);
    await assert.rejects(engine.verify(token), { code: 'TOKEN_INVALID' });
  });

  test('keeps the overlap of an earlier one as short as it was', (t) => {
    const { database, clock } = setUp(t);
    const ring = createKeyRing({ database, clock });
    ring.rotate(1_000);
    ring.rotate(DAY_MS);
    assert.equal(ring.verifying().length, 3);
    clock.advance(1_000);
    assert.equal(ring.verifying().length, 2);
    ring.rotate(0);
    assert.equal(ring.verifying().length, 1);
  });
});
