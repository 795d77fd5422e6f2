import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { peekClientHello } from '../../src/socket/peek.ts';
import { readProxyHeader } from '../../src/socket/proxy-header.ts';
import { readHello } from '../support/client-hello.ts';
import { createFakeClock } from '../support/clock.ts';

const MS_MAX = 10_000;
const HEADER = Buffer.from('PROXY TCP4 192.0.2.7 203.0.113.1 56324 443\r\n');
const SOURCE = { address: '192.0.2.7', port: 56_324 };

const setUp = async (t: TestContext) => {
  const server = createServer({ allowHalfOpen: true, noDelay: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const peer = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', noDelay: true });
  const [accepted] = (await once(server, 'connection')) as [Socket];
  for (const socket of [peer, accepted]) socket.on('error', () => {});
  t.after(() => {
    peer.destroy();
    accepted.destroy();
    server.close();
  });
  return { peer, accepted, clock: createFakeClock() };
};

test('what follows the header stays in the socket, which is paused', async (t) => {
  const { peer, accepted, clock } = await setUp(t);
  const reading = readProxyHeader(accepted, clock, MS_MAX);
  peer.write(Buffer.concat([HEADER, Buffer.from('the rest')]));
  assert.deepEqual((await reading)?.source, SOURCE);
  assert.ok(accepted.isPaused());
  assert.equal(clock.pendingCount, 0);
  assert.equal(String(accepted.read()), 'the rest');
});

for (const [how, segments] of [
  ['in one segment', (hello: Buffer) => [Buffer.concat([HEADER, hello])]],
  ['behind it', (hello: Buffer) => [HEADER, hello]],
  [
    'cut across both',
    (hello: Buffer) => [
      HEADER.subarray(0, 20),
      Buffer.concat([HEADER.subarray(20), hello.subarray(0, 50)]),
      hello.subarray(50),
    ],
  ],
] as const)
  test(`a ClientHello ${how} is peeked as if there had been no header`, async (t) => {
    const { peer, accepted, clock } = await setUp(t);
    const hello = readHello('node20-http');
    const reading = readProxyHeader(accepted, clock, MS_MAX).then(() =>
      peekClientHello(accepted, clock, MS_MAX),
    );
    for (const segment of segments(hello)) {
      peer.write(segment);
      // A turn of the loop, so that they arrive one by one.
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal((await reading)?.serverName, 'hello.t.localhost');
    assert.deepEqual(accepted.read(), hello);
  });

test('a header that does not come is refused at the deadline', async (t) => {
  const { peer, accepted, clock } = await setUp(t);
  const reading = readProxyHeader(accepted, clock, MS_MAX);
  const arrived = once(accepted, 'data');
  peer.write(HEADER.subarray(0, 20));
  await arrived;
  clock.advance(MS_MAX);
  await assert.rejects(reading, { code: 'PROXY_HEADER_TIMEOUT' });
});

test('something else is refused, and the socket is left to the caller', async (t) => {
  const { peer, accepted, clock } = await setUp(t);
  const reading = readProxyHeader(accepted, clock, MS_MAX);
  peer.write(readHello('node20-http'));
  await assert.rejects(reading, { code: 'PROXY_HEADER_MALFORMED' });
  assert.ok(!accepted.destroyed);
  assert.equal(clock.pendingCount, 0);
});

test('a proxy that leaves before its header is complete is no fault', async (t) => {
  const { peer, accepted, clock } = await setUp(t);
  const reading = readProxyHeader(accepted, clock, MS_MAX);
  peer.end(HEADER.subarray(0, 20));
  assert.equal(await reading, undefined);
});
