/** Every wait of the edge has an end, and none of them cuts what still moves. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { eventually } from '../support/eventually.ts';
import { requestText, settled, startEdge } from './start-edge.ts';

const statusOf = (text: string): number => Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]);

describe('a downstream', () => {
  test('that never completes its request head is answered 408, however it drips', async (t) => {
    const { clock, connect, log } = startEdge(t);
    const downstream = connect();
    downstream.socket.write('GET / HTTP/1.1\r\n');
    for (let ms = 0; ms <= LIMITS.requestHeadMsMax + 1_000; ms += 1_000) {
      downstream.socket.write(`x-${ms}: drip\r\n`);
      await settled();
      clock.advance(1_000);
    }
    const text = await downstream.until((so) => so.includes('}\n'));
    assert.equal(statusOf(text), 408);
    assert.match(text, /connection: close/);
    await eventually(() => downstream.isEnded, 'the connection ends');
    const [line] = log.withCode('REQUEST_TIMEOUT');
    assert.ok(text.includes(line?.fields.errorId ?? 'no line'));
  });

  test('that asks nothing is let go without a word', async (t) => {
    const { clock, connect, edge } = startEdge(t, { idleMs: 10_000 });
    const downstream = connect();
    clock.advance(12_000);
    await eventually(() => downstream.isEnded, 'the connection ends');
    assert.equal(downstream.text, '');
    downstream.socket.end();
    await eventually(() => edge.connectionCount === 0, 'the connection is gone');
  });

  test('that stops in the middle of its body is answered 408', async (t) => {
    const { clock, connect, dial } = startEdge(t, { requestBodyIdleMs: 5_000 });
    const downstream = connect();
    downstream.socket.write(`${requestText('POST /', 'Content-Length: 10')}half`);
    const upstream = (await dial(0)).grant();
    await upstream.until((text) => text.endsWith('half'));
    clock.advance(7_000);
    assert.equal(statusOf(await downstream.until((text) => text.includes('}\n'))), 408);
    await eventually(() => upstream.socket.destroyed, 'the stream is not used again');
  });

  test('whose body drips on is not cut', async (t) => {
    const { clock, connect, dial } = startEdge(t, { requestBodyIdleMs: 5_000, responseMs: 5_000 });
    const downstream = connect();
    downstream.socket.write(requestText('POST /', 'Content-Length: 20'));
    const upstream = (await dial(0)).grant();
    for (let count = 1; count <= 20; count += 1) {
      clock.advance(3_000);
      downstream.socket.write('x');
      await upstream.until((text) => text.endsWith('x'.repeat(count)));
    }
    upstream.socket.write('HTTP/1.1 204 No Content\r\n\r\n');
    assert.equal(statusOf(await downstream.until((text) => text !== '')), 204);
  });

  test('that reads the last answer slowly is given the time for it, and only then five seconds', async (t) => {
    const { clock, connect, dial, edge } = startEdge(t);
    const downstream = connect({ isReading: false });
    downstream.socket.write(requestText('GET /', 'Connection: close'));
    const upstream = (await dial(0)).grant();
    const body = 'x'.repeat(60_000);
    upstream.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n${body}`);
    await settled();
    clock.advance(10 * LIMITS.lingerMsMax);
    downstream.socket.resume();
    await downstream.until((text) => text.endsWith(body));
    await eventually(() => downstream.isEnded, 'it ends as it should');
    clock.advance(2 * LIMITS.lingerMsMax);
    await eventually(() => edge.connectionCount === 0, 'a peer that keeps its half open is cut off');
  });

  test('that reads nothing at all is cut when the answer has stood still for too long', async (t) => {
    const { clock, connect, dial, edge } = startEdge(t, { streamIdleMs: 60_000 });
    const downstream = connect({ isReading: false });
    downstream.socket.write(requestText('GET /'));
    const upstream = (await dial(0)).grant();
    upstream.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n');
    for (let part = 0; part < 100; part += 1) upstream.socket.write(Buffer.alloc(10_000));
    await settled();
    assert.ok(upstream.socket.writableLength > 500_000, 'the upstream is held back');
    clock.advance(62_000);
    await eventually(() => edge.connectionCount === 0, 'the connection is cut');
    await eventually(() => upstream.socket.destroyed, 'the upstream is let go');
  });
});

describe('an upstream', () => {
  test('that does not answer a whole request is answered for with 504, and its stream ends', async (t) => {
    const { clock, connect, dial, log } = startEdge(t, { responseMs: 5_000, requestBodyIdleMs: 1_000 });
    const downstream = connect();
    downstream.socket.write(requestText('GET /'));
    const upstream = (await dial(0)).grant();
    await upstream.until((text) => text.endsWith('\r\n\r\n'));
    clock.advance(4_000);
    assert.equal(downstream.text, '');
    clock.advance(3_000);
    assert.equal(statusOf(await downstream.until((text) => text.includes('}\n'))), 504);
    assert.equal(log.withCode('UPSTREAM_TIMEOUT').length, 1);
    await eventually(() => upstream.socket.destroyed, 'the stream ends');
    assert.equal(downstream.isEnded, false, 'the downstream may ask again');
  });

  test('that says what it does meanwhile (1xx) is waited for', async (t) => {
    const { clock, connect, dial } = startEdge(t, { responseMs: 5_000 });
    const downstream = connect();
    downstream.socket.write(requestText('GET /'));
    const upstream = (await dial(0)).grant();
    await upstream.until((text) => text.endsWith('\r\n\r\n'));
    for (let count = 1; count < 4; count += 1) {
      clock.advance(4_000);
      upstream.socket.write('HTTP/1.1 102 Processing\r\n\r\n');
      await downstream.until((text) => text.split('102 Processing').length === count + 1);
    }
    upstream.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    await downstream.until((text) => text.includes('200 OK'));
  });

  test('whose answer falls silent is cut off together with it', async (t) => {
    const { clock, connect, dial, log } = startEdge(t, { streamIdleMs: 30_000 });
    const downstream = connect();
    downstream.socket.write(requestText('GET /'));
    const upstream = (await dial(0)).grant();
    upstream.socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
    await downstream.until((text) => text.endsWith('abc\r\n'));
    clock.advance(32_000);
    await eventually(() => downstream.socket.destroyed, 'the downstream is cut off');
    assert.equal(downstream.isEnded, false, 'and cannot take the answer for whole');
    assert.equal(log.withCode('STREAM_IDLE').length, 1);
  });
});
