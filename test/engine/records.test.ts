/** Each exchange and stream through a whole engine ends in one record, with the right facts and the right blame. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import type { FoundRecord } from '../../src/store/record-row.ts';
import { openRecordsTable } from '../../src/store/records.ts';
import { connectDownstream, fetchThrough, readUntil } from '../support/downstream.ts';
import { startEngine, startHttpUpstream, startTcpUpstream, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { privateDial } from '../support/fake-agent.ts';
import { readToEnd } from '../support/read-to-end.ts';
import { HOSTNAME, requestText } from './http-upstream.ts';

type Settings = Readonly<Record<string, unknown>>;

/** Waits until there are as many, and gives them, the newest first. */
const recordsOf = async ({ engine }: TestEngine, count = 1): Promise<readonly FoundRecord[]> => {
  const found = () => engine.records?.search({ limit: 100 }) ?? [];
  await eventually(() => found().length >= count, `${count} records`);
  assert.equal(found().length, count);
  return found();
};

/** What tells the records of these stories apart. */
const outlineOf = ({ kind, status, code, decision, ended_by, reason }: FoundRecord) => ({
  kind,
  status,
  code,
  decision,
  ended_by,
  reason,
});
const OK = {
  kind: 'exchange',
  status: 200,
  code: null,
  decision: 'allowed',
  ended_by: 'upstream',
  reason: 'complete',
};

const startWeb = async (t: TestContext, settings: Settings = {}, properties = {}) => {
  const engine = await startEngine(t, { settings });
  const upstream = await startHttpUpstream(t, (request, response) => {
    if (request.url === '/broken') request.socket.destroy();
    else if (request.url === '/endless') response.write('begun');
    else response.writeHead(200, { 'content-length': 5 }).end('hello');
  });
  const { reply } = await engine.publish(upstream, { hostname: 'web', name: 'site', ...properties });
  return { engine, upstream, reply };
};

describe('an exchange', () => {
  test('that went well has every fact', async (t) => {
    const { engine, reply } = await startWeb(t);
    const headers = { 'user-agent': 'a test', authorization: 'Bearer hunter2', cookie: 'session=hunter2' };
    await fetchThrough(engine, HOSTNAME, '/page?token=hunter2', { headers });
    const [record] = (await recordsOf(engine)) as [FoundRecord];
    assert.deepEqual(outlineOf(record), OK);
    const {
      address,
      protocol,
      method,
      host,
      path,
      user_agent,
      server_name,
      tls_version,
      tunnel_id,
      tunnel_name,
    } = record;
    assert.deepEqual(
      { address, protocol, method, host, path, user_agent, server_name, tls_version, tunnel_id, tunnel_name },
      {
        address: '127.0.0.1',
        protocol: 'http/1.1',
        method: 'GET',
        host: HOSTNAME,
        path: '/page',
        user_agent: 'a test',
        server_name: HOSTNAME,
        tls_version: 'TLSv1.3',
        tunnel_id: reply.id,
        tunnel_name: 'site',
      },
    );
    assert.match(record.cipher ?? '', /^TLS_/);
    assert.match(record.ja4 ?? '', /^t13d/);
    assert.match(record.offered_groups ?? '', /\bx25519\b/);
    assert.equal(record.bytes_down, 5);
    assert.ok((record.wait_ms ?? -1) >= 0 && (record.first_byte_ms ?? -1) >= (record.wait_ms ?? 0));
    assert.ok(record.duration_ms >= (record.first_byte_ms ?? 0));
    assert.doesNotMatch(JSON.stringify([record, engine.log.lines]), /hunter2/);
  });

  test('to an unknown name was judged by nobody', async (t) => {
    const { engine } = await startWeb(t);
    const { body } = await fetchThrough(engine, HOSTNAME, '/', { headers: { host: 'other.t.localhost' } });
    const [record] = (await recordsOf(engine)) as [FoundRecord];
    const refused = { code: 'HOST_UNKNOWN', ended_by: 'downstream', reason: 'HOST_UNKNOWN' };
    assert.deepEqual(outlineOf(record), { ...OK, ...refused, status: 404, decision: null });
    assert.equal(record.error_id, JSON.parse(body).error_id);
    assert.equal(record.wait_ms, null);
  });

  test('from a forbidden address was denied', async (t) => {
    const { engine } = await startWeb(t, {}, { trustedIps: ['192.0.2.0/24'] });
    await fetchThrough(engine, HOSTNAME, '/');
    const [record] = (await recordsOf(engine)) as [FoundRecord];
    const refused = { code: 'ADDRESS_FORBIDDEN', ended_by: 'downstream', reason: 'ADDRESS_FORBIDDEN' };
    assert.deepEqual(outlineOf(record), { ...OK, ...refused, status: 403, decision: 'denied' });
  });

  test('with a proof names the credential, and keeps nothing of the proof', async (t) => {
    const { engine } = await startWeb(t, {}, { tokenAuth: true });
    const token = await engine.createToken('visitor');
    await fetchThrough(engine, HOSTNAME, `/?rstream.token=${token}`);
    await fetchThrough(engine, HOSTNAME, '/', { headers: { authorization: 'Bearer wrong' } });
    const [refused, allowed] = (await recordsOf(engine, 2)) as [FoundRecord, FoundRecord];
    assert.deepEqual([allowed.status, allowed.decision], [200, 'allowed']);
    assert.match(allowed.dialer_credential_id ?? '', /^crd_/);
    assert.deepEqual([refused.code, refused.decision], ['TOKEN_INVALID', 'denied']);
    assert.equal(refused.dialer_credential_id, null);
    assert.equal(JSON.stringify([refused, allowed]).includes(token), false);
  });

  test('that the service broke off is its fault', async (t) => {
    const { engine } = await startWeb(t);
    await fetchThrough(engine, HOSTNAME, '/broken', { method: 'POST' });
    const [record] = (await recordsOf(engine)) as [FoundRecord];
    const refused = { code: 'UPSTREAM_CLOSED', ended_by: 'upstream', reason: 'UPSTREAM_CLOSED' };
    assert.deepEqual(outlineOf(record), { ...OK, ...refused, status: 502 });
    assert.notEqual(record.wait_ms, null);
  });

  test('that the downstream left is its own doing', async (t) => {
    const { engine } = await startWeb(t);
    const socket = await connectDownstream(engine, HOSTNAME);
    socket.write(requestText('GET /endless'));
    await readUntil(socket, (text) => text.includes('begun'));
    socket.destroy();
    const [record] = (await recordsOf(engine)) as [FoundRecord];
    const left = { code: 'REQUEST_ABORTED', ended_by: 'downstream', reason: 'REQUEST_ABORTED' };
    assert.deepEqual(outlineOf(record), { ...OK, ...left, status: 499 });
    assert.ok(record.bytes_down >= 5);
  });

  test('that cannot be read has no request', async (t) => {
    const { engine } = await startWeb(t);
    const socket = await connectDownstream(engine, HOSTNAME);
    socket.end('NONSENSE\r\n\r\n');
    await readToEnd(socket);
    const [record] = (await recordsOf(engine)) as [FoundRecord];
    assert.deepEqual([record.code, record.status, record.method], ['REQUEST_MALFORMED', 400, null]);
  });

  test('that became a WebSocket is one record, of its whole life', async (t) => {
    const { engine, upstream } = await startWeb(t);
    const server = new WebSocketServer({ server: upstream.server });
    server.on('connection', (socket) => socket.on('message', (data) => socket.send(data)));
    const options = { ca: engine.ca, servername: HOSTNAME, headers: { host: HOSTNAME } };
    const socket = new WebSocket(`wss://127.0.0.1:${engine.port}/socket`, options as object);
    await once(socket, 'open');
    socket.send('x'.repeat(1_000));
    await once(socket, 'message');
    assert.deepEqual(engine.engine.records?.search({ limit: 1 }), []);
    socket.close();
    const [record] = (await recordsOf(engine)) as [FoundRecord];
    assert.deepEqual(
      [record.kind, record.status, record.code, record.path],
      ['exchange', 101, null, '/socket'],
    );
    assert.ok(record.bytes_up > 1_000 && record.bytes_down > 1_000);
    assert.notEqual(record.reason, 'reset');
  });
});

describe('a raw stream', () => {
  const startTcp = async (t: TestContext, onConnection: (socket: Socket) => void) => {
    const engine = await startEngine(t, { settings: { tcp: { enabled: true, listen_host: '127.0.0.1' } } });
    const { reply } = await engine.publish(await startTcpUpstream(t, onConnection), { protocol: 'tcp' });
    const socket = connect({ host: '127.0.0.1', port: reply.port ?? 0, allowHalfOpen: true });
    socket.on('error', () => {});
    t.after(() => socket.destroy());
    return { engine, socket };
  };

  test('that both sides ended is complete', async (t) => {
    const { engine, socket } = await startTcp(t, (peer) => void peer.pipe(peer));
    socket.end('over tcp');
    await readToEnd(socket);
    const [record] = (await recordsOf(engine)) as [FoundRecord];
    const ended = { kind: 'stream', status: 0, ended_by: 'downstream', reason: 'complete' };
    assert.deepEqual(outlineOf(record), { ...OK, ...ended });
    assert.deepEqual([record.bytes_up, record.bytes_down, record.host], [8, 8, 'localhost']);
    assert.match(record.stream_id ?? '', /^[0-9a-f]{24}$/);
  });

  test('that the service reset is told as a break of its side', async (t) => {
    const { engine, socket } = await startTcp(t, (peer) => peer.once('data', () => peer.resetAndDestroy()));
    socket.write('reset me');
    const [record] = (await recordsOf(engine)) as [FoundRecord];
    assert.deepEqual([record.ended_by, record.reason, record.code], ['upstream', 'reset', null]);
  });

  test('by a private dial names its dialer', async (t) => {
    const engine = await startEngine(t);
    const upstream = await startTcpUpstream(t, (peer) => void peer.pipe(peer));
    await engine.publish(upstream, { publish: false, name: 'echo' });
    const { port, ca } = engine;
    const stream = await privateDial({ port, ca, token: await engine.createToken('dialer'), target: 'echo' });
    stream.end('in private');
    await readToEnd(stream);
    stream.destroy();
    const [record] = (await recordsOf(engine)) as [FoundRecord];
    assert.deepEqual([record.kind, record.bytes_up, record.bytes_down], ['private-stream', 10, 10]);
    assert.notEqual(record.dialer_credential_id, null);
    assert.notEqual(record.dialer_credential_id, record.credential_id);
  });
});

test('none is kept where the operator wants none', async (t) => {
  const { engine } = await startWeb(t, { records: { enabled: false } });
  await fetchThrough(engine, HOSTNAME, '/');
  assert.equal(engine.engine.records, undefined);
});

test('what was not written yet is written when the engine stops', async (t) => {
  const { engine } = await startWeb(t, { records: { path: 'kept.db' } });
  await fetchThrough(engine, HOSTNAME, '/');
  await engine.stop();
  const table = openRecordsTable({
    path: join(engine.directory, 'kept.db'),
    countMax: 1_000,
    ageMsMax: 86_400_000,
  });
  t.after(() => table.close());
  assert.equal(table.search({ limit: 10 }).length, 1);
});
