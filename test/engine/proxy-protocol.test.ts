/** A whole engine behind a TCP proxy: whose address is seen where, and who is limited. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { type Endpoint, proxyHeaderFor } from '../../src/base/proxy-protocol.ts';
import { connectDownstream, readToEnd } from '../support/downstream.ts';
import { startEngine, startHttpUpstream, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { privateDial } from '../support/fake-agent.ts';
import { freePort } from '../support/free-port.ts';
import { HOSTNAME } from './http-upstream.ts';

const DESTINATION = { address: '203.0.113.1', port: 443 };
const headerOf = (source: Endpoint, version: 'v1' | 'v2' = 'v2') =>
  proxyHeaderFor(version, source, DESTINATION);
const ALICE = { address: '198.51.100.7', port: 4_711 };
const BOB = { address: '2001:db8::7', port: 4_712 };

/** Every connection of the test comes from 127.0.0.1, which is the proxy. */
const startBehindProxy = (t: TestContext, settings: Record<string, unknown> = {}) =>
  startEngine(t, { settings: { proxy_protocol: { trusted: ['127.0.0.1'] }, ...settings } });

/** A request of its own connection; resolves with all that came back. */
const ask = async (engine: TestEngine, source: Endpoint, ...headers: string[]): Promise<string> => {
  const { port, ca } = engine;
  const socket = await connectDownstream({ port, ca, proxyHeader: headerOf(source) }, HOSTNAME);
  socket.write(
    `${['GET / HTTP/1.1', `Host: ${HOSTNAME}`, 'Connection: close', ...headers].join('\r\n')}\r\n\r\n`,
  );
  return readToEnd(socket);
};

describe('proxy_protocol.trusted', () => {
  test('X-Forwarded-For tells the address of the header, and what a downstream claims is dropped', async (t) => {
    const engine = await startBehindProxy(t);
    const agent = await engine.connectAgent({ proxyHeader: headerOf(BOB) });
    await agent.openTunnel({ hostname: 'web' });
    for (const [source, bytes] of [
      [ALICE, [198, 51, 100, 7]],
      [BOB, [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]],
    ] as const) {
      const asking = ask(engine, source, 'X-Forwarded-For: 192.0.2.66', 'X_Forwarded_For: 192.0.2.66');
      const request = await agent.next('dial-request');
      assert.deepEqual([...(request.sourceIp ?? [])], bytes, 'the dial request names the downstream');
      const stream = await agent.answerDial(request);
      let head = '';
      for await (const chunk of stream) {
        head += String(chunk);
        if (head.endsWith('\r\n\r\n')) break;
      }
      assert.match(head, new RegExp(`\r\nX-Forwarded-For: ${source.address}\r\n`));
      assert.doesNotMatch(head, /192\.0\.2\.66/);
      stream.destroy();
      assert.match(await asking, /^HTTP\/1\.1 502 /);
    }
  });

  test('trusted_proxies are judged by the address of the header, and their chain is kept', async (t) => {
    const engine = await startBehindProxy(t, { trusted_proxies: [ALICE.address] });
    const seen: (string | undefined)[] = [];
    const upstream = await startHttpUpstream(t, (request, response) => {
      seen.push(String(request.headers['x-forwarded-for']));
      response.end();
    });
    const agent = await engine.connectAgent({ proxyHeader: headerOf(BOB) });
    await agent.openTunnel({ hostname: 'web' });
    for (const source of [ALICE, BOB]) {
      const asking = ask(engine, source, 'X-Forwarded-For: 192.0.2.1, 192.0.2.2');
      const stream = await agent.answerDial(await agent.next('dial-request'));
      const service = connect(upstream.port, '127.0.0.1').on('error', () => {});
      stream.pipe(service).pipe(stream);
      assert.match(await asking, /^HTTP\/1\.1 200 /);
      stream.destroy();
    }
    assert.deepEqual(seen, [`192.0.2.1, 192.0.2.2, ${ALICE.address}`, BOB.address]);
  });

  test('a private dial names its dialer', async (t) => {
    const engine = await startBehindProxy(t);
    const agent = await engine.connectAgent({ proxyHeader: headerOf(BOB) });
    await agent.openTunnel({ name: 'db', publish: false });
    const { port, ca } = engine;
    const token = await engine.createToken('dialer');
    const proxyHeader = headerOf(ALICE, 'v1');
    const dialer = await privateDial({ port, ca, token, target: 'db', zeroRtt: true, proxyHeader });
    t.after(() => dialer.destroy());
    assert.deepEqual([...((await agent.next('dial-request')).sourceIp ?? [])], [198, 51, 100, 7]);
  });

  test('the log names the address of the header, also for the Engine API', async (t) => {
    const engine = await startBehindProxy(t);
    const { port, ca } = engine;
    const socket = await connectDownstream({ port, ca, proxyHeader: headerOf(ALICE) }, 'localhost');
    socket.write('GET /api/clients HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    assert.match(await readToEnd(socket), /^HTTP\/1\.1 401 /);
    assert.equal(engine.log.withCode('TOKEN_MISSING')[0]?.fields.remote, '198.51.100.7:4711');
  });

  test('who is not trusted can send no header, and who is must', async (t) => {
    const engine = await startEngine(t, { settings: { proxy_protocol: { trusted: ['127.0.0.9'] } } });
    const { port, ca } = engine;
    await assert.rejects(connectDownstream({ port, ca, proxyHeader: headerOf(ALICE) }, 'localhost'));
    await eventually(() => engine.log.withCode('CLIENT_HELLO_MALFORMED').length === 1, 'it is told');
    const proxy = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.9' });
    const closed = once(
      proxy.on('error', () => {}),
      'close',
    );
    proxy.write('\x16\x03\x01');
    await closed;
    assert.equal(engine.log.withCode('PROXY_HEADER_MALFORMED').length, 1);
    await connectDownstream({ port, ca }, 'localhost').then((socket) => socket.destroy());
  });

  test('the ports of TCP tunnels speak it too: upstreams are told who it is, and sources are limited by that', async (t) => {
    const port = await freePort();
    const tcp = { enabled: true, listen_host: '127.0.0.1', port_range: `${port}-${port}` };
    const limits = { connections_per_source: 1, connection_rate_per_source: 0 };
    const engine = await startBehindProxy(t, { tcp, limits });
    const agent = await engine.connectAgent({ proxyHeader: headerOf(BOB) });
    await agent.openTunnel({ protocol: 'tcp', labels: { 'rstream.proxy-protocol': 'v1' } });
    const open = (source: Endpoint) => {
      const socket = connect(port, '127.0.0.1').on('error', () => {});
      t.after(() => socket.destroy());
      socket.write(Buffer.concat([headerOf(source), Buffer.from('hello')]));
      return socket;
    };
    const first = open(ALICE);
    const stream = await agent.answerDial(await agent.next('dial-request'));
    const told = 'PROXY TCP4 198.51.100.7 203.0.113.1 4711 443\r\nhello';
    let seen = '';
    for await (const chunk of stream) {
      seen += String(chunk);
      if (seen.length >= told.length) break;
    }
    assert.equal(seen, told);
    await new Promise((resolve) => open(ALICE).on('close', resolve));
    assert.equal(engine.log.withCode('SOURCE_CONNECTION_LIMIT')[0]?.fields.remote, '198.51.100.7:4711');
    first.destroy();
  });

  test('the plain listener speaks it too', async (t) => {
    const port = await freePort();
    const engine = await startBehindProxy(t, { http: { enabled: true, listen_addr: `127.0.0.1:${port}` } });
    const answerTo = async (text: string): Promise<string> => {
      const socket = connect(port, '127.0.0.1').on('error', () => {});
      let answer = '';
      socket.on('data', (chunk) => {
        answer += String(chunk);
      });
      socket.write(text);
      await once(socket, 'close');
      return answer;
    };
    const request = `GET /a HTTP/1.1\r\nHost: ${HOSTNAME}\r\nConnection: close\r\n\r\n`;
    const answer = await answerTo(`${headerOf(ALICE, 'v1')}${request}`);
    assert.match(
      answer,
      new RegExp(`^HTTP/1\\.1 308 .*\r\nlocation: https://${HOSTNAME}:${engine.port}/a\r\n`, 's'),
    );
    assert.equal(await answerTo(request), '');
    assert.equal(engine.log.withCode('PROXY_HEADER_MALFORMED').length, 1);
    // One that still waits for its header does not keep the engine from ending.
    connect(port, '127.0.0.1').on('error', () => {});
    await engine.stop();
  });
});

describe('limits.connections_per_source', () => {
  const limits = { connections_per_source: 2, connection_rate_per_source: 0 };

  test('a flood from one source leaves another served', async (t) => {
    const engine = await startBehindProxy(t, { limits });
    const { port } = engine;
    const open = () => {
      const socket = connect(port, '127.0.0.1').on('error', () => {});
      socket.write(headerOf(ALICE));
      t.after(() => socket.destroy());
      return new Promise<void>((resolve) => socket.on('close', () => resolve()));
    };
    void open();
    void open();
    await eventually(() => engine.engine.counts().connections === 2, 'the first two are in');
    for (let count = 0; count < 20; count++) await open();
    assert.equal(engine.log.withCode('SOURCE_CONNECTION_LIMIT').length, 1);
    await engine.connectAgent({ proxyHeader: headerOf(BOB) });
  });

  test('an agent may dial back as often as it is asked, for as long as its session lives', async (t) => {
    const engine = await startBehindProxy(t, { limits });
    const agent = await engine.connectAgent({ proxyHeader: headerOf(BOB) });
    await agent.openTunnel({ name: 'db', publish: false });
    const { port, ca } = engine;
    const token = await engine.createToken('dialer');
    for (let count = 0; count < 8; count++) {
      const source = { address: `198.51.100.${count}`, port: 1 };
      const dial = { port, ca, token, target: 'db', zeroRtt: true, proxyHeader: headerOf(source) };
      const dialer = await privateDial(dial);
      const stream = await agent.answerDial(await agent.next('dial-request'));
      t.after(() => [dialer, stream].map((socket) => socket.destroy()));
    }
    await eventually(() => engine.engine.counts().privateStreams === 8, 'all are relayed');

    agent.kill();
    await eventually(() => engine.engine.counts().sessions === 0, 'the session is gone');
    // Another address of the same /64, which still has eight streams.
    const rival = { proxyHeader: headerOf({ ...BOB, address: '2001:db8::8' }) };
    await assert.rejects(engine.connectAgent(rival));
    assert.equal(engine.log.withCode('SOURCE_CONNECTION_LIMIT').length, 1);
  });

  test('loopback is exempt', async (t) => {
    const engine = await startEngine(t, { settings: { limits } });
    for (let count = 0; count < 5; count++) {
      const socket = connect(engine.port, '127.0.0.1').on('error', () => {});
      t.after(() => socket.destroy());
    }
    await eventually(() => engine.engine.counts().connections === 5, 'all are in');
  });
});
