/** Two things at once: what the edge does when its ends move in an unlucky order. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fail } from '../../src/base/errors.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { eventually } from '../support/eventually.ts';
import { countOf, type End, requestText, settled, startEdge } from './start-edge.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** Makes one exchange, so that its stream is idle and the next request takes it. */
const warmUp = async ({ connect, dial }: ReturnType<typeof startEdge>, index = 0): Promise<[End, End]> => {
  const downstream = connect();
  downstream.socket.write(requestText('GET /warm-up'));
  const upstream = (await dial(index)).grant();
  await upstream.until((text) => text.endsWith('\r\n\r\n'));
  upstream.socket.write(OK);
  await downstream.until((text) => text.endsWith('ok'));
  return [downstream, upstream];
};

describe('a stream that its upstream closes just as the next request is sent', () => {
  test('is replaced once, and a body that comes meanwhile is not lost', async (t) => {
    const edge = startEdge(t);
    const [downstream, stale] = await warmUp(edge);
    downstream.socket.write(requestText('PUT /', 'Content-Length: 8', 'Expect: 100-continue'));
    await stale.until((text) => text.includes('PUT'));
    stale.socket.end();
    const dial = await edge.dial(1);
    downstream.socket.write('all of it'.slice(0, 8));
    await settled();
    const fresh = dial.grant();
    assert.match(await fresh.until((text) => text.includes('all of')), /\r\n\r\nall of i$/);
    fresh.socket.write('HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n');
    await downstream.until((text) => text.includes('201 Created'));
  });

  test('is replaced once only', async (t) => {
    const edge = startEdge(t);
    const [downstream, stale] = await warmUp(edge);
    downstream.socket.write(requestText('GET /'));
    await stale.until((text) => text.includes('GET / '));
    stale.socket.destroy();
    (await edge.dial(1)).grant().socket.end();
    await downstream.until((text) => text.includes('502 Bad Gateway'));
    assert.equal(edge.dials.length, 2);
  });

  for (const request of [
    requestText('POST /', 'Content-Length: 0'),
    `${requestText('PUT /', 'Content-Length: 5')}x`,
    requestText('DELETED /'),
  ])
    test(`is not replaced for ${request.split(' ')[0]} ${request.endsWith('x') ? 'with a body' : ''}`, async (t) => {
      const edge = startEdge(t);
      const [downstream, stale] = await warmUp(edge);
      downstream.socket.write(request);
      await stale.until((text) => text.includes(request.split(' ')[0] as string));
      await settled();
      stale.socket.end();
      await downstream.until((text) => text.includes('502 Bad Gateway'));
      assert.equal(edge.dials.length, 1);
    });

  test('is not replaced when the tunnel closed as well, and nothing keeps ticking', async (t) => {
    const edge = startEdge(t);
    const [downstream, stale] = await warmUp(edge);
    downstream.socket.write(requestText('GET /'));
    await stale.until((text) => text.includes('GET / '));
    edge.registry.close(edge.tunnel.id);
    stale.socket.end();
    await downstream.until((text) => text.includes('503 Service Unavailable'));
    assert.equal(edge.dials.length, 1);
  });
});

describe('an upstream', () => {
  test('that says more than its answer is not asked again', async (t) => {
    const edge = startEdge(t);
    const [downstream, upstream] = await warmUp(edge);
    downstream.socket.write(requestText('GET /'));
    await upstream.until((text) => text.includes('GET / '));
    upstream.socket.write(`${OK}HTTP/1.1 200 OK\r\n`);
    await eventually(() => upstream.socket.destroyed, 'the stream is thrown away');
    assert.equal(countOf(downstream.text, 'HTTP/1.1'), 2);
  });

  test('that speaks while nobody asks is thrown away', async (t) => {
    const edge = startEdge(t);
    const [downstream, upstream] = await warmUp(edge);
    upstream.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison');
    await eventually(() => upstream.socket.destroyed, 'the stream is thrown away');
    downstream.socket.write(requestText('GET /'));
    (await edge.dial(1)).grant().socket.write(OK);
    assert.doesNotMatch(await downstream.until((text) => countOf(text, 'ok') === 2), /poison/);
  });

  for (const way of ['resets its connection', 'loses its stream'])
    test(`that ${way} does not end an answer that only its end could end`, async (t) => {
      const { connect, dial } = startEdge(t);
      const downstream = connect();
      downstream.socket.write(requestText('GET /'));
      const upstream = (await dial(0)).grant();
      upstream.socket.write('HTTP/1.1 200 OK\r\n\r\nhalf');
      await downstream.until((text) => text.includes('half'));
      if (way === 'loses its stream') upstream.cut();
      else upstream.socket.destroy();
      await eventually(() => downstream.socket.destroyed, 'the downstream is cut off');
      assert.equal(downstream.isEnded, false);
      assert.doesNotMatch(downstream.text, /\r\n0\r\n/);
    });

  test('that was held back by a slow downstream is not left held back for the next one', async (t) => {
    const edge = startEdge(t);
    const slow = edge.connect({ isReading: false });
    slow.socket.write(requestText('GET /slow'));
    const upstream = (await edge.dial(0)).grant();
    upstream.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n');
    upstream.socket.write(Buffer.alloc(100_000));
    await eventually(() => edge.edge.pooledCount === 1, 'the answer is whole, and its stream idle');
    const other = edge.connect();
    other.socket.write(requestText('GET /other'));
    await upstream.until((text) => text.includes('GET /other'));
    upstream.socket.write(OK);
    await other.until((text) => text.endsWith('ok'));
  });
});

describe('a downstream that sends and never reads', () => {
  test('is answered only as far as its answers fit, and on when it reads', async (t) => {
    const { connect, log } = startEdge(t);
    const downstream = connect({ isReading: false });
    const refused = `GET / HTTP/1.1\r\nHost: x\r\n\r\n`;
    const count = 2_000;
    downstream.socket.write(refused.repeat(count));
    await settled();
    const refusedCount = () => log.withCode('HOST_UNKNOWN').length;
    const firstCount = refusedCount();
    assert.ok(firstCount > 0 && firstCount < count / 4, `${firstCount} were answered at once`);
    downstream.socket.resume();
    await downstream.until((text) => countOf(text, 'HTTP/1.1 404') === count);
    assert.equal(refusedCount(), count);
    downstream.socket.write(refused);
    await downstream.until((text) => countOf(text, 'HTTP/1.1 404') === count + 1);
  });

  test('gets no further answers from its upstream either', async (t) => {
    const { connect, dial, edge } = startEdge(t);
    const downstream = connect({ isReading: false });
    downstream.socket.write(requestText('GET /').repeat(20));
    const upstream = (await dial(0)).grant();
    const body = 'x'.repeat(40_000);
    let answeredCount = 0;
    upstream.socket.on('data', () => {
      answeredCount += 1;
      upstream.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    });
    await settled();
    assert.ok(answeredCount * body.length < 2 * LIMITS.writeBufferBytesMax + body.length, `${answeredCount}`);
    downstream.socket.resume();
    await downstream.until((text) => countOf(text, body) === 20);
    assert.equal(edge.pooledCount, 1);
  });
});

test('downstreams that wait for one lost tunnel are refused each with an error id of its own', async (t) => {
  const { connect, dial, registry, tunnel, log } = startEdge(t);
  const downstreams = [connect(), connect()];
  for (const { socket } of downstreams) socket.write(requestText('GET /'));
  await dial(1);
  registry.closeAll(tunnel.agentId, { isLost: true });
  for (const downstream of downstreams) await downstream.until((text) => text.includes('503 Service'));
  const ids = log.withCode('AGENT_GONE').map(({ fields }) => fields.errorId);
  assert.equal(new Set(ids).size, 2);
  for (const { text } of downstreams) assert.equal(ids.filter((id) => text.includes(id as string)).length, 1);
});

test('a downstream that leaves while its dial runs calls it off, and what comes back is not for it', async (t) => {
  const { connect, dial, edge, log } = startEdge(t);
  const downstream = connect();
  downstream.socket.write(requestText('GET /'));
  const { signal, refuse } = await dial(0);
  downstream.socket.end();
  await eventually(() => signal?.aborted === true, 'the dial is called off');
  refuse(fail('REQUEST_ABORTED'));
  await eventually(() => edge.connectionCount === 0, 'the connection is gone');
  assert.equal(log.withCode('REQUEST_ABORTED').length, 1);
});

test('draining ends idle connections, lets running exchanges finish and refuses new ones', async (t) => {
  const { connect, dial, edge } = startEdge(t);
  const [idle, running] = [connect(), connect()];
  running.socket.write(requestText('GET /running').repeat(2));
  const upstream = (await dial(0)).grant();
  await upstream.until((text) => text.includes('/running'));
  edge.drain();
  await eventually(() => idle.isEnded, 'the idle one ends');
  const late = connect();
  late.socket.write(requestText('GET /late'));
  assert.match(await late.until((text) => text.includes('}\n')), /503 .*ENGINE_DRAINING/s);
  upstream.socket.write(OK);
  assert.match(await running.until((text) => text.endsWith('ok')), /200 OK.*Connection: close/s);
  await eventually(() => running.isEnded, 'the connection ends');
  assert.equal(countOf(running.text, 'HTTP/1.1'), 1);
});
