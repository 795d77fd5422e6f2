import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { peekClientHello } from '../../src/socket/peek.ts';
import { readHello } from '../support/client-hello.ts';
import { createFakeClock } from '../support/clock.ts';

const MS_MAX = 10_000;

/** Both ends of a connection. */
const connectPair = async (t: TestContext): Promise<{ peer: Socket; accepted: Socket }> => {
  const server = createServer({ allowHalfOpen: true, noDelay: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const peer = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', noDelay: true });
  const [accepted] = (await once(server, 'connection')) as [Socket];
  peer.on('error', () => {});
  accepted.on('error', () => {});
  t.after(() => {
    peer.destroy();
    accepted.destroy();
    server.close();
  });
  return { peer, accepted };
};

const listenerCounts = (socket: Socket): Record<string, number> =>
  Object.fromEntries(socket.eventNames().map((name) => [String(name), socket.listenerCount(name)]));

test('the socket holds every byte again, is paused, and has no listener of ours', async (t) => {
  const { peer, accepted } = await connectPair(t);
  const clock = createFakeClock();
  const before = listenerCounts(accepted);
  const bytes = Buffer.concat([readHello('node20-http'), Buffer.from('early data')]);
  const peeking = peekClientHello(accepted, clock, MS_MAX);
  peer.write(bytes);
  assert.equal((await peeking)?.serverName, 'hello.t.localhost');
  assert.deepEqual(listenerCounts(accepted), before);
  assert.ok(accepted.isPaused());
  assert.equal(clock.pendingCount, 0);
  assert.deepEqual(accepted.read(), bytes);
});

test('a hello in many segments is put back as one', async (t) => {
  const { peer, accepted } = await connectPair(t);
  const clock = createFakeClock();
  const bytes = readHello('go-agent');
  const peeking = peekClientHello(accepted, clock, MS_MAX);
  for (let at = 0; at < bytes.length; at += 100) {
    const arrived = once(accepted, 'data');
    peer.write(bytes.subarray(at, at + 100));
    await arrived;
  }
  assert.deepEqual((await peeking)?.alpnProtocols, ['rstrm/1']);
  assert.deepEqual(accepted.read(), bytes);
});

test('a hello that never ends is refused at the deadline', async (t) => {
  const { peer, accepted } = await connectPair(t);
  const clock = createFakeClock();
  const before = listenerCounts(accepted);
  const peeking = peekClientHello(accepted, clock, MS_MAX);
  const arrived = once(accepted, 'data');
  peer.write(readHello('node20-http').subarray(0, 50));
  await arrived;
  clock.advance(MS_MAX);
  await assert.rejects(peeking, { code: 'CLIENT_HELLO_TIMEOUT' });
  assert.deepEqual(listenerCounts(accepted), before);
});

test('what is no hello is refused, and the socket is left to the caller', async (t) => {
  const { peer, accepted } = await connectPair(t);
  const clock = createFakeClock();
  const peeking = peekClientHello(accepted, clock, MS_MAX);
  peer.write('GET / HTTP/1.1\r\n\r\n');
  await assert.rejects(peeking, { code: 'PLAIN_HTTP_ON_TLS_PORT' });
  assert.ok(!accepted.destroyed);
  assert.equal(clock.pendingCount, 0);
});

const LEAVING: Record<string, (peer: Socket) => void> = {
  'at once': (peer) => peer.end(),
  halfway: (peer) => peer.end(readHello('node20-http').subarray(0, 50)),
  'with a reset': (peer) => peer.resetAndDestroy(),
};
for (const [how, leave] of Object.entries(LEAVING))
  test(`a peer that leaves ${how} is no fault`, async (t) => {
    const { peer, accepted } = await connectPair(t);
    const clock = createFakeClock();
    const peeking = peekClientHello(accepted, clock, MS_MAX);
    leave(peer);
    assert.equal(await peeking, undefined);
    assert.equal(clock.pendingCount, 0);
  });
