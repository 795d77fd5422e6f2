/** What an engine says of its tunnels is what their services prove, over real agents and sockets. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { testCertificates } from '../support/certificates.ts';
import { connectDownstream, fetchThrough } from '../support/downstream.ts';
import {
  type EngineOptions,
  startEngine,
  startHttpUpstream,
  startTcpUpstream,
  type TestEngine,
} from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { logIn } from './ask-admin.ts';
import { HOSTNAME } from './http-upstream.ts';
import { startHttp2Upstream } from './http2-sides.ts';

/** Probes as often as can be set. */
const PROBES = { probes: { interval_seconds: 1, deadline_seconds: 1 } };

const startProbing = (t: TestContext, settings: EngineOptions['settings'] = {}) =>
  startEngine(t, { settings: { ...PROBES, ...settings } });

const truthOf = ({ engine }: TestEngine, tunnelId: string | undefined) =>
  engine.truthLight?.truthOf(tunnelId ?? '');

const becomes = (engine: TestEngine, tunnelId: string | undefined, state: string) =>
  eventually(() => truthOf(engine, tunnelId)?.state === state, `the tunnel is ${state}`);

/** An HTTP server that can leave its port and come back to it. */
const startComingAndGoing = async (t: TestContext) => {
  const requests: IncomingMessage[] = [];
  const port = await freePort();
  let server = createServer();
  const up = async () => {
    server = createServer((request, response) => {
      requests.push(request);
      response.writeHead(503).end('busy');
    });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  const down = async () => {
    server.close();
    server.closeAllConnections();
    if (server.listening) await once(server, 'close');
  };
  t.after(down);
  await up();
  return { port, requests, up, down };
};

describe('an idle HTTP tunnel', () => {
  test('is online while its service answers, suspect and down when it does not, and back by itself', async (t) => {
    const engine = await startProbing(t);
    const upstream = await startComingAndGoing(t);
    const { reply } = await engine.publish(upstream, { hostname: 'web', name: 'shop' });
    await becomes(engine, reply.id, 'online');
    assert.equal(truthOf(engine, reply.id)?.lastProof?.how, 'probe');
    const [asked] = upstream.requests;
    assert.deepEqual([asked?.method, asked?.url, asked?.headers.host], ['HEAD', '/', reply.host]);
    assert.match(String(asked?.headers['user-agent']), /^rstream-engine-ce-probe\//);
    assert.equal(asked?.headers['x-forwarded-for'], undefined);

    await upstream.down();
    await becomes(engine, reply.id, 'suspect');
    await becomes(engine, reply.id, 'down');
    assert.equal(truthOf(engine, reply.id)?.lastFailure?.code, 'DIAL_BACK_REFUSED');
    await upstream.up();
    await becomes(engine, reply.id, 'online');
    const told = engine.log.lines
      .filter(({ message }) => /^tunnel (down|online)/.test(message))
      .map(({ level, fields }) => [level, fields.name, fields.code]);
    assert.deepEqual(told, [
      ['warn', 'shop', 'DIAL_BACK_REFUSED'],
      ['info', 'shop', undefined],
    ]);
  });

  test('whose agent points at a wrong port is seen within seconds', async (t) => {
    const engine = await startProbing(t, { probes: {} });
    const { reply } = await engine.publish({ port: await freePort() }, { hostname: 'web' });
    await eventually(
      () => truthOf(engine, reply.id)?.lastFailure?.code === 'DIAL_BACK_REFUSED',
      'the first probe has failed',
    );
    assert.equal(truthOf(engine, reply.id)?.state, 'suspect');
  });

  test('shows its truth in the Admin API, and not in the Engine API', async (t) => {
    const engine = await startProbing(t, { admin: { enabled: true, listen_addr: '127.0.0.1:0' } });
    const { reply } = await engine.publish(await startComingAndGoing(t), { hostname: 'web' });
    await becomes(engine, reply.id, 'online');
    const { ask } = await logIn(engine, 'owner');
    const [shown] = (await ask('GET', '/tunnels')).body.items;
    assert.deepEqual([shown.status, shown.truth.state, shown.truth.how], ['online', 'online', 'probe']);
    assert.ok(Date.now() - Date.parse(shown.truth.last_proof_at) < 10_000);
    const wrong = await engine.publish({ port: await freePort() }, { hostname: 'wrong' });
    await becomes(engine, wrong.reply.id, 'down');
    const [failing] = (await ask('GET', '/tunnels?q=wrong')).body.items;
    assert.deepEqual([failing.status, failing.truth.state], ['online', 'down']);
    const { code, sentence, at } = failing.truth.last_failure;
    assert.deepEqual([code, typeof at], ['DIAL_BACK_REFUSED', 'string']);
    assert.match(sentence, /could not reach the service/);
  });

  test('leaves no record and no connection of a probe', async (t) => {
    const engine = await startProbing(t);
    const open = new Set<unknown>();
    const upstream = await startHttpUpstream(t, (_request, response) => void response.end('hello'));
    let madeCount = 0;
    upstream.server.on('connection', (socket) => {
      madeCount += 1;
      open.add(socket);
      socket.once('close', () => open.delete(socket));
    });
    await engine.publish(upstream, { hostname: 'web' });
    await eventually(() => madeCount >= 2 && open.size === 0, 'it was asked twice, and nothing is open');
    assert.equal(engine.engine.counts().pooled, 0);
    assert.ok(!engine.log.lines.some(({ message }) => message.startsWith('exchange')));
    assert.deepEqual(engine.engine.records?.search({ limit: 10 }), []);
  });

  for (const how of ['h2c', 'upstream_tls'] as const)
    test(`is asked in the language of its service (${how})`, async (t) => {
      const engine = await startProbing(t);
      const asked: string[] = [];
      let port: number;
      if (how === 'h2c') {
        const upstream = await startHttp2Upstream(t, (stream, headers) => {
          asked.push(`${headers[':method']} ${headers[':path']}`);
          stream.respond({ ':status': 200 }, { endStream: false });
          stream.end('well');
        });
        port = upstream.port;
      } else {
        const { cert, key } = await testCertificates();
        const server = createHttpsServer({ cert, key }, (request, response) => {
          asked.push(`${request.method} ${request.url}`);
          response.end('well');
        });
        server.listen(0, '127.0.0.1');
        await once(server, 'listening');
        t.after(() => {
          server.close();
          server.closeAllConnections();
        });
        port = (server.address() as AddressInfo).port;
      }
      const { reply } = await engine.publish(
        { port },
        {
          hostname: 'web',
          labels: { 'rstream.probe-path': '/health' },
          ...(how === 'h2c' ? { httpVersion: 'h2c' } : { upstreamTls: true }),
        },
      );
      await becomes(engine, reply.id, 'online');
      assert.equal(asked[0], 'GET /health');
      // Over the connection that an exchange has left, too.
      assert.equal((await fetchThrough(engine, HOSTNAME, '/page')).status, 200);
      const count = asked.length;
      await eventually(() => asked.length > count, 'it is asked again');
      await becomes(engine, reply.id, 'online');
    });
});

describe('a tunnel with traffic', () => {
  test('is online by it and not asked: requests, and one long answer', async (t) => {
    const engine = await startProbing(t, { probes: { interval_seconds: 3 } });
    const asked: string[] = [];
    const upstream = await startHttpUpstream(t, (request, response) => {
      asked.push(request.method ?? '');
      if (request.url !== '/events') return void response.end('hello');
      const timer = setInterval(() => response.write('data: x\n\n'), 20);
      response.once('close', () => clearInterval(timer));
    });
    const { reply } = await engine.publish(upstream, { hostname: 'web' });
    await fetchThrough(engine, HOSTNAME, '/');
    await becomes(engine, reply.id, 'online');
    assert.equal(truthOf(engine, reply.id)?.lastProof?.how, 'traffic');
    asked.length = 0;

    const socket = await connectDownstream(engine, HOSTNAME);
    socket.write(`GET /events HTTP/1.1\r\nHost: ${HOSTNAME}\r\n\r\n`);
    const beganAt = Date.now();
    socket.resume();
    await eventually(
      () => (truthOf(engine, reply.id)?.lastProof?.at ?? 0) > beganAt + 3_200,
      'bytes of one answer prove it for longer than an interval',
    );
    assert.deepEqual(asked, ['GET']);
    socket.destroy();
  });

  test('is online by the bytes of a raw stream', async (t) => {
    const port = await freePort();
    const tcp = { enabled: true, listen_host: '127.0.0.1', port_range: `${port}-${port}` };
    const engine = await startProbing(t, { tcp, probes: { interval_seconds: 3_600 } });
    const upstream = await startTcpUpstream(t, (socket) => void socket.pipe(socket));
    const { reply } = await engine.publish(upstream, { protocol: 'tcp' });
    const downstream = connect({ host: '127.0.0.1', port });
    downstream.on('error', () => {});
    t.after(() => downstream.destroy());
    downstream.write('ping');
    await once(downstream, 'data');
    const { lastProof, state } = truthOf(engine, reply.id) ?? {};
    assert.deepEqual([lastProof?.how, state], ['traffic', 'online']);
  });
});

describe('a raw tunnel', () => {
  test('is online while its service takes connections, and down when it closes them at once', async (t) => {
    const port = await freePort();
    const tcp = { enabled: true, listen_host: '127.0.0.1', port_range: `${port}-${port}` };
    const engine = await startProbing(t, { tcp });
    let isWell = true;
    const ends: string[] = [];
    const upstream = await startTcpUpstream(t, (socket) => {
      if (!isWell) return void socket.end();
      socket.once('end', () => {
        ends.push('in order');
        socket.end();
      });
      socket.once('error', () => ends.push('by a reset')).resume();
    });
    const { reply } = await engine.publish(upstream, { protocol: 'tcp' });
    await becomes(engine, reply.id, 'online');
    assert.equal(ends[0], 'in order');
    isWell = false;
    await becomes(engine, reply.id, 'down');
    assert.equal(truthOf(engine, reply.id)?.lastFailure?.code, 'UPSTREAM_CLOSED');
  });

  test('of an agent that stalls its dial-backs is suspect, and it is said whose fault it is', async (t) => {
    const engine = await startProbing(t);
    const agent = await engine.connectAgent();
    const { id } = await agent.openTunnel({ name: 'quiet', publish: false });
    const request = await agent.next('dial-request');
    assert.equal(request.sourceIp, undefined);
    await eventually(
      () => truthOf(engine, id)?.lastFailure?.code === 'DIAL_BACK_TIMEOUT',
      'the agent had its time',
    );
    assert.equal(truthOf(engine, id)?.state, 'suspect');
  });
});

test('an engine that does not probe claims nothing', async (t) => {
  const engine = await startEngine(t, { settings: { probes: { enabled: false } } });
  assert.equal(engine.engine.truthLight, undefined);
});

test('an engine that stops calls its probes off', async (t) => {
  const engine = await startProbing(t);
  const agent = await engine.connectAgent();
  await agent.openTunnel({ name: 'quiet', publish: false });
  await agent.next('dial-request');
  assert.equal(engine.engine.counts().probes, 1);
  await engine.stop();
});
