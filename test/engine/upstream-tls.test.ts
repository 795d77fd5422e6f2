/** Upstreams that speak TLS: the engine is their client, inside the agent's stream (protocol.md 7.7). */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { RequestListener, Server } from 'node:http';
import { createServer as createHttp2Server, createSecureServer } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { WebSocketServer } from 'ws';
import { testCertificates } from '../support/certificates.ts';
import { fetchThrough } from '../support/downstream.ts';
import { startEngine, startHttpUpstream, startTcpUpstream } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { HOSTNAME } from './http-upstream.ts';
import { openHttp2, openSocket, publishAs, responseOf } from './switch-ends.ts';

const TLS = { upstreamTls: true };

/** A server with a certificate that nobody knows, and how many TLS connections it got. */
const startTlsUpstream = async (t: TestContext, version: 'h1' | 'h2', onRequest: RequestListener) => {
  const { cert, key } = await testCertificates();
  const server = (
    version === 'h1'
      ? createHttpsServer({ cert, key }, onRequest)
      : createSecureServer({ cert, key, allowHTTP1: true }, onRequest as never)
  ) as Server;
  const connections = new Set<{ destroy(): void }>();
  let connectionCount = 0;
  server.on('secureConnection', (socket: { destroy(): void }) => {
    connectionCount += 1;
    connections.add(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const connection of connections) connection.destroy();
  });
  const { port } = server.address() as AddressInfo;
  return { port, server, connectionCount: () => connectionCount };
};

const versionEcho: RequestListener = (request, response) => {
  const host = request.headers[':authority' as 'host'] ?? request.headers.host;
  response.end(`${request.httpVersion} ${request.url} ${host}`);
};

describe('a tunnel with upstream_tls', () => {
  for (const [version, expected] of [
    ['h1', '1.1'],
    ['h2', '2.0'],
  ] as const)
    test(`speaks what ALPN chose (${version}), over as few connections as it can`, async (t) => {
      const upstream = await startTlsUpstream(t, version, versionEcho);
      const engine = await publishAs(t, upstream, 'h1', TLS);
      for (let count = 0; count < 5; count += 1) {
        const { body, status } = await fetchThrough(engine, HOSTNAME, `/${count}`);
        assert.deepEqual([status, body], [200, `${expected} /${count} ${HOSTNAME}:${engine.port}`]);
      }
      assert.equal(upstream.connectionCount(), 1);
      const session = await openHttp2(t, engine);
      const request = session.request({ ':path': '/h2', ':authority': HOSTNAME });
      assert.equal((await responseOf(request))[':status'], 200);
      assert.equal(String(await once(request, 'data')), `${expected} /h2 ${HOSTNAME}`);
      assert.equal(upstream.connectionCount(), 1);
    });

  test('speaks HTTP/1.1 to an upstream that knows no ALPN', async (t) => {
    const { cert, key } = await testCertificates();
    const server = createTlsServer({ cert, key }, (socket) =>
      socket.on('error', () => {}).once('data', () => socket.end('HTTP/1.0 200 OK\r\n\r\nold')),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const engine = await publishAs(t, server.address() as AddressInfo, 'h1', TLS);
    assert.equal((await fetchThrough(engine, HOSTNAME, '/')).body, 'old');
  });

  test('is what http_use_tls asks for too, and the reply says both', async (t) => {
    const upstream = await startTlsUpstream(t, 'h1', versionEcho);
    const engine = await startEngine(t);
    const { reply } = await engine.publish(upstream, { hostname: 'web', httpUseTls: true });
    assert.deepEqual([reply.upstreamTls, reply.httpUseTls, reply.httpVersion], [true, true, undefined]);
    assert.equal((await fetchThrough(engine, HOSTNAME, '/')).status, 200);
  });

  for (const version of ['h1', 'h2'] as const)
    test(`carries WebSockets to an upstream that would choose ${version}`, async (t) => {
      const upstream = await startTlsUpstream(t, version, versionEcho);
      const sockets = new WebSocketServer({ server: upstream.server });
      sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(data)));
      t.after(() => {
        for (const socket of sockets.clients) socket.terminate();
      });
      const engine = await publishAs(t, upstream, 'h1', TLS);
      for (const down of ['h1', 'h2'] as const) {
        const { socket } = await openSocket(t, engine, down);
        socket.send('hello');
        assert.equal(String((await once(socket, 'message'))[0]), 'hello');
        socket.close();
        await once(socket, 'close');
      }
    });

  test('refuses a certificate that cannot be verified when upstream.verify is on', async (t) => {
    const upstream = await startTlsUpstream(t, 'h1', versionEcho);
    const engine = await publishAs(t, upstream, 'h1', { ...TLS, settings: { upstream: { verify: true } } });
    const { status, headers } = await fetchThrough(engine, HOSTNAME, '/');
    assert.deepEqual([status, headers['rstream-error']], [502, 'UPSTREAM_TLS_FAILED']);
  });

  test('says at once that an upstream speaks plain HTTP', async (t) => {
    const upstream = await startHttpUpstream(t, (_request, response) => response.end());
    const engine = await publishAs(t, upstream, 'h1', TLS);
    const startMs = performance.now();
    const { status, headers } = await fetchThrough(engine, HOSTNAME, '/');
    assert.deepEqual([status, headers['rstream-error']], [502, 'UPSTREAM_TLS_FAILED']);
    assert.ok(performance.now() - startMs < 5_000, 'not by a deadline');
  });

  test('is told when the agent goes in the middle of a handshake', async (t) => {
    let hasBegun = false;
    const silent = await startTcpUpstream(t, (socket) => {
      socket.once('data', () => {
        hasBegun = true;
      });
    });
    const engine = await startEngine(t);
    const { agent } = await engine.publish(silent, { hostname: 'web', ...TLS });
    const answer = fetchThrough(engine, HOSTNAME, '/');
    await eventually(() => hasBegun, 'the handshake has begun');
    await agent.stop();
    const { status } = await answer;
    assert.ok(status === 502 || status === 503, `${status}`);
    await eventually(() => engine.engine.counts().pooled === 0, 'nothing waits');
  });

  test('gives up the handshake when the downstream leaves', async (t) => {
    let isOpen = false;
    const silent = await startTcpUpstream(t, (socket) => {
      socket.once('data', () => {
        isOpen = true;
      });
      socket
        .once('end', () => socket.end())
        .once('close', () => {
          isOpen = false;
        });
    });
    const engine = await publishAs(t, silent, 'h1', TLS);
    const session = await openHttp2(t, engine);
    const request = session.request({ ':path': '/', ':authority': HOSTNAME });
    request.on('error', () => {});
    await eventually(() => isOpen, 'the handshake has begun');
    session.destroy();
    await eventually(() => !isOpen, 'the stream is gone');
  });
});

test('a plain upstream is asked in HTTP/2 with http_version h2c or h2, and the reply echoes it', async (t) => {
  const server = createHttp2Server((request, response) => response.end(request.httpVersion));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const engine = await startEngine(t);
  for (const httpVersion of ['h2c', 'h2']) {
    const upstream = server.address() as AddressInfo;
    const { reply } = await engine.publish(upstream, { hostname: httpVersion, httpVersion });
    assert.equal(reply.httpVersion, httpVersion);
    assert.equal((await fetchThrough(engine, `${httpVersion}.t.localhost`, '/')).body, '2.0');
  }
});
