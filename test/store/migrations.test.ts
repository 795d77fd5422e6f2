import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import Sqlite from 'better-sqlite3';
import { createCredentials } from '../../src/store/credentials.ts';
import type { Connection } from '../../src/store/database.ts';
import { keyFileOf } from '../../src/store/key-ring.ts';
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

const tablesOf = (connection: Connection): string[] =>
  connection.prepare<[], string>(`SELECT name FROM sqlite_schema WHERE type = 'table'`).pluck().all();
const rowsOf = (connection: Connection): Record<string, unknown[]> =>
  Object.fromEntries(
    tablesOf(connection).map((table) => [table, connection.prepare(`SELECT * FROM ${table}`).all()]),
  );
const columnsOf = (connection: Connection): Record<string, unknown> =>
  Object.fromEntries(tablesOf(connection).map((table) => [table, connection.pragma(`table_info(${table})`)]));

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
    // That of the last one is written when the next is made.
    for (const { number } of MIGRATIONS.slice(0, -1))
      assert.ok(dumps.includes(`v${number}.sql`), `v${number}`);
    for (const name of dumps) assert.match(name, /^v\d+\.sql$/);
  });

  for (const name of dumps)
    test(`lead from the database ${name} to schema.sql: its rows stay as they are, its token valid`, async (t) => {
      const path = join(makeTemporaryDirectory(t), 'engine.db');
      const dump = readFileSync(join(root, 'test/fixtures/store', name), 'utf8');
      const old = new Sqlite(path);
      old.exec(dump);
      const [before, columnsBefore] = [rowsOf(old), columnsOf(old)];
      old.close();
      const [, keys] = /^-- signing-key: (.+)$/m.exec(dump) ?? [];
      if (keys !== undefined) writeFileSync(keyFileOf(path), keys, { mode: 0o600 });

      const database = openTestDatabase(t, path);
      assert.deepEqual(database.use(shapeOf), expectedShape());
      assert.equal(
        database.use((connection) => connection.pragma('integrity_check', { simple: true })),
        'ok',
      );
      const [after, columnsAfter] = [database.use(rowsOf), database.use(columnsOf)];
      // Tables that have another shape now are told of by the token, its record, and the migration's own reason.
      for (const [table, rows] of Object.entries(before))
        if (isDeepStrictEqual(columnsBefore[table], columnsAfter[table]))
          assert.deepEqual(after[table], rows, table);
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
