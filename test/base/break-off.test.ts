import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { breakOff } from '../../src/base/break-off.ts';

const pairOf = async (t: TestContext): Promise<{ near: Socket; far: Socket }> => {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const far = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const [[near]] = (await Promise.all([once(server, 'connection'), once(far, 'connect')])) as [
    [Socket],
    unknown,
  ];
  t.after(() => {
    server.close();
    far.destroy();
    near.destroy();
  });
  return { near, far };
};

test('a socket is reset', async (t) => {
  const { near, far } = await pairOf(t);
  const broken = once(far.resume(), 'error');
  breakOff(near);
  breakOff(near);
  assert.equal(((await broken)[0] as NodeJS.ErrnoException).code, 'ECONNRESET');
});

test('a socket whose end waits behind what its peer does not read is reset too', async (t) => {
  const { near, far } = await pairOf(t);
  far.on('error', () => {});
  let isReset = false;
  const { resetAndDestroy } = near;
  near.resetAndDestroy = () => {
    isReset = true;
    return resetAndDestroy.call(near);
  };
  near.end(Buffer.alloc(20_000_000));
  breakOff(near);
  await once(near, 'close');
  assert.equal(near.writableFinished, false);
  assert.ok(isReset);
});

test('a socket whose end is on its way closes all the same', async (t) => {
  const { near, far } = await pairOf(t);
  far.resume();
  const ended = once(far, 'end');
  near.end('everything');
  // In the turn in which the system is asked to end the connection.
  while (near.writableLength > 0) await new Promise((resolve) => process.nextTick(resolve));
  assert.equal(near.writableFinished, false);
  const closed = once(near, 'close');
  breakOff(near);
  await Promise.all([closed, ended]);
});

test('a socket that is not connected yet is closed', async (t) => {
  const server = createServer((peer) => peer.on('error', () => {})).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  breakOff(socket);
  assert.ok(socket.destroyed);
  await once(socket, 'close');
});

test('what has no reset is destroyed', () => {
  const pipe = new PassThrough();
  breakOff(pipe);
  assert.ok(pipe.destroyed);
});
