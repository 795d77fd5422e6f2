import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { asideOf, isDamage, openDatabase, setAside } from '../../src/store/database.ts';
import type { Migration } from '../../src/store/migrations.ts';
import { openTestDatabase } from '../support/store.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);
const pragma = (database: ReturnType<typeof openDatabase>, name: string) =>
  database.use((connection) => connection.pragma(name, { simple: true }));

const NOTES: Migration = { number: 1, reason: 'notes', sql: 'CREATE TABLE notes (text TEXT) STRICT;' };

describe('the file of a database', () => {
  test('is made with its directory, for its owner only, whatever the umask', (t) => {
    const earlier = process.umask(0);
    t.after(() => process.umask(earlier));
    const directory = join(makeTemporaryDirectory(t), 'deep', 'data');
    const path = join(directory, 'engine.db');
    openTestDatabase(t, path);

    assert.equal(modeOf(directory), '700');
    for (const suffix of ['', '-wal', '-shm']) assert.equal(modeOf(path + suffix), '600', suffix);
  });

  test('loses the rights of others, and so do its -wal and -shm', (t) => {
    const path = join(makeTemporaryDirectory(t), 'engine.db');
    openTestDatabase(t, path);
    for (const suffix of ['', '-wal', '-shm']) chmodSync(path + suffix, 0o666);
    openTestDatabase(t, path);
    for (const suffix of ['', '-wal', '-shm']) assert.equal(modeOf(path + suffix), '600', suffix);
  });

  test('must exist in mode open, and is not made by it', (t) => {
    const path = join(makeTemporaryDirectory(t), 'engine.db');
    assert.throws(() => openDatabase({ path, mode: 'open' }), {
      code: 'STORE_UNAVAILABLE',
      message: `The database ${path} cannot be used: it does not exist.`,
    });
    assert.equal(existsSync(path), false);
  });

  test('that is a directory is refused and keeps its mode', (t) => {
    const path = join(makeTemporaryDirectory(t), 'directory');
    mkdirSync(path, { mode: 0o755 });
    assert.throws(() => openDatabase({ path, mode: 'open' }), {
      code: 'STORE_UNAVAILABLE',
      message: /it is not a file/,
    });
    assert.equal(modeOf(path), '755');
  });

  test('below something that is not a directory is one plain sentence', (t) => {
    const file = join(makeTemporaryDirectory(t), 'file');
    writeFileSync(file, '');
    for (const mode of ['open', 'create'] as const)
      assert.throws(() => openDatabase({ path: join(file, 'engine.db'), mode }), {
        code: 'STORE_UNAVAILABLE',
        message: /a part of its path is not a directory/,
      });
  });

  test('of another format is refused and left as it is', (t) => {
    const path = join(makeTemporaryDirectory(t), 'notes.txt');
    const text = 'these are notes, not a database\n'.repeat(200);
    writeFileSync(path, text);
    assert.throws(() => openDatabase({ path, mode: 'open' }), {
      code: 'STORE_UNAVAILABLE',
      message: /it is not an SQLite database/,
    });
    assert.equal(readFileSync(path, 'utf8'), text);
  });
});

describe('openDatabase', () => {
  test('sets WAL, foreign keys and the wait for other writers', (t) => {
    const database = openTestDatabase(t, join(makeTemporaryDirectory(t), 'engine.db'));
    assert.equal(pragma(database, 'journal_mode'), 'wal');
    assert.equal(pragma(database, 'synchronous'), 2);
    assert.equal(pragma(database, 'foreign_keys'), 1);
    assert.equal(pragma(database, 'busy_timeout'), 5_000);
  });

  test('refuses a database of a newer engine', (t) => {
    const path = join(makeTemporaryDirectory(t), 'engine.db');
    const database = openTestDatabase(t, path);
    database.use((connection) => connection.pragma('user_version = 999'));
    assert.throws(() => openDatabase({ path, mode: 'open' }), {
      code: 'STORE_TOO_NEW',
      message: /schema 999/,
    });
  });

  test('runs only the migrations that a file has not had', (t) => {
    const path = join(makeTemporaryDirectory(t), 'engine.db');
    openDatabase({ path, mode: 'create', migrations: [NOTES] }).close();
    const second = { number: 2, reason: 'a date', sql: 'ALTER TABLE notes ADD COLUMN date INTEGER;' };
    for (let opening = 0; opening < 2; opening += 1) {
      const database = openDatabase({ path, mode: 'open', migrations: [NOTES, second] });
      assert.equal(pragma(database, 'user_version'), 2);
      database.use((connection) => connection.prepare('SELECT text, date FROM notes').all());
      database.close();
    }
  });

  test('leaves a database as it was when a migration fails', (t) => {
    const path = join(makeTemporaryDirectory(t), 'engine.db');
    const broken = { number: 2, reason: 'broken', sql: 'CREATE TABLE half (id TEXT); CREATE NONSENSE;' };
    assert.throws(() => openDatabase({ path, mode: 'create', migrations: [NOTES, broken] }), {
      code: 'STORE_UNAVAILABLE',
    });
    const database = openDatabase({ path, mode: 'open', migrations: [] });
    t.after(() => database.close());
    assert.equal(pragma(database, 'user_version'), 0);
    assert.deepEqual(
      database.use((connection) => connection.prepare('SELECT name FROM sqlite_schema').all()),
      [],
    );
  });
});

describe('a damaged file', () => {
  const makeDamaged = (t: Parameters<typeof makeTemporaryDirectory>[0], text: string) => {
    const path = join(makeTemporaryDirectory(t), 'engine.db');
    for (const suffix of ['', '-wal', '-shm']) writeFileSync(path + suffix, text);
    return path;
  };
  const faultOf = (work: () => unknown): unknown => {
    try {
      work();
    } catch (thrown) {
      return thrown;
    }
    return assert.fail('it did not throw');
  };

  test('is told apart from one that is missing or locked', (t) => {
    const path = makeDamaged(t, 'damaged');
    assert.ok(isDamage(faultOf(() => openDatabase({ path, mode: 'open' }))));
    assert.ok(!isDamage(faultOf(() => openDatabase({ path: `${path}.missing`, mode: 'open' }))));
    assert.ok(!isDamage(new Error('a bug')) && !isDamage(undefined));
  });

  test('is set aside with what belongs to it, over the one before', (t) => {
    const path = makeDamaged(t, 'second');
    writeFileSync(asideOf(path), 'first');
    setAside(path);
    assert.equal(readFileSync(asideOf(path), 'utf8'), 'second');
    for (const suffix of ['', '-wal', '-shm']) assert.ok(!existsSync(path + suffix), suffix);
    assert.throws(() => setAside(path), { code: 'STORE_UNAVAILABLE', message: /does not exist/ });
  });
});

describe('an open database', () => {
  const openPair = (t: Parameters<typeof openTestDatabase>[0]) => {
    const path = join(makeTemporaryDirectory(t), 'engine.db');
    const migrations = [NOTES];
    const open = () => {
      const database = openDatabase({ path, mode: 'create', migrations });
      t.after(() => database.close());
      return database;
    };
    return { path, one: open(), other: open() };
  };
  const INSERT = "INSERT INTO notes VALUES ('x')";

  test('tells commits of other connections, not its own', (t) => {
    const { one, other } = openPair(t);
    const before = one.dataVersion();
    one.use((connection) => connection.exec(INSERT));
    assert.equal(one.dataVersion(), before);
    other.use((connection) => connection.exec(INSERT));
    assert.notEqual(one.dataVersion(), before);
  });

  test('says plainly that another program keeps it locked', (t) => {
    const { one, other } = openPair(t);
    other.use((connection) => connection.pragma('busy_timeout = 1'));
    one.transact(() => {
      assert.throws(() => other.transact(() => undefined), {
        code: 'STORE_UNAVAILABLE',
        message: /another program keeps it locked/,
      });
    });
  });

  test('rolls back when the work throws, and passes a bug on as it is', (t) => {
    const { one } = openPair(t);
    const bug = new TypeError('bug');
    const work = () =>
      one.transact((connection) => {
        connection.exec(INSERT);
        throw bug;
      });
    assert.throws(work, (thrown) => thrown === bug);
    assert.deepEqual(
      one.use((connection) => connection.prepare('SELECT * FROM notes').all()),
      [],
    );
  });

  test('turns a failure of SQLite into STORE_UNAVAILABLE', (t) => {
    const { one } = openPair(t);
    assert.throws(() => one.use((connection) => connection.exec('SELECT * FROM missing')), {
      code: 'STORE_UNAVAILABLE',
      message: /the system reports SQLITE_ERROR/,
    });
  });

  test('says plainly that the disk is full, and works on when there is room', (t) => {
    const { one } = openPair(t);
    const insert = (bytes: number) =>
      one.transact((connection) => connection.prepare('INSERT INTO notes VALUES (?)').run('x'.repeat(bytes)));
    one.use((connection) => connection.pragma('max_page_count = 4'));
    assert.throws(() => insert(100_000), { code: 'STORE_UNAVAILABLE', message: /the disk is full/ });
    insert(10);
    one.use((connection) => connection.pragma('max_page_count = 1000'));
    insert(100_000);
  });

  test('is one complete file after its last connection has closed, which may close twice', (t) => {
    const { path, one, other } = openPair(t);
    one.use((connection) => connection.exec(INSERT));
    for (const database of [one, other, one]) database.close();
    assert.equal(existsSync(`${path}-wal`), false);
    const again = openDatabase({ path, mode: 'open', migrations: [NOTES] });
    t.after(() => again.close());
    assert.equal(again.use((connection) => connection.prepare('SELECT * FROM notes').all()).length, 1);
  });
});
