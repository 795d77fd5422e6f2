import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { breakOff, startTcp } from '../../src/agent/tcp.ts';

test('a socket whose end is still on its way is gone when it is broken off', async (t) => {
  const server = createServer((peer) => peer.on('error', () => {}).pause()).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const socket = startTcp({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  await once(socket, 'connect');
  const closed = once(socket, 'close');
  socket.end('last words');
  breakOff(socket);
  await closed;
});
