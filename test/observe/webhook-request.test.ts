/** Where a webhook is sent, and where it never is, over real sockets. */
import assert from 'node:assert/strict';
import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { createClock } from '../../src/base/time.ts';
import { createWebhookSender, type WebhookSenderNeeds } from '../../src/observe/webhook-request.ts';
import { testCertificates } from '../support/certificates.ts';
import { createFakeClock } from '../support/clock.ts';
import { startHttpUpstream, startTcpUpstream } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';

const NEVER = new AbortController().signal;
const requestTo = (url: string) => ({ url, headers: { 'rstream-event-id': 'evt_1' }, body: '{"a":"ü"}' });

const resolvingTo =
  (...addresses: string[]): NonNullable<WebhookSenderNeeds['resolve']> =>
  async () =>
    addresses.map((address): LookupAddress => ({ address, family: address.includes(':') ? 6 : 4 }));

const sender = (needs: Partial<WebhookSenderNeeds> = {}, allowsPrivate = true) =>
  createWebhookSender({ clock: createClock(), ...needs }, { allowsPrivate });

const startHttpsReceiver = async (t: TestContext, onRequest: RequestListener): Promise<number> => {
  const { cert, key } = await testCertificates();
  const server = createHttpsServer({ cert, key }, onRequest).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  t.after(() => server.closeAllConnections());
  return ((server as Server).address() as AddressInfo).port;
};

const textOf = async (request: IncomingMessage): Promise<string> => {
  request.setEncoding('utf8');
  let text = '';
  for await (const chunk of request) text += chunk;
  return text;
};

describe('a webhook is sent', () => {
  test('as a POST with its headers and body, byte by byte', async (t) => {
    let seen: { method?: string | undefined; id?: unknown; text?: string } = {};
    const { port } = await startHttpUpstream(t, async (request, response) => {
      const { method, headers } = request;
      seen = { method, id: headers['rstream-event-id'], text: await textOf(request) };
      response.writeHead(202).end('thanks');
    });
    assert.equal(await sender()(requestTo(`http://127.0.0.1:${port}/in?key=1`), NEVER), 202);
    assert.deepEqual(seen, { method: 'POST', id: 'evt_1', text: '{"a":"ü"}' });
  });

  test('over TLS that is verified against the name, to the address that was looked at', async (t) => {
    const { ca } = await testCertificates();
    const port = await startHttpsReceiver(t, (_, response) => response.end());
    let lookCount = 0;
    const resolve: WebhookSenderNeeds['resolve'] = async (name) => {
      lookCount += 1;
      return resolvingTo('127.0.0.1')(name);
    };
    // A name that no name server knows: whoever asked a second time would not arrive.
    const url = `https://edge.example.test:${port}/`;
    assert.equal(await sender({ ca, resolve })(requestTo(url), NEVER), 200);
    assert.equal(lookCount, 1);
    const other = requestTo(`https://other.example.test:${port}/`);
    await assert.rejects(sender({ ca, resolve })(other, NEVER), { code: 'WEBHOOK_TLS_FAILED' });
    await assert.rejects(sender({ resolve })(requestTo(url), NEVER), { code: 'WEBHOOK_TLS_FAILED' });
  });

  test('and has arrived with the status, whatever follows it', async (t) => {
    const { port } = await startTcpUpstream(t, (socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      const more = () => {
        while (!socket.destroyed && socket.write('x'.repeat(16_384)));
      };
      socket.on('drain', more);
      more();
    });
    assert.equal(await sender()(requestTo(`http://127.0.0.1:${port}/`), NEVER), 200);
  });
});

describe('a webhook is not sent', () => {
  for (const address of [
    '127.0.0.1',
    '10.0.0.1',
    '169.254.169.254',
    '::1',
    'fd00::1',
    '::ffff:10.0.0.1',
    '0.0.0.0',
  ])
    test(`to ${address}, by its name or as it is`, async () => {
      const send = sender({ resolve: resolvingTo(address) }, false);
      const literal = address.includes(':') ? `[${address}]` : address;
      for (const host of ['hooks.example.com', literal])
        await assert.rejects(send(requestTo(`https://${host}/`), NEVER), {
          code: 'WEBHOOK_ADDRESS_FORBIDDEN',
        });
    });

  for (const host of ['2130706433', '0x7f.1', '0177.0.0.1', '127.1', '①②⑦.⓪.⓪.①'])
    test(`to loopback written as ${host}`, async () => {
      const send = sender({}, false);
      await assert.rejects(send(requestTo(`https://${host}/`), NEVER), { code: 'WEBHOOK_ADDRESS_FORBIDDEN' });
    });

  test('to a metadata service, also where private addresses are allowed', async () => {
    for (const address of ['169.254.169.254', 'fd00:ec2::254', '::ffff:169.254.169.254']) {
      const send = sender({ resolve: resolvingTo(address) });
      await assert.rejects(send(requestTo('https://hooks.example.com/'), NEVER), {
        code: 'WEBHOOK_ADDRESS_FORBIDDEN',
      });
    }
  });

  test('in the clear, but to loopback where that is allowed', async () => {
    for (const address of ['8.8.8.8', '10.0.0.1'])
      await assert.rejects(
        sender({ resolve: resolvingTo(address) })(requestTo('http://a.example.com/'), NEVER),
        {
          code: 'WEBHOOK_ADDRESS_FORBIDDEN',
        },
      );
  });

  test('to where a redirect leads', async (t) => {
    let hits = 0;
    const { port } = await startHttpUpstream(t, (request, response) => {
      hits += 1;
      response.writeHead(307, { location: `http://${request.headers.host}/elsewhere` }).end();
    });
    const refused = sender()(requestTo(`http://127.0.0.1:${port}/`), NEVER);
    await assert.rejects(refused, { code: 'WEBHOOK_REFUSED', details: { status: 307 } });
    assert.equal(hits, 1);
  });
});

describe('an attempt fails', () => {
  test('as anything but HTTP: a receiver that switches protocols has refused it', {
    timeout: 10_000,
  }, async (t) => {
    const { port } = await startTcpUpstream(t, (socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    });
    await assert.rejects(sender()(requestTo(`http://127.0.0.1:${port}/`), NEVER), {
      code: 'WEBHOOK_REFUSED',
      details: { status: 101 },
    });
  });

  test('where nobody listens, and where the name is unknown', async (t) => {
    const server = createHttpServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    t.after(() => server.close());
    const refused = sender()(requestTo(`http://127.0.0.1:${port}/`), NEVER);
    await assert.rejects(refused, { code: 'WEBHOOK_UNREACHABLE', details: { reason: 'ECONNREFUSED' } });
    const resolve = () => Promise.reject(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }));
    await assert.rejects(sender({ resolve })(requestTo('https://a.example.com/'), NEVER), {
      code: 'WEBHOOK_HOST_UNKNOWN',
    });
  });

  test('in time, when a receiver, or a name server, says nothing; and leaves nothing behind', async (t) => {
    const clock = createFakeClock();
    const { port, server } = await startTcpUpstream(t, (socket) =>
      socket.resume().on('end', () => socket.end()),
    );
    const silent = sender({ clock })(requestTo(`http://127.0.0.1:${port}/`), NEVER);
    const unresolved = sender({ clock, resolve: () => new Promise(() => {}) })(
      requestTo('https://a.example.com/'),
      NEVER,
    );
    const both = Promise.allSettled([silent, unresolved]);
    await once(server, 'connection');
    clock.advance(LIMITS.webhookAttemptMsMax);
    for (const result of await both)
      assert.equal((result as { reason?: { code?: string } }).reason?.code, 'WEBHOOK_TIMEOUT');
    assert.equal(clock.pendingCount, 0);
    let left = 1;
    await eventually(() => {
      server.getConnections((_, count) => {
        left = count;
      });
      return left === 0;
    }, 'the connection is closed');
  });

  test('at once, when the engine ends it', async (t) => {
    const ending = new AbortController();
    const { port, server } = await startTcpUpstream(t, (socket) => socket.resume());
    const sending = sender()(requestTo(`http://127.0.0.1:${port}/`), ending.signal);
    const refused = assert.rejects(sending, { code: 'WEBHOOK_UNREACHABLE' });
    await once(server, 'connection');
    ending.abort();
    await refused;
    await assert.rejects(sender()(requestTo(`http://127.0.0.1:${port}/`), ending.signal));
  });
});
