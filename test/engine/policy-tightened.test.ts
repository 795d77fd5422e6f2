/** Raw streams and open tunnels when the operator's rules become stricter, and again when they no longer are. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import type { TunnelProperties } from '../../src/base/tunnel-properties.ts';
import { fetchThrough } from '../support/downstream.ts';
import { startEngine, startHttpUpstream, startTcpUpstream } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { privateDial } from '../support/fake-agent.ts';
import { freePort } from '../support/free-port.ts';

const OPEN = 'policy: {}';
const AWAY = 'policy: {trusted_ips: [192.0.2.0/24]}';
const ONLY_HTTP = 'policy: {published_protocols: [http]}';
const AUTHENTICATED = 'policy: {require_authentication: true}';

/** An engine whose policy is a line of its file, and an upstream that echoes and keeps count. */
const start = async (t: TestContext) => {
  const port = await freePort();
  const tcp = { enabled: true, listen_host: '127.0.0.1', port_range: `${port}-${port}` };
  const engine = await startEngine(t, { settings: { tcp, policy: {} }, hasConfigFile: true });
  const counts = { opened: 0, closed: 0 };
  const upstream = await startTcpUpstream(t, (socket) => {
    counts.opened += 1;
    socket.on('close', () => {
      counts.closed += 1;
    });
    socket.pipe(socket);
  });
  const path = join(engine.directory, 'config.yaml');
  const text = readFileSync(path, 'utf8');
  const rule = (line: string) => {
    writeFileSync(path, text.replace(OPEN, line));
    engine.configFile?.reload();
  };
  /** A downstream, before it is known whether it is let in. */
  const open = (kind: 'TCP' | 'TLS'): Socket => {
    const { ca } = engine;
    const names = { servername: 'raw.t.localhost', ca };
    const host = '127.0.0.1';
    const socket =
      kind === 'TCP' ? connectTcp({ host, port }) : connectTls({ host, port: engine.port, ...names });
    t.after(() => socket.destroy());
    return socket.on('error', () => {});
  };
  return { engine, upstream, counts, rule, open };
};

/** However it ends. */
const ended = (socket: Socket) => new Promise((resolve) => socket.resume().once('close', resolve));

const echoOf = async (socket: Socket, said = 'hello'): Promise<string> => {
  socket.write(said);
  return String((await once(socket, 'data'))[0]);
};

const RAW = [
  ['TCP', { protocol: 'tcp' }],
  ['TLS', { protocol: 'tls', hostname: 'raw' }],
] as const satisfies [string, TunnelProperties][];

for (const [kind, properties] of RAW)
  test(`a ${kind} stream is cut at both ends, a private one is not`, async (t) => {
    const { engine, upstream, counts, rule, open } = await start(t);
    await engine.publish(upstream, properties);
    await engine.publish(upstream, { publish: false, name: 'own' });
    const socket = open(kind);
    const token = await engine.createToken('dialer');
    const dialled = (await privateDial({ ...engine, target: 'own', token })) as Socket;
    t.after(() => dialled.destroy());
    for (const each of [socket, dialled]) assert.equal(await echoOf(each), 'hello');

    const cut = ended(socket);
    rule(AWAY);
    await cut;
    await eventually(() => counts.closed === 1, 'the upstream is told');
    assert.equal(await echoOf(dialled, 'still here'), 'still here');
    await ended(open(kind));
    assert.equal(counts.opened, 2, 'nobody else has reached the upstream');

    rule(OPEN);
    assert.equal(await echoOf(open(kind)), 'hello');
  });

test('a stream that is passed through is cut, though nothing but its address is known', async (t) => {
  const { engine, rule, open } = await start(t);
  const agent = await engine.connectAgent();
  await agent.openTunnel({ protocol: 'tls', hostname: 'raw', tlsMode: 'passthrough' });
  const socket = open('TLS');
  const stream = await agent.answerDial(await agent.next('dial-request'));
  assert.equal((await once(stream, 'data'))[0][0], 0x16, 'the ClientHello has come');
  const broken = assert.rejects(once(stream, 'end'), { code: 'ECONNRESET' });
  const isOver = Promise.all([ended(socket), broken]);
  rule(AWAY);
  await isOver;
});

test('an open tunnel that is not allowed any more keeps its name, lets nobody in, and is reached again later', async (t) => {
  const { engine, upstream, counts, rule, open } = await start(t);
  const web = await startHttpUpstream(t, (_request, response) => void response.end('hello'));
  const codeOf = async () => (await fetchThrough(engine, 'web.t.localhost', '/')).headers['rstream-error'];
  await engine.publish(web, { hostname: 'web' });
  await engine.publish(upstream, { protocol: 'tcp' });

  rule(ONLY_HTTP);
  const told = engine.log.lines.filter(({ message }) => message.startsWith('an open tunnel lets nobody in'));
  assert.deepEqual(
    told.map(({ level, fields }) => [level, fields.problem]),
    [['warn', 'protocol tcp is not in policy.published_protocols']],
  );
  assert.equal(await codeOf(), undefined);
  await ended(open('TCP'));
  await eventually(() => engine.log.withCode('TUNNEL_FORBIDDEN').length === 1, 'it is in the log');
  assert.equal(counts.opened, 0);
  rule(AUTHENTICATED);
  assert.equal(await codeOf(), 'TUNNEL_FORBIDDEN');
  assert.equal(engine.engine.counts().tunnels, 2);

  rule(OPEN);
  assert.equal(await codeOf(), undefined);
  assert.equal(await echoOf(open('TCP')), 'hello');
});
