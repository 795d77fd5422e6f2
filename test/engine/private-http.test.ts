/** Private tunnels whose protocol the engine knows: it parses HTTP and does TLS, as for published ones (protocol.md 7.2, 7.7). */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { describe, type TestContext, test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { testCertificates } from '../support/certificates.ts';
import { startEngine, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { privateDial } from '../support/fake-agent.ts';
import { readToEnd } from '../support/read-to-end.ts';
import { answerOf, startUpstream, UPSTREAM_VERSIONS } from './http2-sides.ts';

const dial = async (
  t: TestContext,
  { port, ca, createToken }: TestEngine,
  zeroRtt = false,
): Promise<Duplex> => {
  const token = await createToken(`dialer-${zeroRtt}`);
  const stream = await privateDial({ port, ca, target: 'web', token, zeroRtt });
  t.after(() => stream.destroy());
  return stream;
};

const speakHttp2 = (t: TestContext, stream: Duplex): ClientHttp2Session => {
  const session = connectHttp2('http://web', { createConnection: () => stream });
  session.on('error', () => {});
  t.after(() => session.destroy());
  return session;
};

for (const version of UPSTREAM_VERSIONS)
  describe(`a private tunnel with protocol http and an upstream of ${version}`, () => {
    const start = async (t: TestContext) => {
      const upstream = await startUpstream(t, version, (request, response) => {
        const { host, ':authority': authority, 'x-forwarded-for': from } = request.headers;
        response.end(`${request.httpVersion} ${request.url} ${authority ?? host} ${from}`);
      });
      const engine = await startEngine(t);
      await engine.publish(upstream, { publish: false, name: 'web', protocol: 'http', httpVersion: version });
      return engine;
    };
    const spoken = version === 'h2c' ? '2.0' : '1.1';

    for (const zeroRtt of [false, true])
      test(`answers a dialer of HTTP/1.1, ${zeroRtt ? 'with' : 'without'} zero-RTT`, async (t) => {
        const stream = await dial(t, await start(t), zeroRtt);
        stream.write('GET /a/ HTTP/1.1\r\nHost: any.name:1\r\nConnection: close\r\n\r\n');
        const answer = String(await readToEnd(stream));
        assert.match(answer, /^HTTP\/1.1 200 OK\r\n/);
        assert.ok(answer.includes(`${spoken} /a/ any.name:1 127.0.0.1`), answer);
      });

    test('answers many requests of one dialer of HTTP/2', async (t) => {
      const session = speakHttp2(t, await dial(t, await start(t)));
      const paths = ['/1', '/2', '/3'];
      const answers = await Promise.all(
        paths.map((path) => answerOf(session.request({ ':path': path, ':authority': 'any.name' }))),
      );
      assert.deepEqual(
        answers.map(({ status, body }) => [status, String(body)]),
        paths.map((path) => [200, `${spoken} ${path} any.name 127.0.0.1`]),
      );
    });
  });

describe('a private tunnel with protocol http', () => {
  test('answers 503 when its agent has gone', async (t) => {
    const engine = await startEngine(t);
    const agent = await engine.connectAgent();
    await agent.openTunnel({ publish: false, name: 'web', protocol: 'http' });
    const stream = await dial(t, engine);
    agent.kill();
    await eventually(() => engine.engine.counts().tunnels === 0, 'the tunnel is gone');
    stream.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    assert.match(String(await readToEnd(stream)), /^HTTP\/1.1 503 /);
  });

  test('refuses what is no HTTP', async (t) => {
    const engine = await startEngine(t);
    const agent = await engine.connectAgent();
    await agent.openTunnel({ publish: false, name: 'web', protocol: 'http' });
    const stream = await dial(t, engine);
    stream.write('PRIVATE nonsense\r\n\r\n');
    assert.match(String(await readToEnd(stream)), /^HTTP\/1.1 400 /);
  });

  test('leaves nothing of a dialer that says nothing and goes', async (t) => {
    const engine = await startEngine(t);
    const agent = await engine.connectAgent();
    await agent.openTunnel({ publish: false, name: 'web', protocol: 'http' });
    const stream = await dial(t, engine);
    await eventually(() => engine.engine.counts().downstreams === 1, 'the edge has it');
    stream.destroy();
    await eventually(() => engine.engine.counts().downstreams === 0, 'and has it no more');
  });
});

test('a private bytestream with upstream_tls is encrypted towards its upstream', async (t) => {
  const { cert, key } = await testCertificates();
  const server = createTlsServer({ cert, key, ALPNProtocols: ['echo/1'] }, (socket) => {
    socket.on('error', () => {});
    socket.write(`${socket.alpnProtocol} `);
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const engine = await startEngine(t);
  await engine.publish(server.address() as AddressInfo, {
    publish: false,
    name: 'web',
    upstreamTls: true,
    tlsAlpns: ['echo/1'],
  });
  const stream = await dial(t, engine);
  stream.end('hello');
  assert.equal(String(await readToEnd(stream)), 'echo/1 hello');
});
