/** TLS to an upstream inside a stream, against real TLS servers. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { describe, type TestContext, test } from 'node:test';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { LIMITS } from '../../src/base/limits.ts';
import { createClock } from '../../src/base/time.ts';
import { createUpstreamTls } from '../../src/socket/upstream-tls.ts';
import { testCertificates } from '../support/certificates.ts';
import { createFakeClock } from '../support/clock.ts';
import { createDuplexPair } from '../support/duplex-pair.ts';
import { eventually } from '../support/eventually.ts';

const listen = async (t: TestContext, server: Server): Promise<number> => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
};

/** A TLS server, and a stream that leads to it. */
const startTls = async (t: TestContext, onConnection: (socket: TLSSocket) => void = () => {}) => {
  const { cert, key } = await testCertificates();
  const names: (string | false | null)[] = [];
  const server = createTlsServer({
    cert,
    key,
    ALPNProtocols: ['h2', 'http/1.1'],
    allowHalfOpen: true,
  } as object);
  server.on('secureConnection', (socket) => {
    names.push((socket as TLSSocket & { servername: string | false | null }).servername);
    socket.on('error', () => {});
    t.after(() => socket.destroy());
    onConnection(socket);
  });
  server.on('tlsClientError', () => {});
  const port = await listen(t, server);
  return { port, names, stream: await connectTo(t, port) };
};

const connectTo = async (t: TestContext, port: number): Promise<Socket> => {
  const stream = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  stream.on('error', () => {});
  t.after(() => stream.destroy());
  await once(stream, 'connect');
  return stream;
};

const setUp = () => {
  const clock = createFakeClock();
  return { clock, secure: createUpstreamTls({ clock }, { isVerified: false }) };
};

const refusedFor = (reason: RegExp) => ({ code: 'UPSTREAM_TLS_FAILED', message: reason });

describe('an upstream that speaks TLS', () => {
  for (const [offered, chosen] of [
    [['h2', 'http/1.1'], 'h2'],
    [['http/1.1'], 'http/1.1'],
  ] as const)
    test(`is asked for ${offered.join(' or ')}, under the name localhost, whoever signed its certificate`, async (t) => {
      const { clock, secure } = setUp();
      const { stream, names } = await startTls(t, (socket) => socket.pipe(socket));
      const { socket, alpnProtocol } = await secure(stream, offered);
      assert.equal(alpnProtocol, chosen);
      socket.write('hello');
      socket.resume();
      assert.equal(String((await once(socket, 'data'))[0]), 'hello');
      assert.deepEqual(names, ['localhost']);
      assert.equal(clock.pendingCount, 0);
      socket.destroy();
      await eventually(() => stream.destroyed, 'the stream goes with it');
    });

  test('may have one direction over while the other goes on', async (t) => {
    const { secure } = setUp();
    const { stream } = await startTls(t, (socket) =>
      socket.resume().on('end', () => socket.end('last words')),
    );
    const { socket } = await secure(stream, ['http/1.1']);
    socket.end('done');
    assert.equal(Buffer.concat(await socket.toArray()).toString(), 'last words');
  });

  test('keeps what comes with its last flight for whoever reads first', async (t) => {
    const { secure } = setUp();
    const { stream } = await startTls(t, (socket) => socket.write('at once'));
    const { socket } = await secure(stream, ['http/1.1']);
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    socket.resume();
    assert.equal(String((await once(socket, 'data'))[0]), 'at once');
    socket.destroy();
  });

  test('is spoken to over any stream, not only over a socket', async (t) => {
    const { secure } = setUp();
    const { port } = await startTls(t, (socket) => socket.pipe(socket));
    const wire = await connectTo(t, port);
    const [ours, theirs] = createDuplexPair();
    theirs.pipe(wire).pipe(theirs);
    const { socket } = await secure(ours, ['h2']);
    socket.resume().write('hello');
    assert.equal(String((await once(socket, 'data'))[0]), 'hello');
    socket.destroy();
  });
});

describe('what is no TLS', () => {
  const answering = async (t: TestContext, onConnection: (socket: Socket) => void): Promise<Duplex> => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      t.after(() => socket.destroy());
      onConnection(socket);
    });
    return connectTo(t, await listen(t, server));
  };

  const cases: Record<string, (socket: Socket) => void> = {
    'plain HTTP': (socket) =>
      socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')),
    'a close at once': (socket) => socket.end(),
    'a reset': (socket) => socket.once('data', () => socket.resetAndDestroy()),
    noise: (socket) => socket.write(Buffer.alloc(100, 255)),
  };
  for (const [name, onConnection] of Object.entries(cases))
    test(`${name} fails without waiting, and the stream is gone`, async (t) => {
      const { clock, secure } = setUp();
      const stream = await answering(t, onConnection);
      await assert.rejects(secure(stream, ['h2']), refusedFor(/did not complete TLS: /));
      assert.equal(stream.destroyed, true);
      assert.equal(clock.pendingCount, 0);
    });

  test('silence fails at the deadline', async (t) => {
    const { clock, secure } = setUp();
    const stream = await answering(t, () => {});
    const secured = secure(stream, ['h2']);
    clock.advance(LIMITS.upstreamHandshakeMsMax);
    await assert.rejects(secured, refusedFor(/it took too long/));
    assert.equal(stream.destroyed, true);
    assert.equal(clock.pendingCount, 0);
  });

  test('a stream that is lost in the middle of the handshake fails at once', async (t) => {
    const { clock, secure } = setUp();
    const stream = await answering(t, (socket) => socket.once('data', () => stream.destroy()));
    await assert.rejects(secure(stream, ['h2']), refusedFor(/closed/));
    assert.equal(clock.pendingCount, 0);
  });

  test('a stream that is gone already fails at once', async (t) => {
    const { clock, secure } = setUp();
    const stream = await answering(t, () => {});
    stream.destroy();
    await assert.rejects(secure(stream, ['h2']), { code: 'UPSTREAM_TLS_FAILED' });
    assert.equal(clock.pendingCount, 0);
  });
});

describe('verification', () => {
  test('refuses a certificate that nobody whom Node trusts has signed', async (t) => {
    const { stream } = await startTls(t);
    const secure = createUpstreamTls({ clock: createClock() }, { isVerified: true });
    await assert.rejects(secure(stream, ['h2']), refusedFor(/UNABLE_TO_VERIFY|SELF_SIGNED/));
    assert.equal(stream.destroyed, true);
  });

  test('accepts one for localhost whose authority is in NODE_EXTRA_CA_CERTS', async (t) => {
    const { caFile } = await testCertificates();
    const { port } = await startTls(t);
    const source = (path: string) =>
      pathToFileURL(new URL(`../../src/${path}`, import.meta.url).pathname).href;
    // Node reads the variable once, when it starts.
    const program = `
      import { connect } from 'node:net';
      import { createClock } from '${source('base/time.ts')}';
      import { createUpstreamTls } from '${source('socket/upstream-tls.ts')}';
      const secure = createUpstreamTls({ clock: createClock() }, { isVerified: true });
      const { socket, alpnProtocol } = await secure(connect(${port}, '127.0.0.1'), ['h2']);
      console.log(alpnProtocol);
      socket.destroy();`;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '--eval', program],
      { env: { ...process.env, NODE_EXTRA_CA_CERTS: caFile }, timeout: 30_000 },
    );
    assert.equal(stdout.trim(), 'h2');
  });
});
