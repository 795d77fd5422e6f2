/** Published TLS tunnels: bytes by server name, terminated or passed through (protocol.md 6.4, 7.7, 8.2). */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { testCertificates } from '../support/certificates.ts';
import { connectDownstream, fetchThrough } from '../support/downstream.ts';
import { startEngine, startHttpUpstream, startTcpUpstream, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { readToEnd } from '../support/read-to-end.ts';
import { connectHttp2 } from './http2-sides.ts';

const HOSTNAME = 'raw.t.localhost';
const TERMINATED = { protocol: 'tls', hostname: 'raw', tlsAlpns: ['echo/1'] };
const PASSED = { protocol: 'tls', hostname: 'raw', tlsMode: 'passthrough' };

const startEcho = (t: TestContext) => startTcpUpstream(t, (socket) => void socket.pipe(socket));

/** A TLS server of an upstream's own, that says what was agreed on and then echoes. */
const startTlsEcho = async (t: TestContext, protocols: string[]): Promise<{ port: number }> => {
  const { cert, key } = await testCertificates();
  const options = { cert, key, ALPNProtocols: protocols, allowHalfOpen: true };
  const server = createTlsServer(options, (socket) => {
    socket.on('error', () => {});
    socket.write(`${socket.alpnProtocol || 'none'} `);
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return server.address() as AddressInfo;
};

const connect = async (t: TestContext, engine: TestEngine, alpn = ['echo/1']): Promise<TLSSocket> => {
  const socket = await connectDownstream(engine, HOSTNAME, { alpn, allowHalfOpen: true });
  socket.on('error', () => {});
  t.after(() => socket.destroy());
  return socket;
};

const echoOf = async (socket: TLSSocket, text: string): Promise<string> => {
  socket.end(text);
  return String(await readToEnd(socket));
};

describe('a terminated TLS tunnel', () => {
  test('carries the bytes inside, and its reply names protocol, mode and port', async (t) => {
    const engine = await startEngine(t);
    const { reply } = await engine.publish(await startEcho(t), TERMINATED);
    assert.deepEqual(
      [reply.hostname, reply.port, reply.protocol, reply.tlsMode, reply.type],
      [HOSTNAME, engine.port, 'tls', 'terminated', 'bytestream'],
    );
    const socket = await connect(t, engine);
    assert.equal(socket.alpnProtocol, 'echo/1');
    assert.equal(await echoOf(socket, 'inside'), 'inside');
  });

  test('delivers the reply that comes after the end of what the downstream has said, whole', async (t) => {
    const engine = await startEngine(t);
    const reply = Buffer.alloc(2_000_000, 'reply-after-eof ');
    const upstream = await startTcpUpstream(t, (socket) =>
      socket.resume().on('end', () => socket.end(reply)),
    );
    await engine.publish(upstream, TERMINATED);
    const socket = await connect(t, engine);
    socket.end('ping-stream');
    assert.ok((await readToEnd(socket)).equals(reply));
  });

  test('is encrypted again towards an upstream that speaks TLS, with the protocol of the downstream', async (t) => {
    const engine = await startEngine(t);
    const upstream = await startTlsEcho(t, ['echo/2', 'echo/1']);
    await engine.publish(upstream, { ...TERMINATED, upstreamTls: true, tlsAlpns: ['echo/1', 'echo/2'] });
    assert.equal(await echoOf(await connect(t, engine), 'x'), 'echo/1 x');
    assert.equal(await echoOf(await connect(t, engine, ['echo/2']), 'x'), 'echo/2 x');
  });

  test('ends its downstream when its agent has gone', async (t) => {
    const engine = await startEngine(t);
    const agent = await engine.connectAgent();
    await agent.openTunnel(TERMINATED);
    const socket = await connect(t, engine);
    await agent.next('dial-request');
    agent.kill();
    await readToEnd(socket).catch(() => {});
    const told = engine.log.withCode('AGENT_GONE').filter(({ fields }) => fields.hostname === HOSTNAME);
    assert.equal(told.length, 1);
  });

  test('closes on who may not reach it before its agent hears of anything', async (t) => {
    const engine = await startEngine(t);
    const agent = await engine.connectAgent();
    await agent.openTunnel({ ...TERMINATED, trustedIps: ['192.0.2.0/24'] });
    const socket = await connect(t, engine);
    assert.equal(String(await readToEnd(socket).catch(() => '')), '');
    await eventually(() => engine.log.withCode('ADDRESS_FORBIDDEN').length === 1, 'it is in the log');
    assert.deepEqual(agent.unread, []);
  });

  test('is not asked for over an HTTP/2 connection to another tunnel: 421', async (t) => {
    const engine = await startEngine(t);
    await engine.publish(await startEcho(t), TERMINATED);
    const web = await startHttpUpstream(t, (_request, response) => response.end('web'));
    await engine.publish(web, { hostname: 'web' });
    const session = await connectHttp2(t, engine, 'web.t.localhost');
    const stream = session.request({ ':authority': HOSTNAME, ':path': '/' });
    const [headers] = (await once(stream.resume(), 'response')) as [Record<string, unknown>];
    assert.equal(headers[':status'], 421);
  });
});

describe('a TLS tunnel that is passed through', () => {
  test('lets the upstream end TLS itself: its certificate and its protocol reach the downstream', async (t) => {
    const engine = await startEngine(t);
    const { ca } = await testCertificates();
    await engine.publish(await startTlsEcho(t, ['own/1']), PASSED);
    const socket = await connect(t, { ...engine, ca }, ['own/1']);
    assert.equal(await echoOf(socket, 'sealed'), 'own/1 sealed');
  });

  test('never shows the engine any of its bytes, and carries a ClientHello of any size', async (t) => {
    const engine = await startEngine(t);
    const heard: Buffer[] = [];
    const upstream = await startTcpUpstream(t, (socket) => socket.on('data', (chunk) => heard.push(chunk)));
    await engine.publish(upstream, PASSED);
    const alpn = Array.from({ length: 30 }, (_, i) => `${i}-${'a'.repeat(100)}`);
    connectDownstream(engine, HOSTNAME, { alpn }).catch(() => {});
    await eventually(() => Buffer.concat(heard).length > 3_000, 'the ClientHello reaches the upstream');
    assert.equal(heard[0]?.[0], 22, 'a handshake record comes first');
    assert.ok(Buffer.concat(heard).includes(HOSTNAME));
  });

  test('resets its downstream when its agent refuses', async (t) => {
    const engine = await startEngine(t);
    const agent = await engine.connectAgent();
    await agent.openTunnel(PASSED);
    const connecting = assert.rejects(connectDownstream(engine, HOSTNAME));
    const { streamId } = await agent.next('dial-request');
    agent.send({ kind: 'dial-result', streamId, error: { code: 4000, message: 'no' } });
    await connecting;
  });
});

test('a name that passes from HTTP to TLS is served as what it is now', async (t) => {
  const engine = await startEngine(t);
  const web = await startHttpUpstream(t, (_request, response) => response.end('web'));
  const { agent } = await engine.publish(web, { hostname: 'raw' });
  assert.equal((await fetchThrough(engine, HOSTNAME, '/')).body, 'web');
  await agent.stop();
  await eventually(() => engine.engine.counts().tunnels === 0, 'the first one is closed');
  await engine.publish(await startEcho(t), TERMINATED);
  assert.equal(await echoOf(await connect(t, engine), 'raw'), 'raw');
});
