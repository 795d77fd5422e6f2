import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { describe, test } from 'node:test';
import { EngineError } from '../../src/base/errors.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { relay } from '../../src/stream/relay.ts';
import { createFakeClock } from '../support/clock.ts';
import { createDuplexPair } from '../support/duplex-pair.ts';
import { readToEnd } from '../support/read-to-end.ts';

const IDLE_MS = 60_000;

/** A downstream and an upstream with a relay between them. */
const start = (prepare: (a: Duplex, b: Duplex) => void = () => {}) => {
  const clock = createFakeClock();
  const [downstream, a] = createDuplexPair();
  const [b, upstream] = createDuplexPair();
  prepare(a, b);
  const result = relay(a, b, { clock, idleMs: IDLE_MS });
  return { clock, downstream, upstream, a, b, result };
};

describe('a relay', () => {
  test('copies both ways and counts what it copied', async () => {
    const { clock, downstream, upstream, result } = start();
    downstream.end('a question');
    upstream.end('the whole answer');
    assert.equal(String(await readToEnd(upstream)), 'a question');
    assert.equal(String(await readToEnd(downstream)), 'the whole answer');
    const { endedBy, ...counts } = await result;
    assert.deepEqual(counts, { bytesAToB: 10, bytesBToA: 16, isBroken: false });
    assert.match(endedBy, /^[ab]$/);
    assert.equal(clock.pendingCount, 0);
  });

  for (const first of ['downstream', 'upstream'] as const)
    test(`carries what comes back after the ${first} has ended`, async () => {
      const { clock, result, ...ends } = start();
      const early = ends[first];
      const late = ends[first === 'downstream' ? 'upstream' : 'downstream'];
      early.end('sent before the end');
      assert.equal(String(await readToEnd(late)), 'sent before the end');
      late.end('sent after the end');
      assert.equal(String(await readToEnd(early)), 'sent after the end');
      const { cause } = await result;
      assert.equal(cause, undefined);
      assert.equal(clock.pendingCount, 0);
    });

  test('breaks off both sides when one breaks, and only then', async () => {
    const reset: Duplex[] = [];
    const resettable = (...sockets: Duplex[]) => {
      for (const socket of sockets)
        Object.assign(socket, { resetAndDestroy: () => reset.push(socket.destroy()) });
    };
    const whole = start(resettable);
    whole.downstream.end();
    whole.upstream.end();
    await whole.result;
    assert.deepEqual(reset, []);
    for (const broken of ['a', 'b'] as const) {
      const cut = start(resettable);
      cut[broken].destroy(new Error('reset'));
      await cut.result;
      assert.deepEqual(reset.splice(0), [broken === 'a' ? cut.b : cut.a]);
    }
  });

  test('lets a side that was sent everything read it, when the other fails after its end', async () => {
    const { clock, downstream, upstream, a, b, result } = start();
    const answer = Buffer.alloc(100_000, 'answer ');
    upstream.end(answer);
    await once(b, 'end');
    assert.ok(a.writableLength > 0, 'nobody has read it yet');
    // What an agent does that closes altogether when its service has ended, while the downstream still speaks.
    const cause = new Error('write EPIPE');
    b.destroy(cause);
    downstream.write('still here');
    assert.ok((await readToEnd(downstream)).equals(answer));
    const { bytesBToA, endedBy, isBroken, cause: found } = await result;
    assert.deepEqual(
      { bytesBToA, endedBy, isBroken },
      { bytesBToA: answer.length, endedBy: 'b', isBroken: true },
    );
    assert.equal(found, cause);
    assert.equal(clock.pendingCount, 0);
  });

  test('waits no longer than the idle time for a side that reads nothing of it', async () => {
    const { clock, upstream, a, b, result } = start();
    upstream.end(Buffer.alloc(100_000));
    await once(b, 'end');
    b.destroy(new Error('write EPIPE'));
    await new Promise((resolve) => b.once('close', resolve));
    assert.equal(a.destroyed, false);
    clock.advance(IDLE_MS);
    await result;
    assert.equal(a.destroyed, true);
    assert.equal(clock.pendingCount, 0);
  });

  test('keeps order and bytes of bulk data', async () => {
    const { downstream, upstream, result } = start();
    const sent = Buffer.alloc(3_000_000, 'relay ');
    downstream.end(sent);
    upstream.end(sent);
    const [up, down] = await Promise.all([readToEnd(upstream), readToEnd(downstream)]);
    assert.ok(up.equals(sent));
    assert.ok(down.equals(sent));
    assert.deepEqual(await result, {
      bytesAToB: sent.length,
      bytesBToA: sent.length,
      endedBy: 'a',
      isBroken: false,
    });
  });

  test('stops reading from a side whose peer does not read', async () => {
    const { downstream, upstream, b } = start();
    const chunk = Buffer.alloc(10_000);
    let acceptedBytes = 0;
    // Writes until the connection has pushed back for good.
    for (let round = 0; round < 100; round += 1) {
      while (!downstream.writableNeedDrain && acceptedBytes < 10_000_000) {
        downstream.write(chunk);
        acceptedBytes += chunk.length;
      }
      await new Promise(setImmediate);
    }
    assert.ok(b.writableLength <= LIMITS.writeBufferBytesMax + 2 * 16_384, `${b.writableLength} unsent`);
    assert.ok(acceptedBytes < 300_000, `${acceptedBytes} accepted`);
    downstream.end();
    assert.equal((await readToEnd(upstream)).length, acceptedBytes);
  });

  test('destroys one side at once when the other breaks, and names the cause', async () => {
    const { clock, downstream, upstream, a, result } = start();
    const cause = new Error('broken');
    a.destroy(cause);
    assert.equal((await result).cause, cause);
    await Promise.all([downstream, upstream].map((end) => end.closed || once(end, 'close')));
    assert.equal(clock.pendingCount, 0);
  });

  test('ends when a side disappears without an end', async () => {
    const { upstream, downstream, result } = start();
    downstream.write('half a');
    upstream.destroy();
    await result;
    assert.ok(downstream.closed || (await once(downstream, 'close')));
  });

  test('ends with STREAM_IDLE after silence, and not before', async () => {
    const { clock, downstream, upstream, a, result } = start();
    clock.advance(IDLE_MS - 1);
    upstream.write('still here');
    await once(downstream, 'data');
    clock.advance(IDLE_MS - 1);
    assert.equal(a.destroyed, false);
    clock.advance(1);
    const { cause } = await result;
    assert.ok(cause instanceof EngineError);
    assert.equal(cause.code, 'STREAM_IDLE');
    assert.equal(clock.pendingCount, 0);
  });

  test('limits the silence of a half-closed stream too', async () => {
    const { clock, downstream, upstream, result } = start();
    downstream.end();
    await readToEnd(upstream);
    clock.advance(IDLE_MS);
    const { cause } = await result;
    assert.ok(cause instanceof EngineError);
    assert.equal(cause.code, 'STREAM_IDLE');
  });

  test('sends on what a side held before it began', async () => {
    const { downstream, upstream } = start((a) => {
      a.pause();
      a.unshift(Buffer.from('early '));
    });
    downstream.end('and late');
    assert.equal(String(await readToEnd(upstream)), 'early and late');
  });

  test('passes on an end that came before it began', async () => {
    const clock = createFakeClock();
    const [downstream, a] = createDuplexPair();
    const [b, upstream] = createDuplexPair();
    downstream.end();
    a.resume();
    await once(a, 'end');
    const result = relay(a, b, { clock, idleMs: IDLE_MS });
    assert.equal(String(await readToEnd(upstream)), '');
    upstream.end('answer');
    assert.equal(String(await readToEnd(downstream)), 'answer');
    assert.deepEqual(await result, { bytesAToB: 0, bytesBToA: 6, endedBy: 'a', isBroken: false });
  });

  test('destroys the second side when the first is closed already', async () => {
    const clock = createFakeClock();
    const [, a] = createDuplexPair();
    const [b] = createDuplexPair();
    a.destroy();
    await once(a, 'close');
    await relay(a, b, { clock, idleMs: IDLE_MS });
    assert.ok(b.destroyed);
    assert.equal(clock.pendingCount, 0);
  });
});

describe('the end of a relay', () => {
  for (const [first, side] of [
    ['downstream', 'a'],
    ['upstream', 'b'],
  ] as const) {
    const second = first === 'downstream' ? 'upstream' : 'downstream';

    test(`is told as whole, and as begun by the ${first} that ended first`, async () => {
      const { result, ...ends } = start();
      ends[first].end();
      await readToEnd(ends[second]);
      ends[second].end();
      ends[first].resume();
      const { endedBy, isBroken } = await result;
      assert.deepEqual({ endedBy, isBroken }, { endedBy: side, isBroken: false });
    });

    test(`is told as a break by the ${first} that failed`, async () => {
      const { result, a, b } = start();
      (side === 'a' ? a : b).destroy(new Error('reset'));
      const { endedBy, isBroken } = await result;
      assert.deepEqual({ endedBy, isBroken }, { endedBy: side, isBroken: true });
    });
  }
});
