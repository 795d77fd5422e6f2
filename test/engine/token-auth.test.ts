/** Tunnels with token_auth: who is answered, who is refused with what, and that nothing of a consumed proof reaches the upstream. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { describe, type TestContext, test } from 'node:test';
import { PERMISSIONS } from '../../src/base/principal.ts';
import type { TunnelProperties } from '../../src/base/tunnel-properties.ts';
import { fetchThrough, startRequest } from '../support/downstream.ts';
import { startEngine, startHttpUpstream } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { connectAsker, HOSTNAME, requestText } from './http-upstream.ts';
import { answerOf, ask, connectHttp2, startBehind, startHttp2Upstream } from './http2-sides.ts';

/** An upstream that remembers what it was asked, published as HOSTNAME. */
const startPublished = async (
  t: TestContext,
  properties: TunnelProperties = { tokenAuth: true },
  settings: Readonly<Record<string, unknown>> = {},
) => {
  const requests: IncomingMessage[] = [];
  const upstream = await startHttpUpstream(t, (request, response) => {
    requests.push(request);
    response.end('hello');
  });
  upstream.server.on('upgrade', (request, socket) => {
    requests.push(request);
    socket.on('error', () => {});
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: custom\r\n\r\n');
  });
  upstream.server.on('connect', (request, socket) => {
    requests.push(request);
    socket.on('error', () => {}).write('HTTP/1.1 200 OK\r\n\r\n');
  });
  const engine = await startEngine(t, { settings });
  const { reply } = await engine.publish(upstream, { hostname: 'web', ...properties });
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const answer = await fetchThrough(engine, HOSTNAME, path, { headers });
    return {
      ...answer,
      code: answer.headers['rstream-error'],
      challenge: answer.headers['www-authenticate'],
    };
  };
  return { engine, upstream, requests, reply, get };
};

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

describe('a tunnel with token_auth', () => {
  test('answers a token in the header, in every spelling of the scheme, and keeps it from the upstream', async (t) => {
    const { engine, requests, get, reply } = await startPublished(t);
    assert.equal(reply.tokenAuth, true);
    const token = await engine.createToken('visitor', [PERMISSIONS.manageStreams]);
    for (const scheme of ['Bearer', 'bearer', 'BEARER']) {
      const { status } = await get('/path?a=1', { authorization: `${scheme} ${token}`, 'x-own': 'kept' });
      assert.equal(status, 200, scheme);
    }
    for (const { headers, url } of requests) {
      assert.deepEqual([headers.authorization, headers['x-own'], url], [undefined, 'kept', '/path?a=1']);
    }
  });

  test('answers a token in the query, and takes away that parameter and nothing else', async (t) => {
    const { engine, requests, get } = await startPublished(t);
    const token = await engine.createToken('visitor');
    const CASES = [
      ['/?rstream.token=T', '/'],
      ['/a?rstream.token=T&b=2', '/a?b=2'],
      ['/a?b=%20+x&&rstream.token=T&c', '/a?b=%20+x&&c'],
      [
        '/a%2Fb?%72stream%2Etoken=T&rstream.tokens=1&x=rstream.token',
        '/a%2Fb?rstream.tokens=1&x=rstream.token',
      ],
    ] as const;
    for (const [asked, seen] of CASES) {
      assert.equal((await get(asked.replace('T', token))).status, 200, asked);
      assert.equal(requests.at(-1)?.url, seen);
    }
    await get('/style.css', {
      ...bearer(token),
      referer: `https://${HOSTNAME}/page?rstream.token=${token}&b=1`,
    });
    assert.equal(requests.at(-1)?.headers.referer, `https://${HOSTNAME}/page?b=1`);
  });

  test('reads the query when the header is of another scheme, which is the application’s', async (t) => {
    const { engine, requests, get } = await startPublished(t);
    const token = await engine.createToken('visitor');
    assert.equal((await get(`/?rstream.token=${token}`, { authorization: 'Basic YTpi' })).status, 200);
    assert.equal(requests[0]?.headers.authorization, 'Basic YTpi');
    assert.equal((await get('/', { authorization: 'Basic YTpi' })).code, 'TOKEN_MISSING');
  });

  test('refuses without a token, or with a bad one, by 401 and a challenge, and asks no agent', async (t) => {
    const { engine, requests, get } = await startPublished(t);
    const token = await engine.createToken('gone');
    engine.revokeToken('gone');
    const CASES: [Record<string, string>, string, string, RegExp][] = [
      [{}, '/', 'TOKEN_MISSING', /^Bearer realm="rstream"$/],
      [bearer('nonsense'), '/', 'TOKEN_INVALID', /error="invalid_token"/],
      [{ authorization: 'Bearer' }, '/', 'TOKEN_MISSING', /^Bearer/],
      [bearer(`${token} ${token}`), '/', 'TOKEN_MISSING', /^Bearer/],
      [bearer(token), '/', 'TOKEN_REVOKED', /error="invalid_token"/],
      [{}, `/?rstream.token=${token}`, 'TOKEN_REVOKED', /error="invalid_token"/],
      [bearer('x'.repeat(10_000)), '/', 'TOKEN_INVALID', /error="invalid_token"/],
    ];
    for (const [headers, path, code, challenge] of CASES) {
      const answer = await get(path, headers);
      assert.deepEqual([answer.status, answer.code], [401, code], JSON.stringify(headers));
      assert.match(answer.challenge ?? '', challenge);
      assert.equal(answer.headers['cache-control'], 'no-store');
    }
    assert.equal(requests.length, 0);
  });

  test('refuses a token without the permission by 403, which names it', async (t) => {
    const { engine, get } = await startPublished(t);
    const token = await engine.createToken('reader', [PERMISSIONS.readResources, PERMISSIONS.manageTunnels]);
    const { status, code, body, challenge } = await get('/', bearer(token));
    assert.deepEqual([status, code], [403, 'PERMISSION_MISSING']);
    assert.match(body, /tunnels\.streams\.create-delete/);
    assert.match(challenge ?? '', /insufficient_scope/);
  });

  test('refuses more than one proof, good or bad', async (t) => {
    const { engine, get } = await startPublished(t);
    const token = await engine.createToken('visitor');
    const twice = await get(`/?rstream.token=${token}`, bearer(token));
    assert.deepEqual([twice.status, twice.code], [401, 'AMBIGUOUS_PROOF']);
    assert.match(twice.body, /ambiguous_proof/);
    const inQuery = await get(`/?rstream.token=${token}&%72stream.token=x`);
    assert.equal(inQuery.code, 'AMBIGUOUS_PROOF');
    const asker = await connectAsker(t, engine);
    const line = `Authorization: Bearer ${token}`;
    assert.match(await asker.ask(requestText('GET /', line, line), '}\n'), /^HTTP\/1\.1 401 /);
  });

  test('asks again on every request of a connection, of either version', async (t) => {
    const { engine } = await startPublished(t);
    const token = await engine.createToken('visitor');
    const session = await connectHttp2(t, engine);
    const asker = await connectAsker(t, engine);
    for (const _turn of [1, 2]) {
      assert.equal((await ask(session, bearer(token))).status, 200);
      assert.equal((await ask(session)).status, 401);
      assert.match(await asker.ask(requestText('GET /', `Authorization: Bearer ${token}`), 'hello'), / 200 /);
      assert.match(await asker.ask(requestText('GET /'), '}\n'), / 401 /);
    }
    engine.revokeToken('visitor');
    assert.equal((await ask(session, bearer(token))).headers['rstream-error'], 'TOKEN_REVOKED');
  });

  test('takes a body that arrives while its token is being verified', async (t) => {
    const { engine, requests } = await startPublished(t);
    const token = await engine.createToken('visitor');
    const answer = await fetchThrough(engine, HOSTNAME, '/', {
      method: 'POST',
      headers: bearer(token),
      body: 'x'.repeat(100_000),
    });
    assert.deepEqual([answer.status, requests.length], [200, 1]);
  });

  test('guards upgrades and CONNECT as it does requests', async (t) => {
    const { engine, requests } = await startPublished(t);
    const token = await engine.createToken('visitor');
    const upgrade = ['Connection: Upgrade', 'Upgrade: custom'];
    const CASES: [string, string[]][] = [
      [`GET /?rstream.token=${token}`, upgrade],
      ['GET /', [...upgrade, `Authorization: Bearer ${token}`]],
      ['CONNECT db:5432', [`Authorization: Bearer ${token}`, 'Proxy-Authorization: Basic YTpi']],
    ];
    for (const [line, headers] of CASES) {
      const asker = await connectAsker(t, engine);
      assert.match(await asker.ask(requestText(line, ...headers), '\r\n\r\n'), /^HTTP\/1\.1 (101|200) /);
      const seen = requests.at(-1);
      assert.equal(JSON.stringify([seen?.url, seen?.rawHeaders]).includes(token), false);
      const bare = headers.filter((header) => !header.startsWith('Authorization'));
      const refused = await connectAsker(t, engine);
      const text = requestText(line.replace(/\?.*/, ''), ...bare);
      assert.match(await refused.ask(text, '}\n'), /^HTTP\/1\.1 401 .*TOKEN_MISSING/s);
    }
    assert.equal(requests.length, CASES.length);
    assert.equal(requests[2]?.headers['proxy-authorization'], 'Basic YTpi');
  });

  test('guards the extended CONNECT of HTTP/2', async (t) => {
    const upstream = await startHttp2Upstream(t, (stream, headers) => {
      stream.respond({ ':status': 200 });
      stream.end(JSON.stringify([headers[':path'], headers.authorization ?? null]));
    });
    const engine = await startEngine(t);
    await engine.publish(upstream, { hostname: 'web', httpVersion: 'h2c', tokenAuth: true });
    const token = await engine.createToken('visitor');
    const session = await connectHttp2(t, engine);
    const { body } = await ask(session, { ':path': `/?a=1&rstream.token=${token}` });
    assert.deepEqual(JSON.parse(String(body)), ['/?a=1', null]);
    const socket = session.request({
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':authority': HOSTNAME,
      ':path': '/',
    });
    assert.equal((await answerOf(socket)).status, 401);
  });

  test('makes policy.require_authentication satisfiable', async (t) => {
    const settings = { policy: { require_authentication: true } };
    const { engine, get } = await startPublished(t, { tokenAuth: true }, settings);
    assert.equal((await get('/')).status, 401);
    assert.equal((await get('/', bearer(await engine.createToken('visitor')))).status, 200);
    const agent = await engine.connectAgent();
    await assert.rejects(agent.openTunnel({ hostname: 'open' }), /require_authentication/);
    await agent.openTunnel({ hostname: 'certified', protocol: 'tls', mtlsAuth: true });
  });

  test('tells those whom another rule denies of that rule alone', async (t) => {
    const { engine, get } = await startPublished(t, { tokenAuth: true, trustedIps: ['192.0.2.0/24'] });
    for (const headers of [{}, bearer('nonsense'), bearer(await engine.createToken('visitor'))])
      assert.equal((await get('/', headers)).code, 'ADDRESS_FORBIDDEN');
  });

  test('asks also those who come over a connection that was made to another host', async (t) => {
    const { engine, upstream } = await startPublished(t);
    await engine.publish(upstream, { hostname: 'open' });
    const token = await engine.createToken('visitor');
    const session = await connectHttp2(t, engine, 'open.t.localhost');
    assert.equal((await ask(session)).status, 401);
    assert.equal((await ask(session, bearer(token))).status, 200);
  });
});

test('a tunnel without token_auth passes bearers and rstream.token on untouched', async (t) => {
  const { requests, get } = await startPublished(t, {});
  assert.equal((await get('/?rstream.token=own', bearer('own'))).status, 200);
  const [seen] = requests;
  assert.deepEqual([seen?.url, seen?.headers.authorization], ['/?rstream.token=own', 'Bearer own']);
});

describe('a token that is revoked', () => {
  const SECOND_MS = 1_000;
  const within = async (event: Promise<unknown>) => {
    const startMs = performance.now();
    await event;
    assert.ok(performance.now() - startMs < SECOND_MS);
  };

  test('cuts the answer and the upgraded connection that it opened, and no others', async (t) => {
    const upstream = await startHttpUpstream(t, (_request, response) => void response.write('begun'));
    upstream.server.on('upgrade', (_request, socket) => {
      socket.on('error', () => {}).resume();
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: custom\r\n\r\n');
    });
    const engine = await startEngine(t);
    await engine.publish(upstream, { hostname: 'web', tokenAuth: true });
    const open = async (name: string) => {
      const headers = bearer(await engine.createToken(name));
      const request = startRequest(engine, HOSTNAME, '/', { headers });
      request.on('error', () => {}).end();
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      const cut = new Promise((resolve) => response.on('error', () => {}).once('close', resolve));
      response.resume();
      const asker = await connectAsker(t, engine);
      const lines = ['Connection: Upgrade', 'Upgrade: custom', `Authorization: ${headers.authorization}`];
      await asker.ask(requestText('GET /', ...lines), '\r\n\r\n');
      const broken = new Promise((resolve) => asker.socket.on('error', () => {}).once('close', resolve));
      asker.socket.resume();
      return { request, socket: asker.socket, over: Promise.all([cut, broken]) };
    };
    const [gone, staying] = [await open('gone'), await open('staying')];
    engine.revokeToken('gone');
    await within(gone.over);
    assert.equal(staying.socket.destroyed, false);
    assert.equal(engine.engine.counts().downstreams > 0, true);
    await eventually(() => engine.log.withCode('TOKEN_REVOKED').length >= 2, 'both are in the log');
    staying.request.destroy();
    staying.socket.destroy();
    await staying.over;
  });

  test('cuts HTTP/2 streams, not the connection that carries those of others', async (t) => {
    const upstream = await startHttpUpstream(t, (request, response) => {
      if (request.url === '/slow') response.write('begun');
      else response.end('hello');
    });
    const engine = await startBehind(t, upstream, 'http/1.1');
    await engine.publish(upstream, { hostname: 'guarded', tokenAuth: true });
    const session = await connectHttp2(t, engine, 'guarded.t.localhost');
    const authority = { ':authority': 'guarded.t.localhost' };
    const [gone, other] = [await engine.createToken('gone'), await engine.createToken('other')];
    const stream = session.request({ ...authority, ':path': '/slow', ...bearer(gone) });
    await once(stream, 'response');
    stream.on('error', () => {}).resume();
    engine.revokeToken('gone');
    await within(new Promise((resolve) => stream.once('close', resolve)));
    assert.notEqual(stream.rstCode, 0);
    assert.equal((await ask(session, { ...authority, ...bearer(other) })).status, 200);
    await eventually(() => !session.destroyed, 'the connection stands');
  });
});
