/** What is sent when an exchange is sent once more. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { CapturedExchange } from '../../src/observe/captured-exchange.ts';
import { REDACTED } from '../../src/observe/redaction.ts';
import { type GivenAnew, replayedRequestFrom } from '../../src/observe/replay-order.ts';

const NOTHING: GivenAnew = { headers: {}, query: {} };
const body = { content: Buffer.from('body'), bytes: 4, isWhole: true, trailers: [] };

const capturedOf = (overrides: Partial<CapturedExchange> = {}): CapturedExchange => ({
  id: 'exc_1',
  number: 1,
  startedAt: 0,
  address: '192.0.2.1',
  replayOf: undefined,
  request: {
    protocol: 'h2',
    method: 'POST',
    target: `/a?x=1&token=${REDACTED}&y=2`,
    authority: 'web.t.localhost',
    headers: ['accept', '*/*', 'cookie', REDACTED, 'cookie', REDACTED, 'referer', `/b?token=${REDACTED}`],
    isSwitch: false,
  },
  requestBody: body,
  response: undefined,
  responseBody: body,
  end: 'complete',
  code: undefined,
  waitMs: 0,
  firstByteMs: undefined,
  durationMs: undefined,
  ...overrides,
});

describe('a replay', () => {
  test('is what was sent, without what was redacted', () => {
    const { target, headers, body: sent } = replayedRequestFrom(capturedOf(), NOTHING);
    assert.deepEqual([target, headers, String(sent)], ['/a?x=1&y=2', ['accept', '*/*'], 'body']);
  });

  test('has the values that are given anew', () => {
    const given = { headers: { Cookie: 'a=b' }, query: { token: 'c&d' } };
    const { target, headers } = replayedRequestFrom(capturedOf(), given);
    assert.equal(target, '/a?x=1&token=c%26d&y=2');
    assert.deepEqual(headers, ['accept', '*/*', 'cookie', 'a=b']);
  });

  test('takes nothing but what was redacted', () => {
    for (const given of [
      { headers: { accept: 'text/html' }, query: {} },
      { headers: { 'x-new': '1' }, query: {} },
      { headers: {}, query: { x: '2' } },
    ])
      assert.throws(() => replayedRequestFrom(capturedOf(), given), { code: 'REPLAY_IMPOSSIBLE' });
  });

  test('needs the whole request, and no switch of protocols', () => {
    for (const overrides of [
      { requestBody: { ...body, bytes: 5 } },
      { requestBody: { ...body, isWhole: false } },
      { request: { ...capturedOf().request, isSwitch: true } },
    ])
      assert.throws(() => replayedRequestFrom(capturedOf(overrides), NOTHING), { code: 'REPLAY_IMPOSSIBLE' });
  });
});
