/** Published TCP tunnels: a port of the engine is a port of the upstream (protocol.md 6.4, 7.4, 7.6). */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { startEngine, startTcpUpstream, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import type { FakeRefusal } from '../support/fake-agent.ts';
import { freePort } from '../support/free-port.ts';
import { readToEnd } from '../support/read-to-end.ts';

const TCP = { protocol: 'tcp' };

/** An engine that publishes TCP on these ports; by default on one that was free. */
const startTcpEngine = async (
  t: TestContext,
  settings: Readonly<Record<string, unknown>> = {},
  range?: string,
): Promise<{ engine: TestEngine; port: number }> => {
  const port = await freePort();
  const tcp = { enabled: true, listen_host: '127.0.0.1', port_range: range ?? `${port}-${port}` };
  return { engine: await startEngine(t, { settings: { tcp, ...settings } }), port };
};

const connectTcp = async (t: TestContext, port: number): Promise<Socket> => {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  socket.on('error', () => {});
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
};

const startEcho = (t: TestContext) => startTcpUpstream(t, (socket) => void socket.pipe(socket));

/** The code of the error that ends a connection. */
const endOf = async (socket: Socket): Promise<string | undefined> => {
  const [error] = (await once(socket.resume(), 'error')) as [NodeJS.ErrnoException];
  return error.code;
};

const refusalOf = async (opening: Promise<unknown>): Promise<[number, string]> => {
  const refusal = await opening.then(
    () => assert.fail('it was opened'),
    (error: FakeRefusal) => error,
  );
  return [refusal.code, refusal.message];
};

describe('a published TCP tunnel', () => {
  test('is told its hostname and port, and carries bytes both ways', async (t) => {
    const { engine, port } = await startTcpEngine(t);
    const { reply } = await engine.publish(await startEcho(t), TCP);
    assert.deepEqual(
      [reply.hostname, reply.port, reply.host, reply.protocol, reply.type, reply.publish],
      ['localhost', port, `localhost:${port}`, 'tcp', 'bytestream', true],
    );
    const socket = await connectTcp(t, port);
    socket.end('over tcp');
    assert.equal(String(await readToEnd(socket)), 'over tcp');
  });

  test('delivers the reply that comes after the end of what the downstream has said, whole', async (t) => {
    const { engine, port } = await startTcpEngine(t);
    const reply = Buffer.alloc(2_000_000, 'reply-after-eof ');
    const upstream = await startTcpUpstream(t, (socket) =>
      socket.resume().on('end', () => socket.end(reply)),
    );
    await engine.publish(upstream, TCP);
    const socket = await connectTcp(t, port);
    socket.end('ping-stream');
    assert.ok((await readToEnd(socket)).equals(reply));
  });

  test('tells the agent the address of the downstream', async (t) => {
    const { engine, port } = await startTcpEngine(t);
    const agent = await engine.connectAgent();
    await agent.openTunnel(TCP);
    const socket = await connectTcp(t, port);
    const request = await agent.next('dial-request');
    assert.deepEqual([...(request.sourceIp ?? [])], [127, 0, 0, 1]);
    const stream = await agent.answerDial(request);
    stream.write('hello');
    assert.equal(String((await once(socket, 'data'))[0]), 'hello');
  });

  test('that asks for no port gets a free one of the range', async (t) => {
    const first = await freePort();
    const blocker = createServer().listen(first, '127.0.0.1');
    await once(blocker, 'listening');
    t.after(() => blocker.close());
    const { engine } = await startTcpEngine(t, {}, `${first}-${Math.min(first + 50, 65_535)}`);
    const ports = [];
    for (let count = 0; count < 3; count += 1)
      ports.push((await engine.publish(await startEcho(t), TCP)).reply.port);
    assert.equal(new Set([first, ...ports]).size, 4);
  });

  test('is refused at once when it has closed', async (t) => {
    const { engine, port } = await startTcpEngine(t);
    const agent = await engine.connectAgent();
    const { id = '' } = await agent.openTunnel(TCP);
    agent.send({ kind: 'close-tunnel', tunnelId: id });
    await agent.next('tunnel-closed');
    const socket = connect(port, '127.0.0.1');
    assert.equal(await endOf(socket), 'ECONNREFUSED');
    await agent.openTunnel({ ...TCP, port });
  });

  test('resets the connections that wait when its agent is lost, and refuses new ones', async (t) => {
    const { engine, port } = await startTcpEngine(t);
    const agent = await engine.connectAgent();
    await agent.openTunnel(TCP);
    const waiting = await connectTcp(t, port);
    await agent.next('dial-request');
    agent.kill();
    assert.equal(await endOf(waiting), 'ECONNRESET');
    await eventually(() => engine.engine.counts().ports === 0, 'the port is free');
    assert.equal(await endOf(connect(port, '127.0.0.1')), 'ECONNREFUSED');
  });

  test('lets running streams go on when the control channel of its agent is lost', async (t) => {
    const { engine, port } = await startTcpEngine(t);
    const agent = await engine.connectAgent();
    await agent.openTunnel(TCP);
    const socket = await connectTcp(t, port);
    const stream = await agent.answerDial(await agent.next('dial-request'));
    // A stream runs when its first byte has come through; until then it may end with its dial request.
    socket.write('hello');
    await once(stream, 'data');
    agent.kill();
    await eventually(() => engine.engine.counts().tunnels === 0, 'the tunnel is gone');
    socket.write('still here');
    assert.equal(String((await once(stream, 'data'))[0]), 'still here');
  });

  test('resets who may not reach it, and its agent hears nothing of them', async (t) => {
    const { engine, port } = await startTcpEngine(t);
    const agent = await engine.connectAgent();
    await agent.openTunnel({ ...TCP, trustedIps: ['192.0.2.0/24'] });
    assert.equal(await endOf(connect(port, '127.0.0.1')), 'ECONNRESET');
    await eventually(() => engine.log.withCode('ADDRESS_FORBIDDEN').length === 1, 'it is in the log');
    assert.deepEqual(agent.unread, []);
  });

  test('tells the upstream for whom it connects, where its label asks for that', async (t) => {
    const { engine, port } = await startTcpEngine(t);
    await engine.publish(await startEcho(t), { ...TCP, labels: { 'rstream.proxy-protocol': 'v1' } });
    const socket = await connectTcp(t, port);
    socket.end('and then the bytes');
    const { localPort } = socket;
    assert.equal(
      String(await readToEnd(socket)),
      `PROXY TCP4 127.0.0.1 127.0.0.1 ${localPort} ${port}\r\nand then the bytes`,
    );
  });

  test('counts its connections with all others of a source', async (t) => {
    const { engine, port } = await startTcpEngine(t, { limits: { connections: 1 } });
    await engine.publish(await startEcho(t), TCP);
    const first = await connectTcp(t, port);
    const second = connect(port, '127.0.0.1');
    assert.equal(await endOf(second), 'ECONNRESET');
    first.destroy();
    assert.equal(engine.log.withCode('CONNECTION_LIMIT').length, 1);
  });

  test('whose agent refuses resets the downstream', async (t) => {
    const { engine, port } = await startTcpEngine(t);
    const agent = await engine.connectAgent();
    await agent.openTunnel(TCP);
    const socket = await connectTcp(t, port);
    const { streamId } = await agent.next('dial-request');
    agent.send({ kind: 'dial-result', streamId, error: { code: 4000, message: 'no' } });
    assert.equal(await endOf(socket), 'ECONNRESET');
    assert.equal(engine.log.withCode('DIAL_BACK_REFUSED').length, 1);
  });
});

describe('a TCP tunnel that cannot have its port', () => {
  const TAKEN: [number, string] = [8000, 'TCP port is already in use.'];

  test('is refused with 8000 while another credential has it', async (t) => {
    const { engine, port } = await startTcpEngine(t);
    await (await engine.connectAgent()).openTunnel(TCP);
    const other = await engine.connectAgent({ token: await engine.createToken('other') });
    assert.deepEqual(await refusalOf(other.openTunnel({ ...TCP, port })), TAKEN);
  });

  test('is refused with 8000 while another program has it', async (t) => {
    const { engine, port } = await startTcpEngine(t);
    const blocker = createServer().listen(port, '127.0.0.1');
    await once(blocker, 'listening');
    t.after(() => blocker.close());
    const agent = await engine.connectAgent();
    assert.deepEqual(await refusalOf(agent.openTunnel({ ...TCP, port })), TAKEN);
  });

  test('takes it over from a lost session of the same credential', async (t) => {
    const { engine, port } = await startTcpEngine(t);
    const first = await engine.connectAgent({ liveness: 1_000 });
    await first.openTunnel({ ...TCP, port });
    const second = await engine.connectAgent();
    // The first one answers nothing any more, neither heartbeat nor dial.
    const reply = await second.openTunnel({ ...TCP, port });
    assert.equal(reply.port, port);
    await connectTcp(t, port);
    await second.next('dial-request');
  });

  test('is refused with 7000 when every port of the range is taken', async (t) => {
    const { engine, port } = await startTcpEngine(t);
    const agent = await engine.connectAgent();
    await agent.openTunnel(TCP);
    const [code, message] = await refusalOf(agent.openTunnel(TCP));
    assert.equal(code, 7000);
    assert.ok(message.startsWith(`Every TCP port from ${port} to ${port} is in use.`), message);
  });

  test('is refused with 2000 outside of the range', async (t) => {
    const { engine, port } = await startTcpEngine(t);
    const agent = await engine.connectAgent();
    const [code, message] = await refusalOf(agent.openTunnel({ ...TCP, port: 1 }));
    assert.equal(code, 2000);
    assert.ok(message.includes(`port must lie between ${port} and ${port}.`), message);
  });

  test('is refused with 5000 where the operator publishes no TCP', async (t) => {
    const engine = await startEngine(t);
    const agent = await engine.connectAgent();
    const [code, message] = await refusalOf(agent.openTunnel(TCP));
    assert.equal(code, 5000);
    assert.match(message, /tcp\.enabled/);
  });

  test('leaves no port behind when it is refused for another reason', async (t) => {
    const { engine, port } = await startTcpEngine(t);
    const agent = await engine.connectAgent();
    await agent.openTunnel({ publish: false, name: 'taken' });
    const other = await engine.connectAgent({ token: await engine.createToken('other') });
    assert.equal((await refusalOf(other.openTunnel({ ...TCP, port, name: 'taken' })))[0], 8000);
    assert.equal(engine.engine.counts().ports, 0);
    assert.equal(await endOf(connect(port, '127.0.0.1')), 'ECONNREFUSED');
  });
});
