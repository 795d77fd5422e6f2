/** An audit log that cannot be written costs nothing but itself, and what it did not take stands in the log. */
import assert from 'node:assert/strict';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { logIn, startAdminEngine } from './ask-admin.ts';

test('a login beside a damaged audit log works and is told of; once the file was moved away, a new one begins', async (t) => {
  const engine = await startAdminEngine(t);
  const path = join(engine.directory, 'audit.db');
  writeFileSync(path, 'somebody was here', { mode: 0o600 });
  const { ask, answer } = await logIn(engine, 'alice');
  assert.equal(answer.status, 200);
  assert.equal(readFileSync(path, 'utf8'), 'somebody was here');
  const [line] = engine.log.withCode('STORE_UNAVAILABLE');
  assert.equal(line?.message, 'an event is not in the audit log');
  const event = line?.fields.event as Record<string, string>;
  assert.deepEqual([event.actor, event.origin, event.result], ['admin:alice', '127.0.0.1', 'ok']);

  renameSync(path, `${path}.evidence`);
  assert.equal((await ask('DELETE', '/session')).status, 204);
  assert.notEqual(readFileSync(path).length, 0);
  assert.equal(engine.log.withCode('STORE_UNAVAILABLE').length, 1);
});
