import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { type TestContext, test } from 'node:test';
import { bind, type ListenAddress } from '../../src/socket/bind.ts';

const serverFor = (t: TestContext): Server => {
  const server = createServer();
  t.after(() => server.close());
  return server;
};

test('port 0 becomes a real one', async (t) => {
  const { host, port } = await bind(serverFor(t), { host: '127.0.0.1', port: 0 }, 'tls.listen_addr');
  assert.equal(host, '127.0.0.1');
  assert.ok(port > 0);
});

test('every address falls back to IPv4 where IPv6 is absent', async (t) => {
  const server = serverFor(t);
  const listen = server.listen.bind(server) as (address: ListenAddress, then: () => void) => Server;
  // The one thing that a machine with IPv6 cannot show.
  server.listen = ((address: ListenAddress, then: () => void) => {
    if (address.host !== '::') return listen(address, then);
    process.nextTick(() => server.emit('error', Object.assign(new Error(), { code: 'EAFNOSUPPORT' })));
    return server;
  }) as typeof server.listen;
  assert.equal((await bind(server, { host: '::', port: 0 }, 'tls.listen_addr')).host, '0.0.0.0');
  assert.equal(server.listenerCount('error'), 0);
});

test('a failure names the address and the reason', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  t.after(() => taken.close());
  const { port } = taken.address() as { port: number };
  const server = serverFor(t);
  await assert.rejects(bind(server, { host: '127.0.0.1', port }, 'http.listen_addr'), {
    code: 'ADDRESS_IN_USE',
    message: `The address 127.0.0.1:${port} of http.listen_addr is in use by another program.`,
  });
  await assert.rejects(bind(server, { host: '192.0.2.1', port: 0 }, 'tls.listen_addr'), {
    code: 'ADDRESS_UNAVAILABLE',
    message: 'Nothing can listen on the address 192.0.2.1:0 of tls.listen_addr (EADDRNOTAVAIL).',
  });
  // It is still good for an address that works.
  assert.ok((await bind(server, { host: '127.0.0.1', port: 0 }, 'tls.listen_addr')).port > 0);
});
