import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { createRedirect } from '../../src/edge/redirect.ts';
import { eventually } from '../support/eventually.ts';
import { createLogRecorder } from '../support/log.ts';

const start = async (t: TestContext, { engineHost = 'edge.example.test', port = 443 } = {}) => {
  const server = createRedirect({
    engineHost,
    publicPort: () => port,
    arrive: async () => true,
    log: createLogRecorder(),
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { server, port: (server.address() as AddressInfo).port };
};

/** Sends text on a connection of its own; gives status and Location of the first answer. */
const ask = async (port: number, text: string): Promise<{ status: number; location: string | undefined }> => {
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  socket.write(text, 'latin1');
  let answer = '';
  socket.on('data', (chunk: Buffer) => {
    answer += chunk.toString('latin1');
  });
  await eventually(() => answer.includes('\r\n\r\n') || socket.destroyed, 'an answer');
  socket.destroy();
  return {
    status: Number(answer.split(' ')[1]),
    location: /\r\nlocation: (.*)\r\n/i.exec(answer)?.[1],
  };
};

const requestText = (target: string, ...headers: string[]) =>
  [`GET ${target} HTTP/1.1`, ...headers, '', ''].join('\r\n');

describe('a request', () => {
  const HOST = 'Host: web.t.edge.example.test';

  for (const [target, location] of [
    ['/', '/'],
    ['/a/b/?c=d&e=%20f', '/a/b/?c=d&e=%20f'],
    ['//evil.test/x', '//evil.test/x'],
    ['/.well-known/acme', '/.well-known/acme'],
  ] as const)
    test(`for ${target} is sent to HTTPS with path and query`, async (t) => {
      const { port } = await start(t);
      assert.deepEqual(await ask(port, requestText(target, HOST)), {
        status: 308,
        location: `https://web.t.edge.example.test${location}`,
      });
    });

  for (const [host, hostname] of [
    ['edge.example.test', 'edge.example.test'],
    ['Web.T.EDGE.example.test.:80', 'web.t.edge.example.test'],
  ] as const)
    test(`to ${host} is sent to ${hostname} on the public port`, async (t) => {
      const { port } = await start(t, { port: 8443 });
      assert.deepEqual(await ask(port, requestText('/x', `Host: ${host}`)), {
        status: 308,
        location: `https://${hostname}:8443/x`,
      });
    });

  for (const host of [
    'evil.test',
    'evil.test/.t.edge.example.test',
    'evil.test#.t.edge.example.test',
    'evil.test?.t.edge.example.test',
    'user@web.t.edge.example.test',
    'web.t.edge.example.test:1:2',
    'web.t.edge.example.test:99999',
    '.t.edge.example.test',
    'xedge.example.test',
    '127.0.0.1',
    '[::1]',
    '',
  ])
    test(`to the host "${host}" is sent nowhere`, async (t) => {
      const { port } = await start(t);
      assert.deepEqual(await ask(port, requestText('/', `Host: ${host}`)), {
        status: 404,
        location: undefined,
      });
    });

  for (const [name, text, status] of [
    ['without Host', requestText('/'), 400],
    ['of HTTP/1.0 without Host', 'GET / HTTP/1.0\r\n\r\n', 404],
    ['with two Hosts', requestText('/', HOST, HOST), 400],
    ['in absolute form', requestText('http://web.t.edge.example.test/', HOST), 400],
    ['in asterisk form', `OPTIONS * HTTP/1.1\r\n${HOST}\r\n\r\n`, 400],
    ['with a fragment', requestText('/a#b', HOST), 400],
    ['with bytes that are no URL', requestText('/\xff\xfe', HOST), 400],
    ['with a bare line feed', `GET / HTTP/1.1\n${HOST}\n\n`, 400],
    ['for an ACME challenge', requestText('/.well-known/acme-challenge/token', HOST), 404],
    ['of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['of TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
    [
      'with a head over the limit',
      requestText('/', HOST, `X: ${'x'.repeat(LIMITS.redirectHeadBytesMax)}`),
      431,
    ],
  ] as const)
    test(`${name} is refused with ${status}`, async (t) => {
      const { port } = await start(t);
      const answer = await ask(port, text);
      assert.deepEqual(answer, { status, location: undefined });
      // Whatever came, it still answers.
      assert.equal((await ask(port, requestText('/', HOST))).status, 308);
    });

  test('keeps its method, and its body does not cut the answer off', async (t) => {
    const { port } = await start(t);
    const post = request({ port, method: 'POST', headers: { host: 'edge.example.test' }, agent: false });
    post.end(Buffer.alloc(4_000_000));
    const [response] = await once(post, 'response');
    assert.deepEqual([response.statusCode, response.headers.location], [308, 'https://edge.example.test/']);
    response.resume();
  });

  test('that asks for an upgrade or a pipe gets neither', async (t) => {
    const { port } = await start(t);
    const upgrade = requestText('/', HOST, 'Connection: Upgrade', 'Upgrade: websocket');
    assert.equal((await ask(port, upgrade)).status, 308);
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    socket.write(`CONNECT db.internal:5432 HTTP/1.1\r\n${HOST}\r\n\r\n`);
    assert.deepEqual(await socket.toArray(), []);
  });
});

describe('a listener', () => {
  for (const [name, text] of [
    ['says nothing', ''],
    ['does not finish its head', 'GET / HTTP/1.1\r\nHost: x\r\n'],
    ['does not finish its body', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc'],
  ] as const)
    test(`closes on a peer that ${name}`, async (t) => {
      const { server, port } = await start(t);
      // The bound is ten seconds; the test needs only the kind of it.
      server.headersTimeout = 100;
      server.requestTimeout = 100;
      const socket = connect(port, '127.0.0.1').on('error', () => {});
      socket.resume().write(text);
      await once(socket, 'close');
    });

  test('bounds every wait', async (t) => {
    const { server } = await start(t);
    const { headersTimeout, requestTimeout, keepAliveTimeout, maxConnections } = server;
    assert.deepEqual(
      [headersTimeout, requestTimeout, maxConnections],
      [LIMITS.redirectRequestMsMax, LIMITS.redirectRequestMsMax, LIMITS.redirectConnectionsMax],
    );
    assert.ok(keepAliveTimeout > 0 && keepAliveTimeout <= 5_000);
  });

  test('drops connections beyond its limit', async (t) => {
    const { server, port } = await start(t);
    server.maxConnections = 1;
    const first = connect(port, '127.0.0.1');
    await once(first, 'connect');
    const second = connect(port, '127.0.0.1').on('error', () => {});
    await once(second, 'close');
    first.destroy();
  });
});
