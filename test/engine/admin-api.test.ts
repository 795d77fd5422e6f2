/** What the Admin API shows and changes, over real sockets, and what the audit log says of it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { createClock } from '../../src/base/time.ts';
import { createAuthority } from '../../src/store/authority.ts';
import { connectDownstream } from '../support/downstream.ts';
import { askAdmin, askWithToken, logIn, PASSWORD, startAdminEngine } from './ask-admin.ts';

const newToken = { name: 'laptop', permissions: null };

describe('the Admin API', () => {
  test('lists and ends what is connected', async (t) => {
    const engine = await startAdminEngine(t);
    const { ask } = await logIn(engine, 'owner');
    const agent = await engine.connectAgent();
    for (const name of ['one', 'two', 'three'])
      await agent.openTunnel({ name, publish: true, protocol: 'http' });

    const { counts, status } = (await ask('GET', '/overview')).body;
    assert.deepEqual([status, counts.agents, counts.tunnels], ['ready', 1, 3]);
    const first = (await ask('GET', '/tunnels?limit=2')).body;
    assert.deepEqual([first.items.length, first.total], [2, 3]);
    const second = (await ask('GET', `/tunnels?limit=2&after=${first.next}`)).body;
    const names = [...first.items, ...second.items].map(({ name }: { name: string }) => name);
    assert.deepEqual([names.sort(), second.next], [['one', 'three', 'two'], undefined]);
    const [found] = (await ask('GET', '/tunnels?q=TWO')).body.items;
    assert.equal(found.name, 'two');

    assert.equal((await ask('DELETE', `/tunnels/${found.id}`)).status, 204);
    assert.equal((await ask('DELETE', `/tunnels/${found.id}`)).body.code, 'TUNNEL_NOT_FOUND');
    assert.equal(engine.engine.counts().tunnels, 2);
    assert.equal((await ask('DELETE', `/agents/${agent.agentId}`)).status, 204);
    await agent.next('channel-closed');
    assert.equal((await ask('DELETE', '/agents/cli_none')).body.code, 'AGENT_UNKNOWN');
  });

  test('makes tokens, counts what lives by them, rotates and revokes', async (t) => {
    const engine = await startAdminEngine(t);
    const { ask } = await logIn(engine, 'owner');
    const made = await ask('POST', '/tokens', newToken);
    assert.equal(made.status, 201);
    const { token, id } = made.body;
    const agent = await engine.connectAgent({ token });
    await agent.openTunnel({ publish: true, protocol: 'http' });
    const shown = (await ask('GET', `/tokens/${id}`)).body;
    assert.deepEqual([shown.agent_count, shown.tunnel_count, shown.token], [1, 1, undefined]);

    const rotate = (etag?: string) => ask('POST', `/tokens/${id}/rotate`, {}, { 'if-match': etag });
    assert.equal((await rotate()).body.code, 'VERSION_MISSING');
    const both = await Promise.all([rotate(shown.etag), rotate(shown.etag)]);
    assert.deepEqual(both.map(({ status }) => status).sort(), [200, 412]);
    await agent.next('channel-closed');
    const { token: second } = both.find(({ status }) => status === 200)!.body;
    const next = await engine.connectAgent({ token: second });
    assert.equal((await ask('DELETE', `/tokens/${id}`)).body.state, 'revoked');
    await next.next('channel-closed');
  });

  test('makes applications, and refuses them the permission of the Admin API', async (t) => {
    const engine = await startAdminEngine(t);
    const { ask } = await logIn(engine, 'owner');
    const { body } = await ask('POST', '/applications', newToken);
    assert.match(body.client_secret, /^[0-9a-f]+$/);
    assert.equal(body.client_id, body.id);
    const admin = await ask('POST', '/applications', { name: 'x', permissions: ['engine.admin'] });
    assert.equal(admin.body.code, 'CREDENTIAL_INVALID');
  });

  test('issues a certificate whose bundle is fetched once', async (t) => {
    const engine = await startAdminEngine(t);
    const { ask } = await logIn(engine, 'owner');
    const order = { name: 'phone', permissions: null, days: 30 };
    const without = await ask('POST', '/certificates', order);
    assert.deepEqual([without.status, without.body.code], [409, 'LOCAL_CA_UNAVAILABLE']);
    const authority = await createAuthority({ host: 'localhost', clock: createClock() });
    writeFileSync(join(engine.directory, 'ca.pem'), authority.caCertificate);
    writeFileSync(join(engine.directory, 'ca-key.pem'), authority.caKey);

    const { body } = await ask('POST', '/certificates', order);
    assert.ok(!body.download_path.includes(body.password));
    const fetchBundle = (method = 'GET') => askAdmin(engine, method, body.download_path);
    assert.equal((await fetchBundle('HEAD')).status, 405);
    const bundle = await fetchBundle();
    assert.equal(bundle.headers['content-type'], 'application/x-pkcs12');
    assert.equal(bundle.headers['content-disposition'], 'attachment; filename="phone.p12"');
    assert.equal((await fetchBundle()).body.code, 'DOWNLOAD_UNKNOWN');
    const path = join(engine.directory, 'phone.p12');
    writeFileSync(path, Buffer.from(bundle.text, 'latin1'));
    const opened = spawnSync(
      'openssl',
      ['pkcs12', '-in', path, '-nokeys', '-clcerts', '-passin', `pass:${body.password}`],
      { encoding: 'utf8' },
    );
    assert.match(opened.stdout, /BEGIN CERTIFICATE/);
    const again = await ask('POST', '/certificates/add', {
      name: 'twice',
      permissions: null,
      pem: opened.stdout,
    });
    assert.equal(again.body.code, 'CREDENTIAL_INVALID');
    assert.equal((await ask('DELETE', `/certificates/${body.id}`)).body.state, 'revoked');
  });

  test('lets admins in and out, with the version that was read', async (t) => {
    const engine = await startAdminEngine(t);
    const { ask, id } = await logIn(engine, 'owner');
    const made = (await ask('POST', '/admins', { name: 'guest', role: 'viewer' })).body;
    assert.match(made.link, new RegExp(`^https://localhost:${engine.adminPort}/#link=\\w{40}$`));
    const change = (etag: string, role = 'admin') =>
      ask('PATCH', `/admins/${made.id}`, { role }, { 'if-match': etag });
    assert.equal((await change(made.etag)).body.role, 'admin');
    assert.deepEqual((await change(made.etag, 'viewer')).body.code, 'VERSION_OUTDATED');
    assert.equal((await ask('DELETE', `/admins/${id}`)).body.code, 'ADMIN_INVALID');
    assert.equal((await ask('DELETE', `/admins/${made.id}`)).status, 204);
  });

  test('has every change and every login in the audit log, in the name of who asked', async (t) => {
    const engine = await startAdminEngine(t);
    const { ask, origin } = await logIn(engine, 'owner');
    const guest = await logIn(engine, 'guest', 'viewer');
    await askAdmin(engine, 'POST', '/api/admin/session', { name: 'owner', password: 'wrong' }, { origin });
    const { id, etag } = (await ask('POST', '/tokens', newToken)).body;
    await ask('POST', `/tokens/${id}/rotate`, {}, { 'if-match': `${etag}x` });
    await ask('DELETE', `/tokens/${id}`);
    await ask('DELETE', '/tunnels/tun_none');
    await guest.ask('POST', '/tokens', newToken);
    const automation = await engine.createToken('automation', ['engine.admin']);
    await askWithToken(engine, automation)('POST', '/applications', newToken);
    await guest.ask('DELETE', '/session');

    const { items } = (await ask('GET', '/audit')).body as { items: Record<string, string>[] };
    const told = items.reverse().map(({ actor = '', action, result, origin: from }) => {
      assert.equal(from, '127.0.0.1');
      return `${actor.replace(/crd_\w+/, 'id')} ${action} ${result}`;
    });
    assert.deepEqual(told, [
      'admin:owner session.link ok',
      'admin:guest session.link ok',
      'nobody session.login LOGIN_INVALID',
      'admin:owner pat.create ok',
      'admin:owner pat.rotate VERSION_OUTDATED',
      'admin:owner pat.revoke ok',
      'admin:owner tunnel.close TUNNEL_NOT_FOUND',
      'admin:guest pat.create ROLE_MISSING',
      'token:id app.create ok',
      'admin:guest session.logout ok',
    ]);
    assert.equal((await ask('GET', '/audit/verify')).body.count, told.length);
    assert.equal((await ask('GET', '/audit?limit=2&before=3')).body.items.length, 2);
  });

  test('says what it understands, and refuses the rest', async (t) => {
    const engine = await startAdminEngine(t);
    const { ask } = await logIn(engine, 'owner');
    const document = (await askAdmin(engine, 'GET', '/api/admin/openapi.json')).body;
    assert.equal(document.openapi, '3.1.0');
    assert.ok(document.paths['/tokens/{id}/rotate'].post.requestBody);
    const wrong: [string, string, unknown, string][] = [
      ['POST', '/tokens', { ...newToken, more: 1 }, 'ADMIN_REQUEST_INVALID'],
      ['POST', '/tokens', '{', 'ADMIN_REQUEST_INVALID'],
      ['POST', '/tokens', { ...newToken, name: 'x'.repeat(70_000) }, 'ADMIN_BODY_TOO_LARGE'],
      ['GET', '/tunnels?limit=0', undefined, 'ADMIN_REQUEST_INVALID'],
      ['GET', '/tunnels?after=x', undefined, 'ADMIN_REQUEST_INVALID'],
      ['GET', '/tunnels?nonsense=1', undefined, 'ADMIN_REQUEST_INVALID'],
      ['PUT', '/tokens', undefined, 'ADMIN_METHOD_NOT_ALLOWED'],
      ['GET', '/nonsense', undefined, 'ADMIN_PATH_UNKNOWN'],
    ];
    for (const [method, path, body, code] of wrong)
      assert.equal((await ask(method, path, body)).body.code, code, `${method} ${path}`);
  });

  test('shares nothing with the port of downstreams, and tells nobody a secret', async (t) => {
    const engine = await startAdminEngine(t);
    const { cookie } = await logIn(engine, 'owner');
    const socket = await connectDownstream(engine, 'localhost');
    socket.write(
      `GET /api/admin/overview HTTP/1.1\r\nhost: localhost\r\ncookie: ${cookie}\r\nconnection: close\r\n\r\n`,
    );
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    assert.match(Buffer.concat(chunks).toString(), /^HTTP\/1\.1 404 /);
    const said = JSON.stringify(engine.log.lines);
    for (const secret of [PASSWORD, cookie.split('=')[1]!]) assert.ok(!said.includes(secret));
  });
});
