/** Published tunnels with mtls_auth: who is let in at the handshake, who is told what, and that one proof is one. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, type TestContext, test } from 'node:test';
import { PERMISSIONS } from '../../src/base/principal.ts';
import type { TunnelProperties } from '../../src/base/tunnel-properties.ts';
import { createTestPair, type TestPair } from '../support/certificates.ts';
import { connectDownstream, fetchThrough, readToEnd } from '../support/downstream.ts';
import { startEngine, startHttpUpstream, startTcpUpstream, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { opensslClient } from '../support/openssl.ts';
import { HOSTNAME, requestText } from './http-upstream.ts';
import { ask, connectHttp2 } from './http2-sides.ts';

/** An upstream that counts its requests, published as HOSTNAME. */
const startPublished = async (t: TestContext, properties: TunnelProperties = { mtlsAuth: true }) => {
  let requestCount = 0;
  const upstream = await startHttpUpstream(t, (_request, response) => {
    requestCount += 1;
    response.end('hello');
  });
  const engine = await startEngine(t);
  await engine.publish(upstream, { hostname: 'web', ...properties });
  return { engine, upstream, requestCount: () => requestCount };
};

/** A tunnel that was open to everybody, opened again with mtls_auth under a connection that is still there. */
const startReopened = async (t: TestContext, properties: TunnelProperties = {}) => {
  const upstream = await startHttpUpstream(t, (_request, response) => void response.end('hello'));
  const engine = await startEngine(t);
  const { agent } = await engine.publish(upstream, { hostname: 'web' });
  const before = await connectHttp2(t, engine);
  assert.equal((await ask(before)).status, 200);
  await agent.stop();
  await engine.publish(upstream, { hostname: 'web', mtlsAuth: true, ...properties });
  return { engine, before };
};

/** Status and code of a GET over a connection of its own. */
const get = async (
  engine: TestEngine,
  pair?: TestPair,
  { path = '/', headers = {} }: { path?: string; headers?: Record<string, string> } = {},
): Promise<readonly [number, unknown]> => {
  const answer = await fetchThrough(engine, HOSTNAME, path, { ...pair, headers });
  return [answer.status, answer.headers['rstream-error']];
};

const OK = [200, undefined];
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

describe('an HTTP tunnel with mtls_auth', () => {
  test('answers a registered certificate, and nobody else', async (t) => {
    const { engine, requestCount } = await startPublished(t);
    const laptop = await engine.createClientCertificate('laptop', [PERMISSIONS.manageStreams]);
    assert.deepEqual(await get(engine, laptop), OK);
    assert.deepEqual(await get(engine), [401, 'CLIENT_CERTIFICATE_MISSING']);
    assert.deepEqual(await get(engine, await createTestPair('a stranger')), [
      401,
      'CLIENT_CERTIFICATE_UNKNOWN',
    ]);
    assert.equal(requestCount(), 1);
  });

  test('refuses one without the permission, an expired and a revoked one, each by its code', async (t) => {
    const { engine } = await startPublished(t);
    const reader = await engine.createClientCertificate('reader', [PERMISSIONS.readResources]);
    assert.deepEqual(await get(engine, reader), [403, 'PERMISSION_MISSING']);
    const laptop = await engine.createClientCertificate('laptop');
    assert.deepEqual(await get(engine, laptop), OK);
    await engine.withCredentials((credentials) => credentials.revoke('certificate', 'laptop'));
    assert.deepEqual(await get(engine, laptop), [401, 'CLIENT_CERTIFICATE_REVOKED']);
  });

  test('takes no token: neither a bearer nor one in the query stands in for a certificate', async (t) => {
    const { engine } = await startPublished(t);
    const token = await engine.createToken('visitor');
    assert.deepEqual(await get(engine, undefined, { headers: bearer(token) }), [
      401,
      'CLIENT_CERTIFICATE_MISSING',
    ]);
    assert.deepEqual(await get(engine, undefined, { path: `/?rstream.token=${token}` }), [
      401,
      'CLIENT_CERTIFICATE_MISSING',
    ]);
  });

  test('is the only one that asks for a certificate', async (t) => {
    const { engine, upstream } = await startPublished(t);
    await engine.publish(upstream, { hostname: 'open' });
    assert.match(
      await opensslClient(engine.port, HOSTNAME),
      /Acceptable client certificate CA|Requested Signature/i,
    );
    assert.doesNotMatch(await opensslClient(engine.port, 'open.t.localhost'), /Requested Signature/i);
  });

  test('refuses a certificate beside any other proof, on requests, upgrades and CONNECT', async (t) => {
    for (const properties of [{ mtlsAuth: true }, { mtlsAuth: true, tokenAuth: true }]) {
      const { engine, requestCount } = await startPublished(t, properties);
      const laptop = await engine.createClientCertificate('laptop');
      const token = await engine.createToken('visitor');
      const MIXES: [path: string, header: string][] = [
        ['/', `Authorization: Bearer ${token}`],
        ['/', 'Authorization: Bearer nonsense'],
        [`/?rstream.token=${token}`, 'X-Other: 1'],
        ['/', 'Cookie: a=1; rstream_auth=x'],
      ];
      for (const [path, header] of MIXES)
        for (const [line, ...more] of [
          [`GET ${path}`],
          [`GET ${path}`, 'Connection: Upgrade', 'Upgrade: websocket'],
          ...(path === '/' ? [['CONNECT db:5432']] : []),
        ] as [string, ...string[]][]) {
          const socket = await connectDownstream(engine, HOSTNAME, laptop);
          socket.write(requestText(line, header, 'Connection: close', ...more));
          const answer = await readToEnd(socket);
          assert.match(answer, /^HTTP\/1\.1 401 .*ambiguous_proof.*AMBIGUOUS_PROOF/s, `${line} ${header}`);
        }
      assert.equal(requestCount(), 0);
    }
  });

  test('sends a request over the connection of another host to one of its own', async (t) => {
    const { engine, upstream } = await startPublished(t);
    await engine.publish(upstream, { hostname: 'open' });
    await engine.publish(upstream, { hostname: 'either', mtlsAuth: true, tokenAuth: true });
    const token = await engine.createToken('visitor');
    const session = await connectHttp2(t, engine, 'open.t.localhost');
    const { status, body } = await ask(session);
    assert.equal(status, 421);
    assert.match(String(body), /Misdirected Request/);
    const either = { ':authority': 'either.t.localhost' };
    assert.equal((await ask(session, either)).status, 421);
    // A token is as good on any connection.
    assert.equal((await ask(session, { ...either, ...bearer(token) })).status, 200);
    assert.equal((await ask(session, { ...either, ...bearer('nonsense') })).status, 401);
    // A connection with a certificate carries what it is good for.
    const laptop = await engine.createClientCertificate('laptop');
    const certified = await connectHttp2(t, engine, 'either.t.localhost', {}, laptop);
    assert.equal((await ask(certified)).status, 200);
    assert.equal((await ask(certified, { ':authority': 'open.t.localhost', ...bearer('own') })).status, 200);
  });

  test('sends a request over a connection from before it was opened to one that is asked for a certificate', async (t) => {
    const { engine, before } = await startReopened(t);
    assert.equal((await ask(before)).status, 421);
    const after = await connectHttp2(t, engine);
    assert.equal((await ask(after)).headers['rstream-error'], 'CLIENT_CERTIFICATE_MISSING');
    const laptop = await engine.createClientCertificate('laptop');
    assert.equal((await ask(await connectHttp2(t, engine, HOSTNAME, {}, laptop))).status, 200);
  });

  test('says at once on such a connection what every other would be told', async (t) => {
    const { before } = await startReopened(t, { trustedIps: ['192.0.2.0/24'] });
    assert.equal((await ask(before)).headers['rstream-error'], 'ADDRESS_FORBIDDEN');
  });

  test('with token_auth lets either suffice', async (t) => {
    const { engine } = await startPublished(t, { mtlsAuth: true, tokenAuth: true });
    const token = await engine.createToken('visitor');
    assert.deepEqual(await get(engine, undefined, { headers: bearer(token) }), OK);
    assert.deepEqual(await get(engine, undefined, { path: `/?rstream.token=${token}` }), OK);
    assert.deepEqual(await get(engine, await engine.createClientCertificate('laptop')), OK);
    assert.deepEqual(await get(engine), [401, 'TOKEN_MISSING']);
  });

  test('ends what a certificate opened when it is revoked, and asks again on the same connection', async (t) => {
    const { engine } = await startPublished(t);
    const laptop = await engine.createClientCertificate('laptop');
    const session = await connectHttp2(t, engine, HOSTNAME, {}, laptop);
    assert.equal((await ask(session)).status, 200);
    await engine.withCredentials((credentials) => credentials.revoke('certificate', 'laptop'));
    assert.equal((await ask(session)).headers['rstream-error'], 'CLIENT_CERTIFICATE_REVOKED');
  });
});

describe('a TLS tunnel with mtls_auth', () => {
  const startRaw = async (t: TestContext, properties: TunnelProperties = {}) => {
    let connectionCount = 0;
    const upstream = await startTcpUpstream(t, (socket) => {
      connectionCount += 1;
      socket.pipe(socket);
    });
    const engine = await startEngine(t);
    await engine.publish(upstream, { hostname: 'web', protocol: 'tls', mtlsAuth: true, ...properties });
    return { engine, connectionCount: () => connectionCount };
  };
  const echo = async (engine: TestEngine, pair: TestPair | undefined, session?: Buffer) => {
    const socket = await connectDownstream(engine, HOSTNAME, {
      ...pair,
      alpn: ['echo'],
      ...(session && { session }),
    });
    socket.on('error', () => {}).write('ping');
    const answer = await new Promise<string>((resolve) => {
      socket.once('data', (chunk) => resolve(String(chunk))).once('close', () => resolve('closed'));
    });
    const isReused = socket.isSessionReused();
    const ticket = socket.getSession();
    socket.destroy();
    return { answer, isReused, ticket };
  };

  test('lets a registered certificate through, also over a session that it resumes', async (t) => {
    const { engine } = await startRaw(t);
    const laptop = await engine.createClientCertificate('laptop');
    const first = await echo(engine, laptop);
    assert.equal(first.answer, 'ping');
    const second = await echo(engine, laptop, first.ticket);
    assert.deepEqual([second.answer, second.isReused], ['ping', true]);
    await engine.withCredentials((credentials) => credentials.revoke('certificate', 'laptop'));
    assert.equal((await echo(engine, laptop, first.ticket)).answer, 'closed');
  });

  test('keeps its protocols', async (t) => {
    const { engine } = await startRaw(t, { tlsAlpns: ['echo'] });
    const laptop = await engine.createClientCertificate('laptop');
    const socket = await connectDownstream(engine, HOSTNAME, { ...laptop, alpn: ['other', 'echo'] });
    assert.equal(socket.alpnProtocol, 'echo');
    socket.destroy();
  });

  test('refuses who shows none by the alert certificate_required', async (t) => {
    const { engine, connectionCount } = await startRaw(t);
    // In TLS 1.3 a client's handshake is done before its certificate is looked at.
    const socket = await connectDownstream(engine, HOSTNAME);
    const [error] = (await once(socket.resume(), 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED');
    assert.match(await opensslClient(engine.port, HOSTNAME, '-tls1_2'), /alert handshake failure/);
    assert.equal(engine.log.withCode('CLIENT_CERTIFICATE_MISSING').length, 2);
    assert.equal(connectionCount(), 0);
  });

  test('breaks off before a byte reaches the upstream where a certificate proves nothing', async (t) => {
    const { engine, connectionCount } = await startRaw(t);
    const reader = await engine.createClientCertificate('reader', [PERMISSIONS.readResources]);
    assert.equal((await echo(engine, await createTestPair('a stranger'))).answer, 'closed');
    assert.equal((await echo(engine, reader)).answer, 'closed');
    for (const code of ['CLIENT_CERTIFICATE_UNKNOWN', 'PERMISSION_MISSING'])
      await eventually(() => engine.log.withCode(code).length === 1, code);
    assert.equal(connectionCount(), 0);
  });

  test('cuts a stream within a second after its certificate is revoked', async (t) => {
    const { engine } = await startRaw(t);
    const pairs = {
      gone: await engine.createClientCertificate('gone'),
      staying: await engine.createClientCertificate('staying'),
    };
    const sockets = await Promise.all(
      [pairs.gone, pairs.staying].map(async (pair) => {
        const socket = await connectDownstream(engine, HOSTNAME, { ...pair, alpn: [] });
        socket.on('error', () => {}).write('ping');
        await once(socket, 'data');
        return socket;
      }),
    );
    const [gone, staying] = sockets as [(typeof sockets)[0], (typeof sockets)[0]];
    const startMs = performance.now();
    const closed = new Promise((resolve) => gone.resume().once('close', resolve));
    await engine.withCredentials((credentials) => credentials.revoke('certificate', 'gone'));
    await closed;
    assert.ok(performance.now() - startMs < 1_000);
    assert.equal(staying.destroyed, false);
    staying.destroy();
  });
});
