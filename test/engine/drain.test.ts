import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { connectDownstream, fetchThrough, readUntil, startRequest } from '../support/downstream.ts';
import { startEngine, startHttpUpstream, startTcpUpstream } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { privateDial } from '../support/fake-agent.ts';
import { readToEnd } from '../support/read-to-end.ts';

const HOSTNAME = 'web.t.localhost';

const startDrainable = (t: TestContext, drainSeconds: number) =>
  startEngine(t, { settings: { timeouts: { drain_seconds: drainSeconds } } });

/** An engine with a download under way, of which the upstream holds the second half back. */
const startDownload = async (t: TestContext, drainSeconds: number) => {
  const engine = await startDrainable(t, drainSeconds);
  let atUpstream: ServerResponse | undefined;
  const upstream = await startHttpUpstream(t, (_, response) => {
    atUpstream = response;
    response.write('first half, ');
  });
  await engine.publish(upstream, { hostname: 'web' });
  const request = startRequest(engine, HOSTNAME, '/');
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  await once(response, 'readable');
  return { engine, response, finish: () => atUpstream?.end('second half') };
};

const elapsedSince = (startMs: number) => performance.now() - startMs;

describe('an engine that stops', () => {
  test('lets a download finish, and ends right after it', async (t) => {
    const { engine, response, finish } = await startDownload(t, 30);
    const startMs = performance.now();
    const stopped = engine.engine.stop();
    await assert.rejects(engine.connectAgent(), { code: 6000, message: /ENGINE_DRAINING/ });
    finish();
    assert.equal(String(await readToEnd(response)), 'first half, second half');
    await stopped;
    assert.ok(elapsedSince(startMs) < 8_000, 'it did not wait for the deadline');
  });

  test('lets a private stream finish, however long it is silent', async (t) => {
    const engine = await startDrainable(t, 30);
    let atUpstream: Socket | undefined;
    const upstream = await startTcpUpstream(t, (socket) => {
      atUpstream = socket;
      socket.write('hello');
    });
    await engine.publish(upstream, { name: 'echo', publish: false });
    const { port, ca } = engine;
    const stream = await privateDial({ port, ca, token: await engine.createToken('d'), target: 'echo' });
    t.after(() => stream.destroy());
    await once(stream, 'readable');
    const stopped = engine.engine.stop();
    stream.end('bye');
    assert.ok(atUpstream);
    assert.equal(String(await readToEnd(atUpstream)), 'bye');
    atUpstream.end(', bye');
    assert.equal(String(await readToEnd(stream)), 'hello, bye');
    await stopped;
  });

  test('cuts off what has not finished in time', async (t) => {
    const { engine, response } = await startDownload(t, 1);
    const startMs = performance.now();
    const cut = assert.rejects(readToEnd(response), { code: 'ECONNRESET' });
    await engine.engine.stop();
    const tookMs = elapsedSince(startMs);
    assert.ok(tookMs >= 990 && tookMs < 5_000, `it took ${tookMs} ms`);
    await cut;
  });

  test('cuts off everything at once when it is told to drain for no time', async (t) => {
    const { engine, response } = await startDownload(t, 0);
    const cut = assert.rejects(readToEnd(response), { code: 'ECONNRESET' });
    await engine.engine.stop();
    await cut;
  });

  test('tells every agent, and ends their channels', async (t) => {
    const engine = await startDrainable(t, 1);
    const agents = [await engine.connectAgent({ liveness: 1_000 }), await engine.connectAgent()];
    for (const agent of agents) await agent.openTunnel({});
    const stopped = engine.engine.stop();
    for (const agent of agents) {
      await agent.next('channel-closed');
      await agent.ended;
      // An agent that is leaving anyway needs no word about each of its tunnels, and none after the last word.
      assert.deepEqual(agent.unread, []);
    }
    await stopped;
    assert.equal(engine.log.withCode('ENGINE_DRAINING').length, 2);
  });

  test('does not wait for a downstream that only keeps its connection alive', async (t) => {
    const engine = await startDrainable(t, 30);
    const upstream = await startHttpUpstream(t, (_, response) => response.end('whole'));
    await engine.publish(upstream, { hostname: 'web' });
    const socket = await connectDownstream(engine, HOSTNAME);
    socket.write(`GET / HTTP/1.1\r\nhost: ${HOSTNAME}\r\n\r\n`);
    await readUntil(socket, (text) => text.includes('whole'));
    const startMs = performance.now();
    socket.resume();
    await engine.engine.stop();
    assert.ok(elapsedSince(startMs) < 5_000);
  });

  test('says so to a downstream that comes meanwhile', async (t) => {
    const { engine, finish, response } = await startDownload(t, 30);
    const stopped = engine.engine.stop();
    const { status, body } = await fetchThrough(engine, HOSTNAME, '/');
    assert.equal(status, 503);
    assert.match(body, /ENGINE_DRAINING/);
    finish();
    response.resume();
    await stopped;
  });

  test('says so to whoever asks whether it is ready', async (t) => {
    const { engine, finish, response } = await startDownload(t, 30);
    assert.equal((await fetchThrough(engine, 'localhost', '/readyz')).status, 200);
    const stopped = engine.engine.stop();
    const { status, body } = await fetchThrough(engine, 'localhost', '/readyz');
    assert.deepEqual([status, body], [503, '{"status":"draining"}']);
    finish();
    response.resume();
    await stopped;
  });

  test('may be told twice, and both times it has stopped when that is over', async (t) => {
    const { engine, finish, response } = await startDownload(t, 30);
    const first = engine.engine.stop();
    const second = engine.engine.stop().then(() => engine.engine.counts());
    finish();
    response.resume();
    const { connections, timers } = await second;
    assert.equal(connections, 0);
    await first;
    // The built-in agent of the harness has a timer, since it wants to come back.
    assert.ok(timers <= 1);
  });
});

test('an engine that was never used stops at once', async (t) => {
  const engine = await startDrainable(t, 30);
  const startMs = performance.now();
  await engine.stop();
  assert.ok(elapsedSince(startMs) < 1_000);
  await eventually(() => engine.log.lines.some(({ message }) => message === 'engine stopped'), 'it says so');
});
