/** The inspector through a whole engine: what it captures, what it does not, what is sent again, and who may. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createSecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { WebSocketServer } from 'ws';
import type { TunnelProperties } from '../../src/base/tunnel-properties.ts';
import { testCertificates } from '../support/certificates.ts';
import { connectDownstream, fetchThrough, readUntil, startRequest } from '../support/downstream.ts';
import { startHttpUpstream, startTcpUpstream, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { readToEnd } from '../support/read-to-end.ts';
import { type Answer, type Ask, askAdmin, logIn, startAdminEngine } from './ask-admin.ts';
import { HOSTNAME, requestText } from './http-upstream.ts';
import { answerOf, connectHttp2, startUpstream, UPSTREAM_VERSIONS } from './http2-sides.ts';

const ON = { enabled: true, body_bytes_max: 1_000 };
const SECRET = 'hunter2';

interface Inspected {
  readonly engine: TestEngine;
  readonly ask: Ask;
  /** Path of the inspection. */
  readonly path: string;
  /** Waits until that many exchanges have ended, and gives them all, the newest first. */
  captured(count?: number): Promise<Answer['body'][]>;
  exchange(id: string): Promise<Answer['body']>;
  body(id: string, side: 'request' | 'response'): Promise<string>;
}

/** An engine whose one tunnel is inspected by the admin `owner`. */
const inspect = async (
  t: TestContext,
  upstream: { port: number },
  properties: TunnelProperties = {},
): Promise<Inspected> => {
  const engine = await startAdminEngine(t, {
    inspector: ON,
    admin: { enabled: true, listen_addr: '127.0.0.1:0' },
  });
  const { reply } = await engine.publish(upstream, { hostname: 'web', ...properties });
  const { ask } = await logIn(engine, 'owner');
  const path = `/tunnels/${reply.id}/inspection`;
  const started = await ask('PUT', path, { minutes: 5 });
  assert.deepEqual([started.status, started.body.state], [200, 'capturing']);
  const list = async () => (await ask('GET', `${path}/exchanges`)).body.items as Answer['body'][];
  return {
    engine,
    ask,
    path,
    async captured(count = 1) {
      for (let items = await list(); ; items = await list())
        if (items.filter(({ end }) => end !== 'open').length >= count) return items;
    },
    exchange: async (id) => (await ask('GET', `${path}/exchanges/${id}`)).body,
    body: async (id, side) => (await ask('GET', `${path}/exchanges/${id}/${side}-body`)).text,
  };
};

/** Echoes the body with a trailer, and sets a cookie. */
const echo = async (request: IncomingMessage, response: ServerResponse) => {
  const body = await readToEnd(request);
  response.setHeader('set-cookie', `session=${SECRET}`);
  response.setHeader('trailer', 'x-sum');
  response.write(`you said: ${body}`);
  response.addTrailers({ 'x-sum': '42' });
  response.end();
};

const headersOf = (pairs: [string, string][]) =>
  new Map(pairs.map(([name, value]) => [name.toLowerCase(), value]));

const askAsHttp2 = async (t: TestContext, engine: TestEngine, path: string, body: string) => {
  const session = await connectHttp2(t, engine);
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    ':authority': HOSTNAME,
    cookie: `a=${SECRET}`,
  });
  stream.end(body);
  return answerOf(stream);
};

describe('the inspector', () => {
  test('is off unless the configuration has it', async (t) => {
    const engine = await startAdminEngine(t);
    const upstream = await startHttpUpstream(t, (_request, response) => response.end('hello'));
    const { reply } = await engine.publish(upstream, { hostname: 'web' });
    const { ask } = await logIn(engine, 'owner');
    const path = `/tunnels/${reply.id}/inspection`;
    assert.equal((await ask('GET', path)).body.state, 'unavailable');
    for (const answer of [
      await ask('PUT', path, {}),
      await ask('GET', `${path}/exchanges`),
      await ask('DELETE', path),
    ])
      assert.deepEqual([answer.status, answer.body.code], [409, 'INSPECTOR_DISABLED']);
  });

  for (const version of UPSTREAM_VERSIONS)
    for (const down of ['h1', 'h2'] as const)
      test(`captures both directions from ${down} to ${version}, without credentials`, async (t) => {
        const upstream = await startUpstream(t, version, echo);
        const { engine, captured, exchange, body } = await inspect(t, upstream, { httpVersion: version });
        const target = `/say?x=1&rstream.token=${SECRET}`;
        if (down === 'h2') await askAsHttp2(t, engine, target, 'hello');
        else
          await fetchThrough(engine, HOSTNAME, target, {
            method: 'POST',
            body: 'hello',
            headers: { authorization: `Bearer ${SECRET}`, cookie: `a=${SECRET}` },
          });
        const [summary] = await captured();
        const { method, status, end, protocol, request_bytes } = summary;
        const expected = ['POST', 200, 'complete', down === 'h2' ? 'h2' : 'http/1.1', 5];
        assert.deepEqual([method, status, end, protocol, request_bytes], expected);
        assert.equal(summary.target, '/say?x=1&rstream.token=•••');
        const found = await exchange(summary.id);
        assert.ok(!JSON.stringify(found).includes(SECRET));
        assert.equal(headersOf(found.request_headers).get('cookie'), '•••');
        assert.equal(headersOf(found.response_headers).get('set-cookie'), '•••');
        assert.deepEqual(found.response_body.trailers, [['x-sum', '42']]);
        assert.ok(found.wait_ms >= 0 && found.first_byte_ms <= found.duration_ms);
        assert.deepEqual(
          [await body(summary.id, 'request'), await body(summary.id, 'response')],
          ['hello', 'you said: hello'],
        );
      });

  test('captures what an upstream with TLS is asked', async (t) => {
    const { cert, key } = await testCertificates();
    const server = createSecureServer({ cert, key, allowHTTP1: true }, (_request, response) => {
      response.end('secured');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const upstream = server.address() as AddressInfo;
    const { engine, captured, body } = await inspect(t, upstream, { upstreamTls: true });
    assert.equal((await fetchThrough(engine, HOSTNAME, '/')).status, 200);
    const [{ id }] = (await captured()) as [Answer['body']];
    assert.equal(await body(id, 'response'), 'secured');
  });

  test('takes chunk framing off for itself, and leaves it untouched for the upstream and the downstream', async (t) => {
    let received = '';
    const upstream = await startTcpUpstream(t, (socket) =>
      socket.on('data', (bytes) => {
        received += bytes.toString('latin1');
        if (received.endsWith('0\r\nx-sum: 1\r\n\r\n'))
          socket.write(
            'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nans\r\n3\r\nwer\r\n0\r\n\r\n',
          );
      }),
    );
    const { engine, captured, exchange, body } = await inspect(t, upstream);
    const socket = await connectDownstream(engine, HOSTNAME);
    const chunks = '4;c="d"\r\npart\r\n2\r\ns.\r\n0\r\nx-sum: 1\r\n\r\n';
    socket.write(requestText('POST /', 'Transfer-Encoding: chunked') + chunks);
    const answer = await readUntil(socket, (text) => text.endsWith('0\r\n\r\n'));
    socket.destroy();
    assert.ok(received.endsWith(chunks));
    assert.ok(answer.includes('3;a=b\r\nans\r\n'));
    const [{ id }] = (await captured()) as [Answer['body']];
    assert.deepEqual([await body(id, 'request'), await body(id, 'response')], ['parts.', 'answer']);
    assert.deepEqual((await exchange(id)).request_body.trailers, [['x-sum', '1']]);
  });

  test('shows an event stream while it flows, and delays nothing of it', async (t) => {
    const responses: ServerResponse[] = [];
    const upstream = await startHttpUpstream(t, (_request, response) => {
      responses.push(response);
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: one\n\n');
    });
    const { engine, ask, path, captured, body } = await inspect(t, upstream);
    const request = startRequest(engine, HOSTNAME, '/events').end();
    const [stream] = (await once(request, 'response')) as [IncomingMessage];
    assert.equal(String((await once(stream, 'data'))[0]), 'data: one\n\n');
    const [running] = (await ask('GET', `${path}/exchanges`)).body.items;
    assert.deepEqual([running.end, running.status], ['open', 200]);
    assert.equal(await body(running.id, 'response'), 'data: one\n\n');
    responses[0]?.write('data: two\n\n');
    assert.equal(String((await once(stream, 'data'))[0]), 'data: two\n\n');
    request.destroy();
    const [ended] = await captured();
    assert.deepEqual([ended.end, ended.id], ['abandoned', running.id]);
    assert.equal(await body(ended.id, 'response'), 'data: one\n\ndata: two\n\n');
  });

  test('keeps the beginning of a large upload and its true length, and passes all of it', async (t) => {
    const size = 1_000 + 1_048_576;
    let receivedBytes = 0;
    const upstream = await startHttpUpstream(t, (request, response) => {
      request.on('data', (chunk: Buffer) => {
        receivedBytes += chunk.length;
      });
      request.on('end', () => response.end('thanks'));
    });
    const { engine, ask, path, captured, exchange, body } = await inspect(t, upstream);
    await fetchThrough(engine, HOSTNAME, '/', { method: 'PUT', body: Buffer.alloc(size, 'x') });
    assert.equal(receivedBytes, size);
    const [{ id }] = (await captured()) as [Answer['body']];
    const expected = { bytes: size, kept_bytes: 1_000, is_whole: true, is_truncated: true, trailers: [] };
    assert.deepEqual((await exchange(id)).request_body, expected);
    assert.equal(await body(id, 'request'), 'x'.repeat(1_000));
    const refused = await ask('POST', `${path}/exchanges/${id}/replay`, {});
    assert.deepEqual([refused.status, refused.body.code], [409, 'REPLAY_IMPOSSIBLE']);
  });

  test('records a switch of protocols by its heads alone', async (t) => {
    const upstream = await startHttpUpstream(t, (_request, response) => response.end());
    const sockets = new WebSocketServer({ server: upstream.server });
    t.after(() => {
      for (const socket of sockets.clients) socket.terminate();
    });
    const { engine, ask, path, captured } = await inspect(t, upstream);
    const socket = await connectDownstream(engine, HOSTNAME);
    const key = Buffer.alloc(16).toString('base64');
    const upgrade = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'];
    socket.write(requestText('GET /chat', ...upgrade, `Sec-WebSocket-Key: ${key}`));
    await readUntil(socket, (text) => text.includes('\r\n\r\n'));
    const [found] = await captured();
    assert.deepEqual([found.end, found.status, found.response_bytes], ['switched', 101, 0]);
    const refused = await ask('POST', `${path}/exchanges/${found.id}/replay`, {});
    assert.equal(refused.body.code, 'REPLAY_IMPOSSIBLE');
    socket.destroy();
  });

  test('says why an exchange failed', async (t) => {
    const upstream = await startHttpUpstream(t, (request) => request.socket.destroy());
    const { engine, captured } = await inspect(t, upstream);
    assert.equal((await fetchThrough(engine, HOSTNAME, '/', { method: 'POST' })).status, 502);
    const [{ end, code, status }] = (await captured()) as [Answer['body']];
    assert.deepEqual([end, code, status], ['failed', 'UPSTREAM_CLOSED', undefined]);
  });
});

describe('a replay', () => {
  for (const version of UPSTREAM_VERSIONS)
    test(`reaches an upstream of ${version} once, marked, with what is given anew`, async (t) => {
      const asked: IncomingMessage[] = [];
      const upstream = await startUpstream(t, version, async (request, response) => {
        asked.push(request);
        await echo(request, response);
      });
      const { engine, ask, path, captured, exchange, body } = await inspect(t, upstream, {
        httpVersion: version,
      });
      await fetchThrough(engine, HOSTNAME, '/say?x=1&token=old', {
        method: 'POST',
        body: 'hello',
        headers: {
          cookie: `a=${SECRET}`,
          accept: 'text/plain',
          'x-rstream-replay': '1',
          X_Rstream_Replay: '1',
          'transfer-encoding': 'chunked',
          expect: '100-continue',
        },
      });
      const [{ id }] = (await captured()) as [Answer['body']];
      const { headers: first } = asked[0] as IncomingMessage;
      assert.equal(first['x-rstream-replay'] ?? first.x_rstream_replay, undefined, 'a downstream claimed it');

      const order = { headers: { cookie: 'a=new' }, query: { token: 'a b' } };
      const answer = await ask('POST', `${path}/exchanges/${id}/replay`, order);
      assert.deepEqual([answer.status, answer.body.outcome, answer.body.status], [200, 'answered', 200]);
      const [replay] = await captured(2);
      assert.deepEqual([replay.id, replay.replay_of], [answer.body.exchange_id, id]);
      assert.equal(await body(replay.id, 'response'), 'you said: hello');
      assert.ok(!JSON.stringify(await exchange(replay.id)).includes('a=new'), 'it is redacted as well');

      assert.equal(asked.length, 2);
      const { headers, method, url } = asked[1] as IncomingMessage;
      assert.deepEqual([method, url], ['POST', '/say?x=1&token=a%20b']);
      assert.deepEqual([headers['x-rstream-replay'], headers.cookie], ['1', 'a=new']);
      assert.deepEqual([headers.accept, headers['x-forwarded-for']], ['text/plain', '127.0.0.1']);
      const records = () => engine.engine.records?.search({ limit: 10 }) ?? [];
      await eventually(() => records().length === 2, 'both are recorded');
      assert.deepEqual(
        records().map(({ kind }) => kind),
        ['replay', 'exchange'],
      );
    });

  for (const version of UPSTREAM_VERSIONS)
    test(`of a request over HTTP/2 asks an upstream of ${version} for the same host`, async (t) => {
      const hosts: unknown[] = [];
      const upstream = await startUpstream(t, version, async (request, response) => {
        hosts.push(request.headers.host ?? request.headers[':authority']);
        await echo(request, response);
      });
      const { engine, ask, path, captured, body } = await inspect(t, upstream, { httpVersion: version });
      await askAsHttp2(t, engine, '/', 'hello');
      const [{ id }] = (await captured()) as [Answer['body']];
      assert.equal((await ask('POST', `${path}/exchanges/${id}/replay`, {})).body.status, 200);
      const [replay] = await captured(2);
      assert.equal(await body(replay.id, 'response'), 'you said: hello');
      assert.deepEqual(hosts, [HOSTNAME, HOSTNAME]);
    });

  test('carries trailers again', async (t) => {
    const trailers: unknown[] = [];
    const upstream = await startHttpUpstream(t, async (request, response) => {
      await readToEnd(request);
      trailers.push(request.trailers);
      response.end();
    });
    const { engine, ask, path, captured } = await inspect(t, upstream);
    const request = startRequest(engine, HOSTNAME, '/', { method: 'POST', headers: { trailer: 'x-sum' } });
    request.write('hello');
    request.addTrailers({ 'x-sum': '1' });
    request.end();
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    await readToEnd(response);
    const [{ id }] = (await captured()) as [Answer['body']];
    assert.equal((await ask('POST', `${path}/exchanges/${id}/replay`, {})).body.status, 200);
    assert.deepEqual(trailers, [{ 'x-sum': '1' }, { 'x-sum': '1' }]);
  });

  test('is told why it failed, and takes no more than what was redacted', async (t) => {
    const upstream = await startHttpUpstream(t, (_request, response) => response.end('hello'));
    const { engine, ask, path, captured } = await inspect(t, upstream);
    await fetchThrough(engine, HOSTNAME, '/');
    const [{ id }] = (await captured()) as [Answer['body']];
    const replay = (order: unknown) => ask('POST', `${path}/exchanges/${id}/replay`, order);
    assert.equal((await replay({ headers: { 'x-new': '1' } })).body.code, 'REPLAY_IMPOSSIBLE');
    assert.equal((await replay({ headers: { cookie: 'a\r\nb: c' } })).body.code, 'ADMIN_REQUEST_INVALID');
    assert.equal((await replay({ target: '/elsewhere' })).body.code, 'ADMIN_REQUEST_INVALID');
    upstream.server.closeAllConnections();
    upstream.server.close();
    await once(upstream.server, 'close');
    const failed = (await replay({})).body;
    assert.equal(failed.outcome, 'refused');
    assert.match(failed.code, /^(DIAL_BACK_REFUSED|UPSTREAM_CLOSED)$/);
  });

  test('without an end is ended with the engine', async (t) => {
    const upstream = await startHttpUpstream(t, (_request, response) => response.write('begun'));
    const { engine, ask, path } = await inspect(t, upstream);
    const request = startRequest(engine, HOSTNAME, '/').end();
    request.on('error', () => {});
    await once(request, 'response');
    const [{ id }] = (await ask('GET', `${path}/exchanges`)).body.items;
    assert.equal((await ask('POST', `${path}/exchanges/${id}/replay`, {})).body.outcome, 'answered');
    request.destroy();
    await engine.stop();
  });
});

describe('who may inspect', () => {
  test('is admins alone, also to look; and what they do is in the audit log', async (t) => {
    const upstream = await startHttpUpstream(t, (_request, response) => response.end('hello'));
    const { engine, ask, path, captured, body } = await inspect(t, upstream);
    await fetchThrough(engine, HOSTNAME, '/');
    const [{ id }] = (await captured()) as [Answer['body']];
    const { ask: askAsViewer } = await logIn(engine, 'guest', 'viewer');
    const paths: [string, string, unknown?][] = [
      ['GET', path],
      ['PUT', path, {}],
      ['DELETE', path],
      ['GET', `${path}/exchanges`],
      ['GET', `${path}/exchanges/${id}`],
      ['GET', `${path}/exchanges/${id}/request-body`],
      ['GET', `${path}/exchanges/${id}/response-body`],
      ['POST', `${path}/exchanges/${id}/replay`, {}],
    ];
    for (const [method, each, order] of paths)
      assert.equal((await askAsViewer(method, each, order)).body.code, 'ROLE_MISSING', `${method} ${each}`);

    assert.equal(await body(id, 'response'), 'hello');
    await ask('POST', `${path}/exchanges/${id}/replay`, {});
    assert.equal((await ask('DELETE', path)).status, 204);
    assert.equal((await ask('DELETE', path)).body.code, 'NOT_INSPECTED');
    assert.equal((await ask('GET', path)).body.state, 'off');
    const tunnelId = path.split('/')[2];
    const { items } = (await ask('GET', '/audit')).body;
    const told = (items as Record<string, string>[])
      .reverse()
      .filter(({ action = '' }) => action.startsWith('inspection.'))
      .map(({ actor, action, object, result }) => [actor, action, object, result].join(' '));
    assert.deepEqual(told, [
      `admin:owner inspection.start ${tunnelId} ok`,
      `admin:guest inspection.start ${tunnelId} ROLE_MISSING`,
      `admin:guest inspection.stop ${tunnelId} ROLE_MISSING`,
      `admin:guest inspection.read-request ${tunnelId}/${id} ROLE_MISSING`,
      `admin:guest inspection.read-response ${tunnelId}/${id} ROLE_MISSING`,
      `admin:guest inspection.replay ${tunnelId}/${id} ROLE_MISSING`,
      `admin:owner inspection.read-response ${tunnelId}/${id} ok`,
      `admin:owner inspection.replay ${tunnelId}/${id} ok`,
      `admin:owner inspection.stop ${tunnelId} ok`,
      `admin:owner inspection.stop ${tunnelId} NOT_INSPECTED`,
    ]);
  });

  test('inspects HTTP tunnels alone, for 15 minutes unless told otherwise, and a day at most', async (t) => {
    const upstream = await startHttpUpstream(t, (_request, response) => response.end());
    const { engine, ask, path } = await inspect(t, upstream);
    const { started_at, ends_at } = (await ask('PUT', path, {})).body;
    assert.equal(Date.parse(ends_at) - Date.parse(started_at), 900_000);
    for (const minutes of [0, 1_441, 1.5, 'x'])
      assert.equal((await ask('PUT', path, { minutes })).body.code, 'ADMIN_REQUEST_INVALID');
    const agent = await engine.connectAgent();
    await agent.openTunnel({ name: 'database', publish: false });
    const [raw] = (await ask('GET', '/tunnels?q=database')).body.items;
    assert.equal((await ask('PUT', `/tunnels/${raw.id}/inspection`, {})).body.code, 'ADMIN_INVALID');
  });

  test('finds both parts of a path in the document of the API', async (t) => {
    const engine = await startAdminEngine(t);
    const { paths } = (await askAdmin(engine, 'GET', '/api/admin/openapi.json')).body;
    const exchange = '/tunnels/{id}/inspection/exchanges/{exchangeId}';
    const { parameters, responses } = paths[`${exchange}/request-body`].get;
    assert.deepEqual(
      parameters.map(({ name }: { name: string }) => name),
      ['id', 'exchangeId'],
    );
    assert.ok(responses['200'].content['application/octet-stream']);
    assert.ok(paths['/tunnels/{id}/inspection'].put.requestBody);
  });

  test('gets bodies as files, whatever they claim to be', async (t) => {
    const upstream = await startHttpUpstream(t, (_request, response) =>
      response.writeHead(200, { 'content-type': 'text/html' }).end('<script>alert(1)</script>'),
    );
    const { engine, ask, path, captured } = await inspect(t, upstream);
    await fetchThrough(engine, HOSTNAME, '/');
    const [{ id }] = (await captured()) as [Answer['body']];
    const { headers, text } = await ask('GET', `${path}/exchanges/${id}/response-body`);
    assert.equal(text, '<script>alert(1)</script>');
    assert.equal(headers['content-type'], 'application/octet-stream');
    assert.equal(headers['content-disposition'], `attachment; filename="${id}-response.bin"`);
    assert.deepEqual([headers['cache-control'], headers['x-content-type-options']], ['no-store', 'nosniff']);
    assert.equal(
      (await ask('GET', `${path}/exchanges/exc_none/response-body`)).body.code,
      'EXCHANGE_UNKNOWN',
    );
  });

  test('finds nothing once the tunnel has closed', async (t) => {
    const upstream = await startHttpUpstream(t, (_request, response) => response.end('hello'));
    const { engine, ask, path } = await inspect(t, upstream);
    await fetchThrough(engine, HOSTNAME, '/');
    await ask('DELETE', path.replace('/inspection', ''));
    assert.equal((await ask('GET', `${path}/exchanges`)).body.code, 'TUNNEL_NOT_FOUND');
  });

  test('pages through what was captured, the newest first, and filters it', async (t) => {
    const upstream = await startHttpUpstream(t, (_request, response) => response.end());
    const { engine, ask, path, captured } = await inspect(t, upstream);
    for (const target of ['/1', '/2', '/3']) await fetchThrough(engine, HOSTNAME, target);
    await captured(3);
    const targetsOf = ({ items }: Answer['body']) => items.map(({ target }: { target: string }) => target);
    const first = (await ask('GET', `${path}/exchanges?limit=2`)).body;
    assert.deepEqual([targetsOf(first), first.total], [['/3', '/2'], 3]);
    const second = (await ask('GET', `${path}/exchanges?limit=2&after=${first.next}`)).body;
    assert.deepEqual([targetsOf(second), second.next], [['/1'], undefined]);
    assert.deepEqual(targetsOf((await ask('GET', `${path}/exchanges?q=/2`)).body), ['/2']);
  });
});
