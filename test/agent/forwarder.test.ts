import { strict as assert } from 'node:assert';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import type { Address } from '../../src/agent/tcp.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { readToEnd } from '../support/read-to-end.ts';
import { createMailbox } from './mailbox.ts';
import { startAgent } from './start-agent.ts';
import { startTinyEngine } from './tiny-engine.ts';
import { answerAfterEnd, closedPort, echo, startUpstream } from './upstream.ts';

const request = (streamId: string, tunnelId = 'tun_1') =>
  ({ kind: 'dial-request', tunnelId, streamId, secret: `secret of ${streamId}` }) as const;

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

const startOnline = async (t: TestContext, upstream: Address) => {
  const engine = await startTinyEngine(t);
  const agent = startAgent(t, engine.target, [{ properties: { name: 'hello' }, upstream }]);
  const channel = await engine.acceptTunnel();
  await agent.event('online');
  return { engine, agent, channel };
};

/** A stream that runs: the engine's end of the dial-back, and the upstream's end. */
const startStream = async (t: TestContext, serve: (socket: Socket) => void = () => {}) => {
  const upstreams = createMailbox<Socket>();
  const address = await startUpstream(t, (socket) => {
    upstreams.put(socket);
    serve(socket);
  });
  const online = await startOnline(t, address);
  online.channel.send(request('s1'));
  const { first, socket } = await online.engine.accept('dial-back');
  return { ...online, first, socket, upstream: await upstreams.take(() => true, 'the upstream connection') };
};

describe('answering a dial request', () => {
  test('the dial-back names the stream, shows the secret as its token and waits for no answer', async (t) => {
    const { first, socket } = await startStream(t, echo);
    assert.equal(first.streamId, 's1');
    assert.equal(first.zeroRtt, true);
    assert.equal(first.details.token, 'secret of s1');
    assert.equal(first.details.protocolVersion, '1.4.5');
    socket.write('ping');
    assert.equal(String((await once(socket, 'data'))[0]), 'ping');
  });

  test('a service that speaks first is heard', async (t) => {
    const { socket } = await startStream(t, (upstream) => void upstream.write('SSH-2.0-test\r\n'));
    assert.equal(String((await once(socket, 'data'))[0]), 'SSH-2.0-test\r\n');
  });

  test('a request that follows the opening of its tunnel in the same packet is answered', async (t) => {
    const engine = await startTinyEngine(t);
    const upstream = await startUpstream(t, echo);
    startAgent(t, engine.target, [{ properties: {}, upstream }]);
    const channel = await engine.acceptChannel();
    const { requestId } = await channel.next('open-tunnel');
    channel.send({ kind: 'tunnel-opened', requestId, properties: { id: 'tun_1' } }, request('s1'));
    assert.equal((await engine.accept('dial-back')).first.streamId, 's1');
  });

  test('requests are answered at the same time, and later TLS handshakes resume the first', async (t) => {
    const { engine, channel } = await startOnline(t, await startUpstream(t, echo));
    const ids = Array.from({ length: 40 }, (_, index) => `s${index}`);
    channel.send(...ids.map((id) => request(id)));
    const peers = await Promise.all(ids.map(() => engine.accept('dial-back')));
    assert.deepEqual(new Set(peers.map(({ first }) => first.streamId)), new Set(ids));
    assert.ok(engine.resumedCount > 30, `${engine.resumedCount} of ${engine.connectionCount} resumed`);
  });
});

describe('refusing a dial request', () => {
  test('a closed port is reported before any dial-back, so that the engine can answer 502', async (t) => {
    const { engine, agent, channel } = await startOnline(t, await closedPort());
    channel.send(request('s1'));
    const { streamId, error } = await channel.next('dial-result');
    assert.equal(streamId, 's1');
    assert.equal(error?.code, 6_000);
    assert.match(error?.message ?? '', /ECONNREFUSED/);
    assert.equal((await agent.event('stream-refused')).error.code, 'UPSTREAM_UNREACHABLE');
    assert.equal(engine.connectionCount, 1);
  });

  test('a tunnel that is not open is refused', async (t) => {
    const { channel } = await startOnline(t, await closedPort());
    channel.send(request('s1', 'tun_other'));
    assert.equal((await channel.next('dial-result')).error?.code, 3_000);
  });

  test('beyond the limit of dials at once the next is refused with 6000', async (t) => {
    const upstream = await startUpstream(t, echo);
    // All are read in one turn of the loop or in few; none has connected to its upstream by then.
    const { engine, channel } = await startOnline(t, upstream);
    const count = LIMITS.agentDialsMax + 1;
    channel.send(...Array.from({ length: count }, (_, index) => request(`s${index}`)));
    const { streamId, error } = await channel.next('dial-result');
    assert.equal(streamId, `s${count - 1}`);
    assert.equal(error?.code, 6_000);
    await Promise.all(Array.from({ length: count - 1 }, () => engine.accept('dial-back')));
    channel.send(request('after'));
    assert.equal((await engine.accept('dial-back')).first.streamId, 'after');
  });
});

describe('a running stream', () => {
  test('a reply after the end of the request arrives whole', async (t) => {
    const { socket } = await startStream(
      t,
      answerAfterEnd((question) => `reply-after-eof:${question}`),
    );
    socket.end('ping-stream');
    assert.equal(String(await readToEnd(socket)), 'reply-after-eof:ping-stream');
  });

  test('an upstream that ends first still gets the rest of the request', async (t) => {
    const { socket, upstream } = await startStream(t, (upstream) => void upstream.end('bye'));
    assert.equal(String((await once(socket, 'data'))[0]), 'bye');
    await once(socket, 'end');
    socket.end('last words');
    assert.equal(String(await readToEnd(upstream)), 'last words');
  });

  test('megabytes go both ways at once unharmed', async (t) => {
    const { socket, upstream } = await startStream(t);
    const [there, back] = [randomBytes(8 << 20), randomBytes(8 << 20)];
    socket.end(there);
    upstream.end(back);
    const [received, returned] = await Promise.all([readToEnd(upstream), readToEnd(socket)]);
    assert.equal(sha256(received), sha256(there));
    assert.equal(sha256(returned), sha256(back));
  });

  test('an upstream that breaks breaks the stream: half an answer does not look like a whole one', async (t) => {
    const { socket, upstream } = await startStream(t);
    upstream.write('half of');
    await once(socket, 'data');
    socket.resume();
    upstream.resetAndDestroy();
    const [error] = await once(socket, 'error');
    assert.equal(error.code, 'ECONNRESET');
  });

  test('a stream that the engine breaks is broken for the upstream', async (t) => {
    const { socket, upstream } = await startStream(t);
    upstream.resume();
    const closed = once(upstream, 'close');
    socket.destroy();
    // The engine's socket can only vanish; what the upstream writes then comes to nothing.
    upstream.write('anyone?');
    upstream.write('there?');
    upstream.end();
    await closed;
  });
});
