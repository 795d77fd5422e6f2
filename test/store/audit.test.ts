import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import Sqlite from 'better-sqlite3';
import type { EngineError } from '../../src/base/errors.ts';
import { type AuditEvent, createAuditLog } from '../../src/store/audit.ts';
import { createFakeClock } from '../support/clock.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const DAY_MS = 86_400_000;
const EVENT = { actor: 'cli:alice', action: 'pat.revoke', object: 'crd_1', origin: 'local', result: 'ok' };

const setUp = (t: TestContext, { sizeBytesMax = 2 ** 30, ageMsMax = 365 * DAY_MS } = {}) => {
  const path = join(makeTemporaryDirectory(t), 'audit.db');
  const clock = createFakeClock();
  const faults: (EngineError & { event: AuditEvent })[] = [];
  const open = () => {
    const audit = createAuditLog(
      { clock, onFault: (error, event) => faults.push(Object.assign(error, { event })) },
      { path, sizeBytesMax, ageMsMax },
    );
    t.after(() => audit.close());
    return audit;
  };
  /** Changes the file as somebody with an editor would. */
  const tamper = (sql: string) => {
    const connection = new Sqlite(path);
    connection.exec(sql);
    connection.close();
  };
  return { path, clock, faults, open, tamper, audit: open() };
};

describe('the audit log', () => {
  test('keeps who, what, which, from where and the result, for its owner alone', (t) => {
    const { audit, clock, path } = setUp(t);
    audit.record({ ...EVENT, name: 'ci' });
    clock.advance(5);
    audit.record({ ...EVENT, result: 'CREDENTIAL_NOT_FOUND' });
    const [second, first, ...more] = audit.list(10);
    assert.deepEqual(more, []);
    const { hash, ...rest } = first!;
    assert.match(hash, /^[0-9a-f]{64}$/);
    assert.deepEqual(rest, { ...EVENT, name: 'ci', number: 1, at: clock.now() - 5 });
    assert.deepEqual([second?.number, second?.result, second?.at], [2, 'CREDENTIAL_NOT_FOUND', clock.now()]);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(audit.list(1).length, 1);
  });

  test('is one chain, also when several processes write to it', (t) => {
    const { audit, open } = setUp(t);
    const other = open();
    for (let count = 0; count < 20; count += 1) (count % 3 ? audit : other).record(EVENT);
    const { count, lastNumber, lastHash } = other.verify();
    assert.deepEqual([count, lastNumber, lastHash], [20, 20, audit.list(1)[0]?.hash]);
  });

  for (const [what, sql, problem] of [
    ['a changed result', `UPDATE entries SET result = 'x' WHERE number = 3`, /entry 3 was changed/],
    ['a changed time', 'UPDATE entries SET at = at + 1 WHERE number = 2', /entry 2 was changed/],
    ['an added name', `UPDATE entries SET name = 'x' WHERE number = 5`, /entry 5 was changed/],
    ['a missing entry', 'DELETE FROM entries WHERE number = 3', /entry 3 is missing/],
    ['a missing beginning', 'DELETE FROM entries WHERE number < 3', /entry 1 is missing/],
    [
      'a beginning cut off with its anchor',
      'DELETE FROM entries WHERE number < 3; UPDATE anchor SET number = 2',
      /entry 3 was changed/,
    ],
    [
      'two entries that changed places',
      'UPDATE entries SET number = 99 WHERE number = 2; UPDATE entries SET number = 2 WHERE number = 3; UPDATE entries SET number = 3 WHERE number = 99',
      /entry 2 was changed/,
    ],
  ] as const)
    test(`shows ${what}`, (t) => {
      const { audit, tamper } = setUp(t);
      for (let count = 0; count < 5; count += 1) audit.record({ ...EVENT, object: `crd_${count}` });
      audit.verify();
      tamper(sql);
      assert.throws(() => audit.verify(), { code: 'AUDIT_BROKEN', message: problem });
    });

  test('forgets what is too old, and its chain holds', (t) => {
    const { audit, clock } = setUp(t, { ageMsMax: DAY_MS });
    for (let count = 0; count < 60; count += 1) audit.record(EVENT);
    clock.advance(DAY_MS + 1);
    for (let count = 0; count < 10; count += 1) audit.record(EVENT);
    assert.deepEqual([audit.verify().count, audit.verify().lastNumber], [10, 70]);
    audit.record(EVENT);
    assert.equal(audit.verify().count, 11);
  });

  test('stays below its size, and its chain holds', (t) => {
    const { audit, path } = setUp(t, { sizeBytesMax: 65_536 });
    const long = { ...EVENT, object: 'x'.repeat(200), origin: 'y'.repeat(500) };
    for (let count = 0; count < 640; count += 1) audit.record(long);
    audit.close();
    assert.ok(statSync(path).size < 131_072, `${statSync(path).size}`);
    assert.equal(audit.verify().lastNumber, 640);
    assert.equal(audit.list(1)[0]?.origin.length, 200, 'texts are cut');
  });
});

describe('an audit log that cannot be written', () => {
  test('stops nobody, is told, and goes on when it can again', (t) => {
    const { audit, faults, path } = setUp(t);
    mkdirSync(path);
    audit.record(EVENT);
    assert.deepEqual(
      faults.map(({ code }) => code),
      ['STORE_UNAVAILABLE'],
    );
    rmSync(path, { recursive: true });
    audit.record(EVENT);
    assert.equal(audit.verify().count, 1);
  });

  test('is left as it is when it is no log', (t) => {
    const { audit, faults, path } = setUp(t);
    writeFileSync(path, 'somebody wrote this here', { mode: 0o600 });
    audit.record(EVENT);
    assert.deepEqual(
      faults.map(({ event }) => event),
      [EVENT],
    );
    assert.equal(readFileSync(path, 'utf8'), 'somebody wrote this here');
    assert.throws(() => audit.list(1), { code: 'STORE_UNAVAILABLE' });
  });

  test('begins anew where its operator moves a damaged one away, beside a running engine', (t) => {
    const { audit, faults, path } = setUp(t);
    writeFileSync(path, 'damaged', { mode: 0o600 });
    audit.record(EVENT);
    renameSync(path, `${path}.evidence`);
    audit.record(EVENT);
    assert.deepEqual([faults.length, audit.verify().count], [1, 1]);
  });

  test('is not made by reading it', (t) => {
    const { audit } = setUp(t);
    assert.throws(() => audit.verify(), { code: 'STORE_UNAVAILABLE', message: /does not exist/ });
  });
});
