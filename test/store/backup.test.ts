import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Secret } from '../../src/base/secret.ts';
import { createArchive, newSeal } from '../../src/store/archive.ts';
import { readBackup, writeBackup, writeBackupInSteps } from '../../src/store/backup.ts';
import { openDatabase } from '../../src/store/database.ts';
import { openWebhookStore } from '../../src/store/webhooks.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const makeRoom = (t: TestContext) => {
  const dir = makeTemporaryDirectory(t);
  const [backup, target, database] = ['backup', 'target', 'engine.db'].map((name) => join(dir, name));
  mkdirSync(target!);
  return { backup: backup!, target: target!, database: database! };
};

test('a database that is written to is saved as it is at that moment', (t) => {
  const { backup, target, database: path } = makeRoom(t);
  const database = openDatabase({ path, mode: 'create' });
  t.after(() => database.close());
  const insert = (id: string) =>
    database.use((connection) =>
      connection.prepare(`INSERT INTO credentials VALUES (?, 'pat', ?, NULL, 0, NULL, NULL)`).run(id, id),
    );
  insert('before');
  database.transact((connection) => {
    connection.prepare(`INSERT INTO credentials VALUES ('open', 'pat', 'open', NULL, 0, NULL, NULL)`).run();
    writeBackup(backup, [{ from: path, path: 'engine.db', kind: 'credentials' }], undefined);
  });
  insert('after');
  readBackup(backup, target, undefined);
  const saved = openDatabase({ path: join(target, 'engine.db'), mode: 'open' });
  t.after(() => saved.close());
  const ids = saved.use((connection) => connection.prepare('SELECT id FROM credentials').pluck().all());
  assert.deepEqual(ids, ['before']);
});

test('one that is written in steps lets others work meanwhile, and is the same file', async (t) => {
  const { backup, target, database: path } = makeRoom(t);
  writeFileSync(path, Buffer.alloc(1_000_000, 'x'));
  const passphrase = new Secret('a long way home 42');
  let turns = 0;
  const work = () => {
    turns += 1;
    if (!isDone) setImmediate(work);
  };
  let isDone = false;
  work();
  const files = [{ from: path, path: 'big', kind: 'file' as const }];
  await writeBackupInSteps(backup, files, passphrase, new AbortController().signal);
  isDone = true;
  assert.ok(turns > 30, `${turns} turns of others`);
  readBackup(backup, target, passphrase);
  assert.equal(readFileSync(join(target, 'big'), 'utf8'), 'x'.repeat(1_000_000));
});

test('one that is ended leaves nothing behind', async (t) => {
  const { backup, database: path } = makeRoom(t);
  writeFileSync(path, Buffer.alloc(1_000_000, 'x'));
  const ending = new AbortController();
  const files = [{ from: path, path: 'big', kind: 'file' as const }];
  const written = writeBackupInSteps(backup, files, new Secret('a long way home 42'), ending.signal);
  const end = () => (existsSync(backup) ? ending.abort() : void setImmediate(end));
  end();
  await assert.rejects(written, { code: 'ENGINE_DRAINING' });
  assert.equal(existsSync(backup), false);
});

test('a database of a newer engine is refused', (t) => {
  const { backup, target, database: path } = makeRoom(t);
  const database = openDatabase({ path, mode: 'create' });
  database.use((connection) => connection.pragma('user_version = 99'));
  database.close();
  writeBackup(backup, [{ from: path, path: 'engine.db', kind: 'credentials' }], undefined);
  assert.throws(() => readBackup(backup, target, undefined), { code: 'STORE_TOO_NEW' });
});

test('webhooks are saved with what waits, and checked by their own schema', (t) => {
  const { backup, target, database: path } = makeRoom(t);
  const store = openWebhookStore(path);
  writeBackup(backup, [{ from: path, path: 'webhooks.db', kind: 'webhooks' }], undefined);
  store.close();
  assert.deepEqual(
    readBackup(backup, target, undefined).map(({ kind }) => kind),
    ['webhooks'],
  );
  const saved = openWebhookStore(join(target, 'webhooks.db'));
  assert.deepEqual(saved.list(), []);
  saved.close();
});

test('a damaged database is not saved, and leaves no backup behind', (t) => {
  const { backup, database: path } = makeRoom(t);
  openDatabase({ path, mode: 'create' }).close();
  const bytes = readFileSync(path);
  writeFileSync(path, bytes.fill(0x5a, 4_096, 8_192));
  assert.throws(
    () => writeBackup(backup, [{ from: path, path: 'engine.db', kind: 'credentials' }], undefined),
    {
      code: 'STORE_UNAVAILABLE',
    },
  );
  assert.ok(!existsSync(backup));
});

for (const path of ['/etc/cron.d/x', '../x', 'a/../../x', '.', 'a/./b', ''])
  test(`a path of ${JSON.stringify(path)} in a backup is refused`, (t) => {
    const { backup, target } = makeRoom(t);
    const archive = createArchive(backup, newSeal(undefined));
    archive.write(Buffer.from(`${JSON.stringify({ path, kind: 'file', size: 1, sha256: '' })}\nx`));
    archive.finish();
    archive.close();
    assert.throws(() => readBackup(backup, target, undefined), { code: 'BACKUP_INVALID' });
  });

test('what cannot be written is named, and an existing file stays', (t) => {
  const { backup } = makeRoom(t);
  writeFileSync(backup, 'mine');
  assert.throws(() => writeBackup(backup, [], undefined), {
    code: 'BACKUP_FAILED',
    message: /exists already/,
  });
  assert.equal(readFileSync(backup, 'utf8'), 'mine');
});
