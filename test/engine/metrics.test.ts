/** A scrape of a whole engine tells what really went through it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { METRICS, type MetricRow } from '../../src/base/metrics.ts';
import { configFromObject } from '../../src/config/load.ts';
import { connectDownstream, fetchThrough } from '../support/downstream.ts';
import { startEngine, startHttpUpstream, startTcpUpstream, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { readToEnd } from '../support/read-to-end.ts';
import { HOSTNAME } from './http-upstream.ts';

type Settings = Readonly<Record<string, unknown>>;

const METERED: Settings = { metrics: { prometheus: { enabled: true, listen_addr: '127.0.0.1:0' } } };

const addressOf = ({ log }: TestEngine): string => {
  const { address, port, path } = log.lines.find(({ message }) => message === 'metrics ready')?.fields ?? {};
  return `http://${address}:${port}${path}`;
};

/** Every sample of a scrape by its name and labels. */
const scrape = async (engine: TestEngine, init: RequestInit = {}): Promise<ReadonlyMap<string, number>> => {
  const answer = await fetch(addressOf(engine), init);
  assert.equal(answer.status, 200);
  const lines = (await answer.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [
      line.slice(0, line.lastIndexOf(' ')),
      Number(line.slice(line.lastIndexOf(' ') + 1)),
    ]),
  );
};

const startWeb = async (t: TestContext) => {
  const engine = await startEngine(t, { settings: METERED });
  const upstream = await startHttpUpstream(t, (request, response) => {
    request.resume();
    if (request.url === '/broken') request.socket.destroy();
    else
      request.on('end', () =>
        response.writeHead(request.url === '/missing' ? 404 : 200, { 'content-length': 5 }).end('12345'),
      );
  });
  await engine.publish(upstream, { hostname: 'web' });
  return engine;
};

describe('after some traffic', () => {
  test('requests are counted by outcome, blame, status and size', async (t) => {
    const engine = await startWeb(t);
    for (let turn = 0; turn < 3; turn += 1)
      await fetchThrough(engine, HOSTNAME, '/', { method: 'POST', body: '123' });
    await fetchThrough(engine, HOSTNAME, '/missing');
    await fetchThrough(engine, HOSTNAME, '/broken');
    await fetchThrough(engine, HOSTNAME, '/', { headers: { host: 'other.t.localhost' } });
    const samples = await scrape(engine);
    const expected = {
      'rstream_engine_exchanges_total{kind="exchange",outcome="ok",source="none"}': 4,
      'rstream_engine_exchanges_total{kind="exchange",outcome="failed",source="upstream"}': 1,
      'rstream_engine_exchanges_total{kind="exchange",outcome="failed",source="downstream"}': 1,
      'rstream_engine_refusals_total{door="edge",code="UPSTREAM_CLOSED"}': 1,
      'rstream_engine_refusals_total{door="edge",code="HOST_UNKNOWN"}': 1,
      'rstream_engine_exchange_seconds_count{protocol="http",status="2xx"}': 3,
      'rstream_engine_exchange_seconds_count{protocol="http",status="4xx"}': 1,
      'rstream_engine_exchange_seconds_count{protocol="http",status="5xx"}': 1,
      'rstream_engine_exchange_seconds_count{protocol="none",status="4xx"}': 1,
      'rstream_engine_request_bytes_sum{protocol="http",status="2xx"}': 9,
      'rstream_engine_response_bytes_sum{protocol="http",status="2xx"}': 15,
      'rstream_engine_bytes_total{protocol="http",direction="to_upstream"}': 9,
      'rstream_engine_bytes_total{protocol="http",direction="to_downstream"}': 20,
      'rstream_engine_tunnels{protocol="http",access="published"}': 1,
      rstream_engine_sessions: 1,
      rstream_engine_agents: 1,
      rstream_engine_dials: 0,
      'rstream_engine_auth_total{proof="token",result="ok"}': 1,
    };
    assert.deepEqual(
      Object.fromEntries(Object.keys(expected).map((key) => [key, samples.get(key)])),
      expected,
    );
    assert.ok((samples.get('rstream_engine_dial_seconds_count{outcome="answered"}') ?? 0) >= 1);
    assert.ok((samples.get('rstream_engine_memory_bytes{kind="resident"}') ?? 0) > 1e7);
    assert.ok((samples.get('rstream_engine_database_bytes{database="credentials"}') ?? 0) > 0);
  });

  test('every label has a value of its closed set', async (t) => {
    const engine = await startWeb(t);
    await fetchThrough(engine, HOSTNAME, '/');
    for (const series of (await scrape(engine)).keys()) {
      const [, name = '', labels = ''] = /^(\w+)(?:\{(.*)\})?$/.exec(series) ?? [];
      const rows: Readonly<Record<string, MetricRow>> = METRICS;
      const row = rows[name] ?? rows[name.replace(/_(?:bucket|sum|count)$/, '')];
      assert.ok(row, name);
      for (const [, label = '', value = ''] of labels.matchAll(/(\w+)="([^"]*)"/g))
        assert.ok(label === 'le' || row.labels[label]?.includes(value), series);
    }
  });

  test('handshakes, refused hellos and wrong proofs are counted', async (t) => {
    const engine = await startWeb(t);
    const before = await scrape(engine);
    const downstream = await connectDownstream(engine, HOSTNAME, { maxVersion: 'TLSv1.2' });
    downstream.destroy();
    await assert.rejects(connectDownstream(engine, 'nobody.t.localhost'));
    await assert.rejects(engine.connectAgent({ token: 'wrong' }));
    const after = await scrape(engine);
    const grown = (series: string) => (after.get(series) ?? 0) - (before.get(series) ?? 0);
    assert.equal(grown('rstream_engine_handshakes_total{version="TLSv1.2",post_quantum="not_offered"}'), 1);
    assert.equal(grown('rstream_engine_refusals_total{door="listener",code="SERVER_NAME_UNKNOWN"}'), 1);
    assert.equal(grown('rstream_engine_refusals_total{door="agents",code="TOKEN_INVALID"}'), 1);
    assert.equal(grown('rstream_engine_auth_total{proof="token",result="TOKEN_INVALID"}'), 1);
  });

  test('raw streams are counted when they are over', async (t) => {
    const tcp = { enabled: true, listen_host: '127.0.0.1' };
    const engine = await startEngine(t, { settings: { ...METERED, tcp } });
    const { reply } = await engine.publish(await startTcpUpstream(t, (socket) => void socket.pipe(socket)), {
      protocol: 'tcp',
    });
    const socket = connect({ host: '127.0.0.1', port: reply.port ?? 0, allowHalfOpen: true });
    socket.end('over tcp');
    await readToEnd(socket);
    await eventually(() => engine.engine.counts().downstreams === 0, 'it is over');
    const samples = await scrape(engine);
    assert.equal(samples.get('rstream_engine_exchanges_total{kind="stream",outcome="ok",source="none"}'), 1);
    assert.equal(samples.get('rstream_engine_bytes_total{protocol="tcp",direction="to_upstream"}'), 8);
    assert.equal(samples.get('rstream_engine_tunnels{protocol="tcp",access="published"}'), 1);
  });
});

describe('the listener', () => {
  test('is not there by default', async (t) => {
    const engine = await startEngine(t);
    assert.equal(
      engine.log.lines.some(({ message }) => message === 'metrics ready'),
      false,
    );
  });

  test('asks for the token that is configured', async (t) => {
    const prometheus = {
      enabled: true,
      listen_addr: '127.0.0.1:0',
      path: 'internal',
      bearer_token: 'scrape-me',
    };
    const engine = await startEngine(t, { settings: { metrics: { prometheus } } });
    assert.match(addressOf(engine), /\/internal$/);
    assert.equal((await fetch(addressOf(engine))).status, 401);
    await scrape(engine, { headers: { authorization: 'Bearer scrape-me' } });
    assert.doesNotMatch(JSON.stringify(engine.log.lines), /scrape-me/);
  });

  test('off loopback is refused without a token', () => {
    const settings = {
      engine: { host: 'localhost' },
      certs: { static: { cert_file: 'c', key_file: 'k' } },
      metrics: { prometheus: { enabled: true, listen_addr: '0.0.0.0:9090' } },
    };
    assert.throws(() => configFromObject(settings, { dir: '/' }), {
      code: 'CONFIG_INVALID',
      message: /bearer_token/,
    });
  });

  test('on a port that is in use ends the start with a sentence that names its setting', async (t) => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    t.after(() => taken.close());
    const { port } = taken.address() as { port: number };
    const prometheus = { enabled: true, listen_addr: `127.0.0.1:${port}` };
    await assert.rejects(startEngine(t, { settings: { metrics: { prometheus } } }), {
      code: 'ADDRESS_IN_USE',
      message: `The address 127.0.0.1:${port} of metrics.prometheus.listen_addr is in use by another program.`,
    });
  });
});
