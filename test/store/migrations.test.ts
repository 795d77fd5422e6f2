import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import Sqlite from 'better-sqlite3';
import { createCredentials } from '../../src/store/credentials.ts';
import type { Connection } from '../../src/store/database.ts';
import { MIGRATIONS } from '../../src/store/migrations.ts';
import { createFakeClock } from '../support/clock.ts';
import { openTestDatabase } from '../support/store.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const schemaFile = readFileSync(join(root, 'src/store/schema.sql'), 'utf8');
const dumps = readdirSync(join(root, 'test/fixtures/store')).filter((name) => name.endsWith('.sql'));

/** Everything that SQLite knows about the shape of a database; white space does not count. */
const shapeOf = (connection: Connection) =>
  connection
    .prepare<[], { type: string; name: string; sql: string | null }>(
      'SELECT type, name, sql FROM sqlite_schema ORDER BY type, name',
    )
    .all()
    .map(({ type, name, sql }) => [type, name, sql?.replace(/\s+/g, ' ').replace(/\s*([(),])\s*/g, '$1')]);

const expectedShape = () => {
  const connection = new Sqlite(':memory:');
  connection.exec(schemaFile);
  return shapeOf(connection);
};

describe('the migrations', () => {
  test('are numbered without gaps and say why they exist', () => {
    assert.deepEqual(
      MIGRATIONS.map(({ number }) => number),
      MIGRATIONS.map((_, index) => index + 1),
    );
    for (const { reason } of MIGRATIONS) assert.notEqual(reason, '');
  });

  test('lead from an empty file to schema.sql', (t) => {
    assert.deepEqual(openTestDatabase(t).use(shapeOf), expectedShape());
  });

  test('have a dump of every schema that was released', () => {
    const names = dumps.map((name) => name.replace('.sql', '')).sort();
    assert.ok(names.includes('v1'));
    for (const name of names) assert.match(name, /^v\d+$/);
  });

  for (const name of dumps)
    test(`lead from the database ${name} to schema.sql, and its token stays valid`, async (t) => {
      const path = join(makeTemporaryDirectory(t), 'engine.db');
      const dump = readFileSync(join(root, 'test/fixtures/store', name), 'utf8');
      const old = new Sqlite(path);
      old.exec(dump);
      old.close();

      const database = openTestDatabase(t, path);
      assert.deepEqual(database.use(shapeOf), expectedShape());
      assert.equal(
        database.use((connection) => connection.pragma('integrity_check', { simple: true })),
        'ok',
      );
      const credentials = createCredentials({ database, clock: createFakeClock(), engineHost: 'localhost' });
      const token = /^-- token: (\S+)$/m.exec(dump)?.[1];
      assert.equal((await credentials.verify(token)).credentialId, 'crd_00000000000000000001');
      assert.deepEqual(
        credentials.listTokens().map((record) => [record.name, record.revokedAt !== undefined]),
        [
          ['agent', false],
          ['retired', true],
        ],
      );
    });
});
