/** Which record becomes a line in the log, at which level, and what the line never says. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fail } from '../../src/base/errors.ts';
import type { TrafficRecord } from '../../src/base/record.ts';
import { type AccessLogLevel, createAccessLog } from '../../src/observe/access-log.ts';
import { createLogRecorder } from '../support/log.ts';
import { exchangeOf, requestOf } from './traffic.ts';

const linesOf = (level: AccessLogLevel, record: TrafficRecord) => {
  const log = createLogRecorder();
  createAccessLog(log, { level })(record);
  return log.lines.map((line) => [line.level, line.message]);
};
const failed = (code: Parameters<typeof fail>[0], kind: TrafficRecord['kind'] = 'exchange') =>
  exchangeOf({ kind, error: fail(code), status: 502 });

describe('what went well', () => {
  test('is a line of the level that was asked for', () => {
    assert.deepEqual(linesOf('debug', exchangeOf()), [['debug', 'exchange']]);
    assert.deepEqual(linesOf('info', exchangeOf({ kind: 'stream' })), [['info', 'stream ended']]);
    assert.deepEqual(linesOf('off', exchangeOf()), []);
  });

  test('includes a downstream that went away', () => {
    assert.deepEqual(linesOf('debug', failed('REQUEST_ABORTED')), [['debug', 'exchange']]);
    assert.deepEqual(linesOf('off', failed('REQUEST_ABORTED')), []);
  });
});

describe('what failed', () => {
  test('is always told', () => {
    assert.deepEqual(linesOf('off', failed('UPSTREAM_CLOSED')), [['info', 'exchange refused']]);
    assert.deepEqual(linesOf('off', failed('INTERNAL')), [['error', 'exchange failed']]);
  });

  test('is told by the agents door where it answers', () =>
    assert.deepEqual(linesOf('debug', failed('DIAL_BACK_REFUSED', 'private-stream')), []));
});

test('no line has a query or a header', () => {
  const log = createLogRecorder();
  const request = requestOf({ target: '/p?token=hunter2', headers: ['authorization', 'Bearer hunter2'] });
  createAccessLog(log, { level: 'info' })(exchangeOf({ request, error: fail('UPSTREAM_CLOSED') }));
  assert.doesNotMatch(JSON.stringify(log.lines), /hunter2/);
});
