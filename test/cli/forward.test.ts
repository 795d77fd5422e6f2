import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { EngineError } from '../../src/base/errors.ts';
import { registerForward } from '../../src/cli/forward.ts';
import { startTinyEngine } from '../agent/tiny-engine.ts';
import { closedPort, echo, startUpstream } from '../agent/upstream.ts';
import { createCommandRunner } from './run-command.ts';

const run = createCommandRunner(registerForward);
const refusal = (text: string) => (error: unknown) =>
  error instanceof EngineError && error.message.includes(text);

test('prints the forwarding address once the tunnel is online, and forwards to the service', async (t) => {
  const engine = await startTinyEngine(t);
  const { host, port } = await startUpstream(t, echo);
  const command = await run(t, engine.target, [
    'forward',
    `${host}:${port}`,
    '--hostname',
    'hello',
    '--name',
    'hi',
    '--label',
    'team=a=b',
    '--label',
    'empty=',
  ]);
  const channel = await engine.acceptTunnel({ hostname: 'hello.t.localhost', protocol: 'http', port: 8443 });
  assert.equal(channel.first.details.token, 'the-token');
  assert.deepEqual(channel.asked.properties, {
    name: 'hi',
    hostname: 'hello',
    publish: true,
    labels: { team: 'a=b', empty: '' },
  });
  assert.equal(await command.printed(), 'https://hello.t.localhost:8443');

  channel.send({ kind: 'dial-request', tunnelId: 'tun_1', streamId: 's1', secret: 'q' });
  const { socket } = await engine.accept('dial-back');
  socket.write('ping');
  assert.equal(String((await once(socket, 'data'))[0]), 'ping');

  command.stop();
  await channel.next('close-channel');
  channel.send({ kind: 'channel-closed' });
  await command.over;
});

test('asks for everything that its flags name, and leaves the rest to the engine', async (t) => {
  const engine = await startTinyEngine(t);
  const flags =
    '--protocol tls --tls-mode terminated --tls-alpn a/1 --tls-alpn b/1 --tls-min-version tls1.3 --upstream-tls ' +
    '--tls-cipher TLS_AES_128_GCM_SHA256 --trusted-ip 192.0.2.0/24 --geoip CH --port 22 --http-version h2c --token-auth --mtls-auth';
  await run(t, engine.target, ['forward', '3000', ...flags.split(' ')]);
  const { asked } = await engine.acceptTunnel();
  assert.deepEqual(asked.properties, {
    publish: true,
    protocol: 'tls',
    tlsMode: 'terminated',
    tlsAlpns: ['a/1', 'b/1'],
    tlsMinVersion: 'tls1.3',
    tlsCiphers: ['TLS_AES_128_GCM_SHA256'],
    upstreamTls: true,
    tokenAuth: true,
    mtlsAuth: true,
    trustedIps: ['192.0.2.0/24'],
    geoip: ['CH'],
    port: 22,
    httpVersion: 'h2c',
  });
});

test('a private tunnel prints its name', async (t) => {
  const engine = await startTinyEngine(t);
  const command = await run(t, engine.target, ['forward', '3000', '--no-publish', '--name', 'db']);
  const { asked } = await engine.acceptTunnel();
  assert.deepEqual(asked.properties, { name: 'db', publish: false });
  assert.equal(await command.printed(), 'rstrm://db (unpublished)');
});

test('says why it is offline and when it tries again', async (t) => {
  const command = await run(t, await closedPort(), ['forward', '3000']);
  assert.match(await command.told('Offline'), /ECONNREFUSED\. Trying again in \d\.\d s\./);
  command.stop();
  await command.over;
});

test('says when the service does not answer', async (t) => {
  const engine = await startTinyEngine(t);
  const { host, port } = await closedPort();
  const command = await run(t, engine.target, ['forward', `${host}:${port}`]);
  const channel = await engine.acceptTunnel();
  channel.send({ kind: 'dial-request', tunnelId: 'tun_1', streamId: 's1' });
  assert.match(await command.told('refused'), /ECONNREFUSED/);
});

test('fails with the sentence of an engine that refuses for good', async (t) => {
  const engine = await startTinyEngine(t);
  const command = await run(t, engine.target, ['forward', '3000']);
  const error = { code: 1_000, message: 'The token has expired.' };
  (await engine.accept('open-channel')).send({ kind: 'channel-refused', error });
  await assert.rejects(command.over, refusal('The token has expired.'));
});

describe('wrong usage', () => {
  const CASES: [args: string[], problem: string][] = [
    [['nonsense'], 'neither a port nor host:port'],
    [['0'], 'neither a port nor host:port'],
    [['http://localhost:80'], 'neither a port nor host:port'],
    [['3000', '--label', 'novalue'], 'key=value'],
    [['3000', '--no-publish', '--hostname', 'a'], '--no-publish'],
  ];
  for (const [args, problem] of CASES)
    test(args.join(' '), async (t) => {
      const command = await run(t, { host: '127.0.0.1', port: 1 }, ['forward', ...args]);
      await assert.rejects(command.over, refusal(problem));
    });
});
