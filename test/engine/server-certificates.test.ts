/** The life of server certificates with a whole engine: reloaded, kept out, renewed, replaced, while connections stay up. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { createAuthority } from '../../src/store/authority.ts';
import { createRsaPair, createTestPair, type TestPair, testCertificates } from '../support/certificates.ts';
import { createCalendarClock, createFakeClock } from '../support/clock.ts';
import { startEngine, startTcpUpstream, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { askAdmin, askWithToken, logIn, startAdminEngine } from './ask-admin.ts';

const DAY_MS = 86_400_000;

const write = ({ certFile, keyFile }: { certFile: string; keyFile: string }, { cert, key }: TestPair) => {
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key, { mode: 0o600 });
};

/** An engine with files of its own. */
const startWithPair = async (t: TestContext, pair: TestPair) => {
  const { ca } = await testCertificates();
  const directory = makeTemporaryDirectory(t);
  const files = { certFile: join(directory, 'server.pem'), keyFile: join(directory, 'server-key.pem') };
  write(files, pair);
  return { engine: await startAdminEngine(t, {}, { certificates: { ca, ...files } }), files };
};

/** A verified connection of a downstream; its certificate is what a handshake of now shows. */
const connectTo = async (
  t: TestContext,
  { port, ca }: Pick<TestEngine, 'port' | 'ca'>,
): Promise<TLSSocket> => {
  const socket = connect({ host: '127.0.0.1', port, ca, servername: 'localhost' });
  t.after(() => socket.destroy());
  await once(socket, 'secureConnect');
  return socket;
};

const fingerprintOf = (pem: string | Buffer) => new X509Certificate(pem).fingerprint256;

const shownBy = async (t: TestContext, engine: TestEngine): Promise<string> => {
  const socket = await connectTo(t, engine);
  const shown = socket.getPeerX509Certificate()?.fingerprint256 ?? '';
  socket.destroy();
  return shown;
};

/** Asks over a connection that stays up. */
const healthOver = async (socket: TLSSocket): Promise<string> => {
  socket.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n');
  const [answer] = (await once(socket, 'data')) as [Buffer];
  return answer.toString('latin1').split('\r\n')[0] ?? '';
};

describe('a server certificate in files', () => {
  test('is reloaded under a connection that lives on; what is not proven is kept out', async (t) => {
    const first = await createTestPair('first');
    const { engine, files } = await startWithPair(t, first);
    const { ask } = await logIn(engine, 'owner');
    const reloadOf = async () => (await ask('GET', '/server-certificates')).body.last_reload;
    const live = await connectTo(t, engine);
    assert.equal(await healthOver(live), 'HTTP/1.1 200 OK');

    const second = await createTestPair('second');
    const old = await createTestPair('old', {
      notBeforeDate: new Date(0),
      notAfterDate: new Date(Date.now() - DAY_MS),
    });
    for (const [pair, problem] of [
      [{ cert: second.cert, key: first.key }, /does not belong/],
      [old, /has expired/],
    ] as const) {
      write(files, pair);
      await eventually(
        () => engine.log.withCode('CERTIFICATE_INVALID').length > 0,
        'the files are looked at',
      );
      engine.log.lines.length = 0;
      assert.match((await reloadOf()).problem, problem);
      assert.equal(await shownBy(t, engine), fingerprintOf(first.cert));
    }
    write(files, second);
    await eventually(
      () => engine.log.lines.some(({ message }) => message === 'the certificate was reloaded'),
      'the new pair is taken up',
    );
    assert.equal(await shownBy(t, engine), fingerprintOf(second.cert));
    assert.equal((await reloadOf()).problem, undefined);
    assert.equal(await healthOver(live), 'HTTP/1.1 200 OK');
    assert.ok(!JSON.stringify(engine.log.lines).includes('PRIVATE KEY'));
  });
});

test('a certificate that ends soon is told of when the engine starts, and by the metrics', async (t) => {
  const { ca } = await testCertificates();
  const directory = makeTemporaryDirectory(t);
  const files = { certFile: join(directory, 'server.pem'), keyFile: join(directory, 'server-key.pem') };
  write(files, await createTestPair('short', { notAfterDate: new Date(Date.now() + 10.5 * DAY_MS) }));
  const prometheus = { enabled: true, listen_addr: '127.0.0.1:0' };
  const engine = await startEngine(t, {
    settings: { metrics: { prometheus } },
    certificates: { ca, ...files },
  });
  const { level, fields } =
    engine.log.lines.find(({ message }) => message === 'a server certificate needs a look') ?? assert.fail();
  assert.deepEqual(
    [level, fields.reason, fields.certFile, fields.daysLeft],
    ['warn', 'expires_soon', files.certFile, 10],
  );
  const { port } = engine.log.lines.find(({ message }) => message === 'metrics ready')?.fields ?? {};
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const [, seconds] =
    /^rstream_engine_certificate_expiry_timestamp_seconds\{certificate="0"\} (\d+)$/m.exec(text) ?? [];
  assert.ok(Math.abs(Number(seconds) * 1_000 - Date.now() - 10.5 * DAY_MS) < DAY_MS / 24);
});

test('a certificate for the host and one for the tunnels are each shown where they belong, with client certificates too', async (t) => {
  const { ca } = await testCertificates();
  const directory = makeTemporaryDirectory(t);
  const at = (name: string) => ({
    certFile: join(directory, `${name}.pem`),
    keyFile: join(directory, `${name}-key.pem`),
  });
  write(at('host'), await createTestPair('host', {}, ['localhost']));
  write(at('tunnels'), await createTestPair('tunnels', {}, ['*.t.localhost']));
  const [host, tunnels] = [at('host'), at('tunnels')];
  const additional = [{ cert_file: tunnels.certFile, key_file: tunnels.keyFile }];
  const engine = await startEngine(t, {
    settings: { certs: { static: { cert_file: host.certFile, key_file: host.keyFile, additional } } },
  });
  const upstream = await startTcpUpstream(t, (socket) => socket.pipe(socket));
  await engine.publish(upstream, { hostname: 'web', protocol: 'tls', mtlsAuth: true });
  const laptop = await engine.createClientCertificate('laptop');
  const echo = async (session?: Buffer) => {
    const socket = connect({
      ...{ host: '127.0.0.1', port: engine.port, ca, servername: 'web.t.localhost' },
      ...{ ...laptop, ALPNProtocols: ['echo'] },
      ...(session && { session }),
    }).on('error', () => {});
    t.after(() => socket.destroy());
    await once(socket, 'secureConnect');
    socket.write('ping');
    const [answer] = (await once(socket, 'data')) as [Buffer];
    const subject = socket.getPeerCertificate().subject?.CN;
    return { answer: String(answer), subject, session: socket.getSession(), socket };
  };
  const first = await echo();
  assert.deepEqual([first.answer, first.subject], ['ping', 'tunnels']);
  const second = await echo(first.session);
  assert.deepEqual([second.answer, second.socket.isSessionReused()], ['ping', true]);
  const agentSide = await connectTo(t, engine);
  assert.equal(agentSide.getPeerCertificate().subject.CN, 'host');
  assert.deepEqual(
    engine.log.lines.filter(({ message }) => message.startsWith('no certificate')),
    [],
    'together they name everything',
  );
});

/** An engine on a certificate of its local CA, which was made some days ago. */
const startWithAuthority = async (t: TestContext, ageDays: number) => {
  const directory = makeTemporaryDirectory(t);
  const made = await createAuthority({
    host: 'localhost',
    clock: createFakeClock(Date.now() - ageDays * DAY_MS),
  });
  const files = { certFile: join(directory, 'server.pem'), keyFile: join(directory, 'server-key.pem') };
  write(files, { cert: made.serverCertificate, key: made.serverKey });
  const authority = { ca_cert_file: join(directory, 'ca.pem'), ca_key_file: join(directory, 'ca-key.pem') };
  writeFileSync(authority.ca_cert_file, made.caCertificate);
  writeFileSync(authority.ca_key_file, made.caKey, { mode: 0o600 });
  const clock = createCalendarClock(-ageDays * DAY_MS);
  const engine = await startAdminEngine(
    t,
    { admin: { enabled: true, listen_addr: '127.0.0.1:0', ...authority } },
    { clock, certificates: { ca: made.caCertificate, ...files } },
  );
  return { engine, files, clock, made, authority };
};

describe('a server certificate of the local CA', () => {
  test('is renewed at two thirds of its life, under a connection that lives on', async (t) => {
    const { engine, files, clock, made } = await startWithAuthority(t, 300);
    const before = fingerprintOf(made.serverCertificate);
    const live = await connectTo(t, engine);
    assert.equal(await healthOver(live), 'HTTP/1.1 200 OK');
    clock.passHours();
    assert.equal(await shownBy(t, engine), before, 'it is new still');

    clock.setCalendar(0);
    clock.passHours();
    const isRenewed = () => engine.log.lines.some(({ message }) => message.startsWith('the local CA has'));
    await eventually(isRenewed, 'it is renewed');
    const after = fingerprintOf(readFileSync(files.certFile));
    assert.notEqual(after, before);
    assert.equal(await shownBy(t, engine), after);
    assert.equal(await healthOver(live), 'HTTP/1.1 200 OK');
    assert.equal(statSync(files.keyFile).mode & 0o777, 0o600);
    assert.equal(fingerprintOf(readFileSync(`${files.certFile}.old`)), before);

    const { ask } = await logIn(engine, 'owner');
    const [item] = (await ask('GET', '/server-certificates')).body.items;
    assert.deepEqual([item.source, item.last_renewal.problem], ['local_ca', undefined]);
    assert.ok(Date.parse(item.renews_at) > Date.now() + 200 * DAY_MS);
    const { items } = (await ask('GET', '/audit')).body;
    const entry = items.find(({ action }: { action: string }) => action === 'server_certificate.renew');
    assert.deepEqual([entry.actor, entry.object, entry.result], ['engine', files.certFile, 'ok']);
  });

  test('is renewed before the engine listens when it has expired meanwhile', async (t) => {
    const { engine, clock, made, files, authority } = await startWithAuthority(t, 500);
    await engine.stop();
    clock.setCalendar(0);
    const next = await startAdminEngine(
      t,
      { admin: { enabled: true, listen_addr: '127.0.0.1:0', ...authority } },
      { certificates: { ca: made.caCertificate, ...files } },
    );
    assert.notEqual(await shownBy(t, next), fingerprintOf(made.serverCertificate));
  });
});

describe('the Admin API', () => {
  const bodyFrom = ({ cert, key }: TestPair) => ({ certificate: cert, private_key: key });

  test('shows what is served', async (t) => {
    const pair = await createTestPair('first');
    const { engine, files } = await startWithPair(t, pair);
    const { ask } = await logIn(engine, 'viewer', 'viewer');
    const { status, body, text } = await ask('GET', '/server-certificates');
    assert.equal(status, 200);
    const [item] = body.items;
    assert.deepEqual(
      [body.host, item.index, item.cert_file, item.source, item.state, item.key_type],
      ['localhost', 0, files.certFile, 'files', 'valid', 'ec prime256v1'],
    );
    assert.deepEqual([item.covers_host, item.covers_tunnels, item.warnings], [true, true, []]);
    assert.ok(item.names.includes('*.t.localhost') && item.names.includes('::1'));
    assert.equal(item.chain[0].fingerprint_sha256, item.fingerprint_sha256);
    assert.equal(item.issuer, 'CN=Test Authority');
    assert.ok(!text.includes('PRIVATE'));
  });

  test('checks a pair and keeps nothing', async (t) => {
    const first = await createTestPair('first');
    const { engine, files } = await startWithPair(t, first);
    const { ask } = await logIn(engine, 'owner');
    const check = async (pair: TestPair) =>
      (await ask('POST', '/server-certificates/check', bodyFrom(pair))).body;
    const other = await createTestPair('other', {}, ['other.example.test']);
    const found = await check(other);
    assert.deepEqual([found.is_usable, found.problems, found.facts.covers_host], [true, [], false]);
    assert.deepEqual(found.facts.warnings, [
      'it does not name localhost, where agents connect',
      'it does not name *.t.localhost, where tunnels are published',
    ]);
    const wrongKey = await check({ ...other, key: first.key });
    assert.deepEqual(
      [wrongKey.is_usable, wrongKey.problems, wrongKey.facts],
      [false, ['the private key does not belong to the certificate'], undefined],
    );
    assert.equal(fingerprintOf(readFileSync(files.certFile)), fingerprintOf(first.cert));
    assert.ok(!JSON.stringify(engine.log.lines).includes('PRIVATE KEY'));
  });

  test('replaces the pair; the next handshake shows it, and the old one is beside it', async (t) => {
    const first = await createTestPair('first');
    const { engine, files } = await startWithPair(t, first);
    const { ask } = await logIn(engine, 'owner');
    const live = await connectTo(t, engine);
    const [{ etag }] = (await ask('GET', '/server-certificates')).body.items;
    const second = await createTestPair('second');
    const put = (pair: TestPair, path = '0', version: string = etag) =>
      ask('PUT', `/server-certificates/${path}`, bodyFrom(pair), { 'if-match': version });
    assert.equal((await put(second, '1')).body.code, 'SERVER_CERTIFICATE_UNKNOWN');
    assert.equal((await put(second, '0', 'older')).body.code, 'VERSION_OUTDATED');
    const refused = await put({ ...second, key: first.key });
    assert.deepEqual([refused.status, refused.body.code], [409, 'SERVER_CERTIFICATE_REFUSED']);
    assert.equal(await shownBy(t, engine), fingerprintOf(first.cert));

    const { status, text } = await put(second);
    assert.equal(status, 200);
    assert.ok(!text.includes('PRIVATE KEY'));
    assert.equal(await shownBy(t, engine), fingerprintOf(second.cert));
    assert.equal(await healthOver(live), 'HTTP/1.1 200 OK');
    assert.equal(readFileSync(`${files.certFile}.old`, 'utf8'), first.cert);
    for (const path of [files.keyFile, `${files.keyFile}.old`])
      assert.equal(statSync(path).mode & 0o777, 0o600);
    const { items } = (await ask('GET', '/audit')).body;
    assert.deepEqual(
      items
        .filter(({ action }: { action: string }) => action === 'server_certificate.replace')
        .map(({ result }: { result: string }) => result),
      ['ok', 'SERVER_CERTIFICATE_REFUSED', 'VERSION_OUTDATED', 'SERVER_CERTIFICATE_UNKNOWN'],
    );
    assert.ok(!JSON.stringify(engine.log.lines).includes('PRIVATE KEY'));
  });

  test('puts the old pair back when the new one does not fit the others', async (t) => {
    const { ca } = await testCertificates();
    const directory = makeTemporaryDirectory(t);
    const [ec, rsa] = ['ec', 'rsa'].map((name) => ({
      certFile: join(directory, `${name}.pem`),
      keyFile: join(directory, `${name}-key.pem`),
    })) as [{ certFile: string; keyFile: string }, { certFile: string; keyFile: string }];
    const [first, second] = [await createTestPair('first'), await createRsaPair('second')];
    write(ec, first);
    write(rsa, second);
    const additional = [{ cert_file: rsa.certFile, key_file: rsa.keyFile }];
    const engine = await startAdminEngine(
      t,
      { certs: { static: { cert_file: ec.certFile, key_file: ec.keyFile, additional } } },
      { certificates: { ca, ...ec } },
    );
    const { ask } = await logIn(engine, 'owner');
    const { etag } = (await ask('GET', '/server-certificates')).body.items[1];
    const refused = await ask('PUT', '/server-certificates/1', bodyFrom(await createTestPair('third')), {
      'if-match': etag,
    });
    assert.match(refused.body.detail, /it would never be shown/);
    assert.equal(readFileSync(rsa.certFile, 'utf8'), second.cert);
    assert.equal(readFileSync(rsa.keyFile, 'utf8'), second.key);
    assert.equal(await shownBy(t, engine), fingerprintOf(first.cert));
  });

  test('says so when the files are not the engine’s to write, and who may not replace', async (t) => {
    const first = await createTestPair('first');
    const { ca } = await testCertificates();
    const directory = makeTemporaryDirectory(t);
    const kept = { certFile: join(directory, 'kept.pem'), keyFile: join(directory, 'kept-key.pem') };
    write(kept, first);
    const files = { certFile: join(directory, 'server.pem'), keyFile: kept.keyFile };
    symlinkSync(kept.certFile, files.certFile);
    const engine = await startAdminEngine(t, {}, { certificates: { ca, ...files } });
    const { ask } = await logIn(engine, 'owner');
    const [{ etag }] = (await ask('GET', '/server-certificates')).body.items;
    const second = bodyFrom(await createTestPair('second'));
    const linked = await ask('PUT', '/server-certificates/0', second, { 'if-match': etag });
    assert.deepEqual([linked.status, linked.body.code], [409, 'CERTIFICATE_FILES_FIXED']);
    assert.match(linked.body.detail, /server\.pem is a link/);
    assert.equal(readFileSync(kept.certFile, 'utf8'), first.cert);

    const viewer = await logIn(engine, 'viewer', 'viewer');
    const denied = await viewer.ask('PUT', '/server-certificates/0', second, { 'if-match': etag });
    assert.equal(denied.body.code, 'ROLE_MISSING');
    const agent = askWithToken(engine, await engine.createToken('agent'));
    assert.equal((await agent('GET', '/server-certificates')).status, 403);
    const nobody = await askAdmin(engine, 'POST', '/api/admin/server-certificates/check', second);
    assert.equal(nobody.status, 401);
  });
});
