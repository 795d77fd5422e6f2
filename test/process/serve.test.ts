/** The engine as a process: how it starts, ends, and what it never says. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { describe, test } from 'node:test';
import { fetchThrough, startRequest } from '../support/downstream.ts';
import { startHttpUpstream } from '../support/engine.ts';
import { connectFakeAgent } from '../support/fake-agent.ts';
import { readToEnd } from '../support/read-to-end.ts';
import { forgeToken } from '../support/store.ts';
import { runCommand, startCommand } from './command.ts';
import { makeInstance } from './instance.ts';

describe('serve', { concurrency: true }, () => {
  test('runs with --config alone, and ends with 0 on SIGTERM', async (t) => {
    const instance = await makeInstance(t);
    const { engine, port } = await instance.serve();
    const { status } = await fetchThrough({ port, ca: instance.ca }, 'localhost', '/healthz');
    assert.equal(status, 200);
    assert.equal(await engine.kill('SIGTERM'), 0);
    assert.equal(engine.stdout, '');
    assert.match(engine.stderr, /"engine stopped"/);
  });

  test('lets a download finish before it ends', async (t) => {
    const instance = await makeInstance(t);
    const { engine, port } = await instance.serve();
    const target = { port, ca: instance.ca };
    let atUpstream: ServerResponse | undefined;
    const upstream = await startHttpUpstream(t, (_, response) => {
      atUpstream = response;
      response.write('first half, ');
    });
    const flags = [...instance.engineFlags(port), '--token', await instance.createToken('agent')];
    const agent = startCommand(t, ['forward', `127.0.0.1:${upstream.port}`, '--hostname', 'web', ...flags]);
    await agent.says(/^https:\/\/web/m);
    const request = startRequest(target, 'web.t.localhost', '/');
    request.end();
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    await once(response, 'readable');

    engine.child.kill('SIGTERM');
    await engine.says(/"engine draining"/);
    await assert.rejects(connectFakeAgent({ ...target, token: 'any' }), { code: 6000 });
    atUpstream?.end('second half');
    assert.equal(String(await readToEnd(response)), 'first half, second half');
    assert.equal(await engine.ended, 0);
  });

  test('says in one sentence that its port is in use, and ends with 1', async (t) => {
    const { files } = await makeInstance(t);
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    t.after(() => other.close());
    const address = `127.0.0.1:${(other.address() as AddressInfo).port}`;
    const env = { RSTREAM_ENGINE_TLS__LISTEN_ADDR: address };
    const { code, stdout, stderr } = await runCommand(t, ['serve', '-c', files.config], { env });
    assert.deepEqual([code, stdout], [1, '']);
    assert.equal(
      stderr,
      `The address ${address} of tls.listen_addr is in use by another program.\nStop that program, or change the setting that is named.\n`,
    );
  });

  test('does not start with a damaged database, and names the way back', async (t) => {
    const { files } = await makeInstance(t);
    writeFileSync(files.database, 'this is no database');
    const { code, stderr } = await runCommand(t, ['serve', '-c', files.config]);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^The database \S+engine\.db cannot be used: it is not an SQLite database\.\n.*restore/,
    );
  });

  test('takes settings from the environment over those of the file', async (t) => {
    const instance = await makeInstance(t);
    const { engine, port } = await instance.serve({
      env: { RSTREAM_ENGINE_TLS__LISTEN_ADDR: '127.0.0.2:0', RSTREAM_ENGINE_TLS__PUBLIC_PORT: '443' },
    });
    assert.match(engine.stderr, /"address":"127\.0\.0\.2"/);
    const token = await instance.createToken('agent');
    const agent = await connectFakeAgent({ host: '127.0.0.2', port, ca: instance.ca, token });
    t.after(() => agent.kill());
    assert.equal((await agent.openTunnel({ hostname: 'web' })).host, 'web.t.localhost');
  });

  test('never says a secret, however much it logs', async (t) => {
    const instance = await makeInstance(t);
    const { config } = instance.files;
    const secret = 'a-shared-secret-of-more-than-32-bytes';
    const env = {
      RSTREAM_ENGINE_ENGINE__LOG_LEVEL: 'debug',
      RSTREAM_ENGINE_AUTH__JWT__TOKEN_JWT_SECRET: secret,
    };
    const { engine, port } = await instance.serve({ env });
    const target = { port, ca: instance.ca };
    const token = await instance.createToken('agent');
    const jwt = forgeToken({ claims: { sub: 'ci' }, key: secret });
    const expired = forgeToken({ claims: { exp: 1 }, key: secret });

    for (const good of [token, jwt]) {
      const agent = await connectFakeAgent({ ...target, token: good });
      await agent.openTunnel({});
      await agent.close();
    }
    for (const bad of [expired, `${token}x`])
      await assert.rejects(connectFakeAgent({ ...target, token: bad }));
    for (const authorization of [`Bearer ${token}`, `Bearer ${expired}`])
      await fetchThrough(target, 'localhost', '/api/tunnels', { headers: { authorization } });
    for (const path of ['/api/tunnels', '/nowhere'])
      await fetchThrough(target, 'localhost', `${path}?rstream.token=${token}`);
    assert.equal(await engine.kill('SIGTERM'), 0);

    const printed = await runCommand(t, ['check-config', '--print', '-c', config], { env });
    assert.match(engine.stderr, /"level":"debug"/);
    for (const text of [engine.stdout, engine.stderr, printed.stdout, printed.stderr])
      for (const hidden of [secret, token, jwt, expired]) assert.ok(!text.includes(hidden), text);
  });
});
