/** A captured request that is sent once more: how many at once, how long, and what is told of it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fail } from '../../src/base/errors.ts';
import { LIMITS } from '../../src/base/limits.ts';
import type { ReplayOrder } from '../../src/edge/replay.ts';
import { eventually } from '../support/eventually.ts';
import { settled, startEdge } from './start-edge.ts';

const order: ReplayOrder = {
  replay: { of: 'exc_1', as: 'exc_2' },
  remoteAddress: '192.0.2.9',
  method: 'POST',
  target: '/again',
  authority: 'web.t.localhost',
  headers: ['host', 'web.t.localhost', 'transfer-encoding', 'chunked', 'expect', '100-continue'],
  body: Buffer.from('body'),
  trailers: [],
};

describe('a replay', () => {
  test('is framed anew, marked, and told of by the status of its answer', async (t) => {
    const { edge, tunnel, dial } = startEdge(t);
    const outcome = edge.replay(tunnel, order);
    const upstream = (await dial(0)).grant();
    const text = await upstream.until((sent) => sent.endsWith('body'));
    assert.match(text, /^POST \/again HTTP\/1\.1\r\nhost: web\.t\.localhost\r\nContent-Length: 4\r\n/);
    assert.match(text, /\r\nX-Forwarded-For: 192\.0\.2\.9\r\n/);
    assert.match(text, /\r\nx-rstream-replay: 1\r\n/);
    assert.ok(!/transfer-encoding|expect/i.test(text));
    upstream.socket.write('HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n');
    assert.deepEqual(await outcome, { kind: 'answered', status: 418 });
  });

  test('meets the limits of its tunnel', async (t) => {
    const { edge, tunnel } = startEdge(t, { requestBodyBytesMax: 3 });
    const outcome = await edge.replay(tunnel, order);
    assert.ok(outcome.kind === 'refused');
    assert.equal(outcome.error.code, 'REQUEST_BODY_TOO_LARGE');
  });

  test('says why it failed', async (t) => {
    const { edge, tunnel, dial } = startEdge(t);
    const outcome = edge.replay(tunnel, order);
    (await dial(0)).refuse(fail('DIAL_BACK_REFUSED'));
    const { error } = (await outcome) as { error?: { code: string } };
    assert.equal(error?.code, 'DIAL_BACK_REFUSED');
  });

  test('keeps nobody waiting for a slow answer, and meets the deadline of the tunnel', async (t) => {
    const { edge, tunnel, dial, clock, log } = startEdge(t, { responseMs: 30_000 });
    const outcome = edge.replay(tunnel, order);
    await (await dial(0)).grant().until((sent) => sent.endsWith('body'));
    clock.advance(LIMITS.replayAnswerMsMax);
    assert.deepEqual(await outcome, { kind: 'waiting' });
    clock.advance(20_000);
    await eventually(() => JSON.stringify(log.lines).includes('UPSTREAM_TIMEOUT'), 'it is over');
  });

  test('ends after its whole time, however lively the answer is', async (t) => {
    const { edge, tunnel, dial, clock, streams } = startEdge(t);
    const outcome = edge.replay(tunnel, order);
    const upstream = (await dial(0)).grant();
    await upstream.until((sent) => sent.endsWith('body'));
    upstream.socket.write('HTTP/1.1 200 OK\r\n\r\n');
    assert.equal((await outcome).kind, 'answered');
    for (let ms = 0; ms <= LIMITS.replayMsMax + 2_000; ms += 60_000) {
      clock.advance(60_000);
      if (!streams[0]?.destroyed) upstream.socket.write('still here');
      await settled();
    }
    assert.equal(streams[0]?.destroyed, true);
  });

  test('is one of a bounded number, and ended with the edge', async (t) => {
    const { edge, tunnel } = startEdge(t);
    const outcomes = Array.from({ length: LIMITS.replaysMax }, () => edge.replay(tunnel, order));
    assert.throws(() => edge.replay(tunnel, order), { code: 'REPLAY_IMPOSSIBLE' });
    await edge.destroy();
    for (const outcome of await Promise.all(outcomes)) assert.equal(outcome.kind, 'refused');
  });
});
