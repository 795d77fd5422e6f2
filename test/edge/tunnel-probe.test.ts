import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { EngineError, fail } from '../../src/base/errors.ts';
import { newAgentId } from '../../src/base/ids.ts';
import { LIMITS } from '../../src/base/limits.ts';
import type { TunnelProperties } from '../../src/base/tunnel-properties.ts';
import { countOf, type End, requestText, settled, startEdge } from './start-edge.ts';

const DEADLINE_MS = 10_000;
const RAW: TunnelProperties = { publish: false };
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** What became of a probe: `proved`, or a code. */
const outcomeOf = (probe: Promise<void>): Promise<string> =>
  probe.then(
    () => 'proved',
    (error) => (error instanceof EngineError ? error.code : String(error)),
  );

const setUp = (t: TestContext, overrides: Parameters<typeof startEdge>[1] = {}) => {
  const edge = startEdge(t, overrides);
  const open = (properties: TunnelProperties) =>
    edge.registry.open({ agentId: newAgentId(), credentialId: 'crd_1' }, properties);
  const stop = new AbortController();
  const probe = (tunnel = edge.tunnel) => outcomeOf(edge.edge.probe(tunnel, stop.signal));
  return { ...edge, open, stop, probe };
};

const hasHead = (text: string): boolean => text.endsWith('\r\n\r\n');

const answerHead = async (upstream: End, answer: string): Promise<void> => {
  await upstream.until(hasHead);
  upstream.socket.write(answer);
};

describe('a probe of an HTTP tunnel', () => {
  test('asks HEAD / under its name, on behalf of nobody, and leaves nothing behind', async (t) => {
    const { probe, dial, edge, tunnel, streams } = setUp(t);
    const proved = probe();
    const upstream = (await dial(0)).grant();
    await answerHead(upstream, 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n');
    assert.equal(await proved, 'proved');
    assert.equal(
      upstream.text,
      'HEAD / HTTP/1.1\r\nHost: web.t.localhost\r\nUser-Agent: the-probe/1\r\nAccept: */*\r\n\r\n',
    );
    assert.ok(streams[0]?.destroyed, 'its stream is closed');
    assert.equal(edge.pooledCount, 0);
    assert.equal(tunnel.pulse.atMs, Number.NEGATIVE_INFINITY, 'it is no traffic');
  });

  test('asks GET of the path that the label names', async (t) => {
    const { probe, dial, open } = setUp(t);
    const proved = probe(open({ hostname: 'app', labels: { 'rstream.probe-path': '/health?deep=1' } }));
    const upstream = (await dial(0)).grant();
    await answerHead(upstream, OK);
    assert.equal(await proved, 'proved');
    assert.match(upstream.text, /^GET \/health\?deep=1 HTTP\/1\.1\r\nHost: app\.t\.localhost\r\n/);
  });

  for (const head of ['500 Internal Server Error', '404 Not Found', '301 Moved Permanently'])
    test(`takes ${head} for a proof`, async (t) => {
      const { probe, dial } = setUp(t);
      const proved = probe();
      await answerHead((await dial(0)).grant(), `HTTP/1.1 ${head}\r\nContent-Length: 0\r\n\r\n`);
      assert.equal(await proved, 'proved');
    });

  test('does not read an answer without end', async (t) => {
    const { probe, dial, open, streams } = setUp(t);
    const proved = probe(open({ hostname: 'app', labels: { 'rstream.probe-path': '/' } }));
    const upstream = (await dial(0)).grant();
    await answerHead(upstream, 'HTTP/1.1 200 OK\r\n\r\n');
    upstream.socket.write(Buffer.alloc(LIMITS.probeAnswerBytesMax + 1));
    assert.equal(await proved, 'proved');
    assert.ok(streams[0]?.destroyed);
  });

  test('fails with what the upstream did', async (t) => {
    const { probe, dial } = setUp(t);
    const refused = probe();
    (await dial(0)).refuse(fail('DIAL_BACK_REFUSED'));
    assert.equal(await refused, 'DIAL_BACK_REFUSED');
    const nonsense = probe();
    (await dial(1)).grant().socket.write('SSH-2.0-OpenSSH\r\n\r\n');
    assert.equal(await nonsense, 'UPSTREAM_MALFORMED');
    const closed = probe();
    const upstream = (await dial(2)).grant();
    await upstream.until(hasHead);
    upstream.socket.end();
    assert.equal(await closed, 'UPSTREAM_CLOSED');
  });

  test('tells an agent that stalls from an upstream that does', async (t) => {
    const { probe, dial, clock } = setUp(t);
    const stalled = probe();
    const first = await dial(0);
    clock.advance(DEADLINE_MS);
    assert.ok(first.signal?.aborted);
    first.refuse(fail('REQUEST_ABORTED'));
    assert.equal(await stalled, 'DIAL_BACK_TIMEOUT');
    const silent = probe();
    const upstream = (await dial(1)).grant();
    await upstream.until(hasHead);
    clock.advance(DEADLINE_MS);
    assert.equal(await silent, 'UPSTREAM_TIMEOUT');
  });

  test('ends when nobody wants to know any more', async (t) => {
    const { probe, dial, stop, streams } = setUp(t);
    const asked = probe();
    await (await dial(0)).grant().until(hasHead);
    stop.abort();
    assert.equal(await asked, 'REQUEST_ABORTED');
    assert.ok(streams[0]?.destroyed);
    assert.equal(await probe(), 'REQUEST_ABORTED');
  });
});

describe('a probe of a tunnel that has an idle stream', () => {
  const withIdleStream = async (t: TestContext, overrides = {}) => {
    const world = setUp(t, overrides);
    const downstream = world.connect();
    downstream.socket.write(requestText('GET /'));
    const upstream = (await world.dial(0)).grant();
    await answerHead(upstream, OK);
    await downstream.until((text) => text.endsWith('ok'));
    assert.equal(world.edge.pooledCount, 1);
    return { ...world, downstream, upstream };
  };

  test('uses it, gives it back, and makes it no younger', async (t) => {
    const { probe, upstream, edge, clock, streams, dials } = await withIdleStream(t, { idleMs: 90_000 });
    clock.advance(60_000);
    const proved = probe();
    await upstream.until((text) => countOf(text, '\r\n\r\n') === 2);
    upstream.socket.write('HTTP/1.1 204 No Content\r\n\r\n');
    assert.equal(await proved, 'proved');
    assert.deepEqual([edge.pooledCount, dials.length], [1, 1]);
    clock.advance(32_000);
    assert.equal(edge.pooledCount, 0);
    assert.ok(streams[0]?.destroyed);
  });

  test('asks over a fresh one when it was closed just then', async (t) => {
    const { probe, upstream, dial } = await withIdleStream(t);
    const proved = probe();
    upstream.socket.destroy();
    await answerHead((await dial(1)).grant(), 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    assert.equal(await proved, 'proved');
  });

  test('counts for no limit of its tunnel', async (t) => {
    const { probe, upstream, downstream, dial } = await withIdleStream(t, { requestsPerTunnelMax: 1 });
    const asked = probe();
    await upstream.until((text) => countOf(text, '\r\n\r\n') === 2);
    downstream.socket.write(requestText('GET /meanwhile'));
    await answerHead((await dial(1)).grant(), OK);
    await downstream.until((text) => countOf(text, '200 OK') === 2);
    upstream.socket.write('HTTP/1.1 204 No Content\r\n\r\n');
    assert.equal(await asked, 'proved');
  });
});

describe('a probe of a raw tunnel', () => {
  test('is a stream that stays open for a moment, and is ended in order', async (t) => {
    const { probe, open, dial, clock } = setUp(t);
    const proved = probe(open(RAW));
    const upstream = (await dial(0)).grant();
    await settled();
    clock.advance(LIMITS.probeObservationMs);
    upstream.socket.once('end', () => upstream.socket.end());
    assert.equal(await proved, 'proved');
    assert.deepEqual([upstream.text, upstream.isEnded], ['', true]);
  });

  test('is proved by the first byte, and waits for no goodbye', async (t) => {
    const { probe, open, dial, clock, streams } = setUp(t);
    const proved = probe(open(RAW));
    (await dial(0)).grant().socket.write('220 mail ready\r\n');
    await settled();
    clock.advance(LIMITS.probeObservationMs);
    assert.equal(await proved, 'proved');
    assert.ok(streams[0]?.destroyed);
  });

  test('fails when the stream is closed at once', async (t) => {
    const { probe, open, dial } = setUp(t);
    const closed = probe(open(RAW));
    (await dial(0)).grant().socket.end();
    assert.equal(await closed, 'UPSTREAM_CLOSED');
  });

  test("says in a PROXY header that the connection is the engine's own", async (t) => {
    const { probe, open, dial, clock } = setUp(t);
    const proved = probe(open({ ...RAW, labels: { 'rstream.proxy-protocol': 'v1' } }));
    const upstream = (await dial(0)).grant();
    await upstream.until((text) => text === 'PROXY UNKNOWN\r\n');
    clock.advance(LIMITS.probeObservationMs);
    upstream.socket.end();
    assert.equal(await proved, 'proved');
  });

  test('of datagrams is the dial-back alone', async (t) => {
    const { probe, open, dial } = setUp(t);
    const proved = probe(open({ publish: false, type: 'datagram' }));
    const upstream = (await dial(0)).grant();
    upstream.socket.once('end', () => upstream.socket.end());
    assert.equal(await proved, 'proved');
  });

  test('ends when nobody wants to know any more', async (t) => {
    const { probe, open, dial, stop, streams } = setUp(t);
    const asked = probe(open(RAW));
    (await dial(0)).grant();
    await settled();
    stop.abort();
    assert.equal(await asked, 'REQUEST_ABORTED');
    assert.ok(streams[0]?.destroyed);
  });
});
