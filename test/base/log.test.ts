import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fail } from '../../src/base/errors.ts';
import { createLogger, type LogLevel } from '../../src/base/log.ts';
import { Secret } from '../../src/base/secret.ts';

const startLog = (level: LogLevel = 'debug') => {
  const lines: string[] = [];
  const log = createLogger(level, { write: (line) => void lines.push(line) });
  return { log, lines, parsed: () => lines.map((line) => JSON.parse(line)) };
};

describe('a line', () => {
  test('is one JSON object with level, time, fields and message', () => {
    const { log, lines, parsed } = startLog();
    log.info({ agentId: 'cli_1', count: 2 }, 'session\nopened');
    assert.equal(lines.length, 1);
    assert.equal(lines[0]?.indexOf('\n'), lines[0]!.length - 1);
    const { time, ...rest } = parsed()[0];
    assert.deepEqual(rest, { level: 'info', agentId: 'cli_1', count: 2, msg: 'session\nopened' });
    assert.equal(new Date(time).toISOString(), time);
  });

  test('carries the fields of its child logger', () => {
    const { log, parsed } = startLog();
    log.child({ agentId: 'cli_1' }).warn({ tunnelId: 'tun_1' }, 'careful');
    const [{ agentId, tunnelId, level }] = parsed();
    assert.deepEqual([agentId, tunnelId, level], ['cli_1', 'tun_1', 'warn']);
  });

  test('shows no secret, at whatever depth', () => {
    const { log, lines } = startLog();
    const token = new Secret('the-token');
    log.error({ token, nested: { list: [token] }, error: fail('INTERNAL') }, 'leaky');
    assert.ok(!lines[0]?.includes('the-token'));
    assert.match(lines[0]!, /"token":"\*\*\*","nested":\{"list":\["\*\*\*"\]\}/);
  });
});

describe('an error', () => {
  test('of the table logs code, sentence, details and causes down to the first', () => {
    const { log, parsed } = startLog();
    const root = new TypeError('a bug');
    const error = fail('DIAL_BACK_TIMEOUT', { seconds: 5, streamId: 'ab' }, fail('AGENT_GONE', {}, root));
    log.warn({ error }, 'refused');
    const { cause, ...own } = parsed()[0].error;
    assert.deepEqual(own, {
      code: 'DIAL_BACK_TIMEOUT',
      message: 'The agent did not answer within 5 seconds.',
      details: { seconds: 5, streamId: 'ab' },
    });
    assert.equal(cause.code, 'AGENT_GONE');
    assert.equal(cause.cause.type, 'TypeError');
    assert.match(cause.cause.stack, /log\.test/);
  });

  test('of our own making has no stack, one that nobody expected has', () => {
    const { log, parsed } = startLog();
    log.error({ error: fail('AGENT_GONE') }, 'known');
    log.error({ error: new RangeError('unknown') }, 'unknown');
    log.error({ error: 'just a text' }, 'thrown');
    const [known, unknown, thrown] = parsed().map(({ error }) => error);
    assert.equal('stack' in known, false);
    assert.match(unknown.stack, /RangeError: unknown/);
    assert.equal(thrown, 'just a text');
  });
});

describe('the level', () => {
  const SPOKEN = {
    debug: ['debug', 'info', 'warn', 'error'],
    info: ['info', 'warn', 'error'],
    warn: ['warn', 'error'],
    error: ['error'],
    silent: [],
  } as const;
  for (const [level, spoken] of Object.entries(SPOKEN))
    test(`${level} lets ${spoken.join(', ') || 'nothing'} through`, () => {
      const { log, parsed } = startLog(level as LogLevel);
      for (const each of ['debug', 'info', 'warn', 'error'] as const) log[each]({}, each);
      assert.deepEqual(
        parsed().map((line) => line.level),
        spoken,
      );
      assert.equal(log.isLevelEnabled('debug'), level === 'debug');
    });
});
