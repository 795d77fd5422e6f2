/** What went by, in steps of fixed number and size. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fail } from '../../src/base/errors.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { createHistory } from '../../src/observe/history.ts';
import { countInHistory, feedingHistory } from '../../src/observe/history-feed.ts';
import { NO_METERS } from '../../src/observe/meters.ts';
import { createFakeClock } from '../support/clock.ts';
import { exchangeOf } from './traffic.ts';

const start = () => {
  const clock = createFakeClock();
  const levels = { open_streams: 2, memory_bytes: 1_000, loop_busy: 0.5 };
  const history = createHistory(clock, () => levels);
  const step = (count = 1) => {
    for (let i = 0; i < count; i += 1) clock.advance(LIMITS.historyStepMs);
  };
  return { clock, history, levels, step };
};

test('what is counted is in the step in which it was counted, with the levels at its end', () => {
  const { history, step, clock } = start();
  countInHistory(history, exchangeOf({ bytesUp: 3, bytesDown: 5 }));
  step();
  history.count('requests', 4);
  step();
  const steps = history.steps('hour');
  assert.deepEqual(
    steps.map((each) => [each.of('requests'), each.of('bytes_down'), each.of('open_streams'), each.seconds]),
    [
      [1, 5, 2, 10],
      [4, 0, 2, 10],
    ],
  );
  assert.equal(steps[1]?.endedAt, clock.now());
});

test('an hour keeps an hour and a day a day, and the day has the mean of the levels', () => {
  const { history, levels, step } = start();
  history.count('requests');
  levels.loop_busy = 0.1;
  step(15);
  levels.loop_busy = 0.3;
  step(15);
  const [first] = history.steps('day');
  assert.deepEqual(
    [first?.of('requests'), first?.seconds, first?.of('loop_busy').toFixed(3)],
    [1, 300, '0.200'],
  );
  step(30 * LIMITS.historyDaySteps);
  assert.equal(history.steps('hour').length, LIMITS.historyHourSteps);
  assert.equal(history.steps('day').length, LIMITS.historyDaySteps);
  assert.equal(history.steps('day')[0]?.of('requests'), 0, 'the first has gone');
});

test('a day that has just begun is there already', () => {
  const { history, step } = start();
  assert.deepEqual(history.steps('day'), []);
  history.count('tls13');
  step();
  assert.deepEqual(
    history.steps('day').map((each) => [each.of('tls13'), each.of('open_streams')]),
    [[1, 2]],
  );
});

test('refusals are counted by their code, once, and who goes away was not refused', () => {
  const { history, step } = start();
  const meters = feedingHistory(NO_METERS, history);
  meters.countRefusalAt('agents')('TOKEN_MISSING');
  countInHistory(history, exchangeOf({ error: fail('HOST_UNKNOWN') }));
  countInHistory(history, exchangeOf({ error: fail('HOST_UNKNOWN') }));
  countInHistory(history, exchangeOf({ error: fail('REQUEST_ABORTED') }));
  step();
  assert.deepEqual(history.refusals('hour'), [
    { code: 'HOST_UNKNOWN', count: 2 },
    { code: 'TOKEN_MISSING', count: 1 },
  ]);
  assert.equal(history.steps('hour')[0]?.refusedCount, 3);
});

test('handshakes count by version and by what was offered, requests by proof', () => {
  const { history, step } = start();
  const meters = feedingHistory(NO_METERS, history);
  meters.countHandshake('TLSv1.3', true);
  meters.countHandshake('TLSv1.2', false);
  countInHistory(history, exchangeOf());
  countInHistory(history, exchangeOf({ dialerKind: 'pat' }));
  countInHistory(history, exchangeOf({ dialerKind: 'certificate' }));
  countInHistory(history, exchangeOf({ error: fail('TOKEN_MISSING') }));
  step();
  const [only] = history.steps('hour');
  const names = ['tls13', 'tls12', 'post_quantum', 'proof_none', 'proof_token', 'proof_certificate'] as const;
  assert.deepEqual(
    names.map((name) => only?.of(name)),
    [1, 1, 1, 1, 1, 1],
  );
});

test('a stopped history has no timer', () => {
  const { clock, history } = start();
  history.stop();
  assert.equal(clock.pendingCount, 0);
});
