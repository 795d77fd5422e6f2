import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { breakOff, startTcp } from '../../src/agent/tcp.ts';

const connected = async (t: TestContext): Promise<Socket> => {
  const server = createServer((peer) => peer.on('error', () => {}).pause()).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const socket = startTcp({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  await once(socket, 'connect');
  return socket;
};

test('a socket whose end is still on its way is gone when it is broken off', async (t) => {
  const socket = await connected(t);
  const closed = once(socket, 'close');
  socket.end('last words');
  breakOff(socket);
  await closed;
});

test('a socket whose end waits behind what its peer does not read is reset, as that is lost', async (t) => {
  const socket = await connected(t);
  let isReset = false;
  const { resetAndDestroy } = socket;
  socket.resetAndDestroy = () => {
    isReset = true;
    return resetAndDestroy.call(socket);
  };
  const closed = once(socket, 'close');
  socket.end(Buffer.alloc(20_000_000));
  breakOff(socket);
  await closed;
  assert.ok(isReset);
});
