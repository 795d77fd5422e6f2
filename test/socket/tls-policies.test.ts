/** What is published decides the TLS of its connections: versions, suites, protocols, tickets; or none at all. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { connect as connectTls, createServer, type TLSSocket } from 'node:tls';
import { LIMITS } from '../../src/base/limits.ts';
import { TLS_SUITES, type TlsDemands } from '../../src/base/tls.ts';
import { type CertificateFiles, createCertificates } from '../../src/socket/certificates.ts';
import type { PublishedMode } from '../../src/socket/dispatch.ts';
import { createTerminators } from '../../src/socket/terminators.ts';
import { createRsaPair, createTestPair, type TestPair, testCertificates } from '../support/certificates.ts';
import { createFakeClock } from '../support/clock.ts';
import { ENGINE_HOST, PUBLISHED_HOST, startDoorstep } from '../support/doorstep.ts';
import { createLogRecorder } from '../support/log.ts';
import { opensslClient } from '../support/openssl.ts';
import { readToEnd } from '../support/read-to-end.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const nameOf = (label: string) => `${label}.t.edge.example.test`;
const suitesOf = (...names: string[]) => TLS_SUITES.filter(({ name }) => names.includes(name));
const LAX: TlsDemands = { versionMin: 'TLSv1.2' };
const raw = (alpnProtocols: string[], demands = LAX): PublishedMode => ({
  kind: 'terminated',
  demands,
  alpnProtocols,
});

/** A doorstep where these are published, by label. */
const startWith = (t: TestContext, byLabel: Readonly<Record<string, PublishedMode>>) =>
  startDoorstep(t, {
    modes: Object.fromEntries(Object.entries(byLabel).map(([label, mode]) => [nameOf(label), mode])),
  });

const failureOf = async (client: TLSSocket): Promise<string | undefined> => {
  const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException];
  return error.code;
};

describe('protocols of a TLS tunnel', () => {
  const modes = { named: raw(['second', 'first']), unnamed: raw([]) };

  test('are agreed on by the preference of the tunnel', async (t) => {
    const { connectTls, nextArrival } = await startWith(t, modes);
    const arriving = nextArrival();
    const client = connectTls({ servername: nameOf('named'), ALPNProtocols: ['first', 'third', 'second'] });
    const { room, connection, socket } = await arriving;
    assert.equal(room, 'raw');
    assert.equal(connection.alpnProtocol, 'second');
    client.end('question');
    assert.equal(String(await readToEnd(socket)), 'question');
  });

  for (const [title, offered] of [
    ['none of them', ['third']],
    ['no ALPN', undefined],
  ] as const)
    test(`refuse a client that offers ${title}, before any certificate`, async (t) => {
      const { connectTls, log } = await startWith(t, modes);
      const client = connectTls({
        servername: nameOf('named'),
        ...(offered && { ALPNProtocols: [...offered] }),
      });
      assert.equal(await failureOf(client), 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL');
      assert.deepEqual(client.getPeerCertificate(), {});
      assert.equal(log.withCode('ALPN_UNSUPPORTED').length, 1);
    });

  for (const offered of [undefined, ['whatever', 'http/1.1']])
    test(`negotiate nothing when the tunnel names none and the client ${offered ?? 'none'}`, async (t) => {
      const { connectTls, nextArrival } = await startWith(t, modes);
      const arriving = nextArrival();
      const client = connectTls({
        servername: nameOf('unnamed'),
        ...(offered && { ALPNProtocols: offered }),
      });
      const { connection } = await arriving;
      assert.ok(!('alpnProtocol' in connection));
      assert.equal(client.alpnProtocol, false);
    });
});

describe('versions and suites', () => {
  const AES_256 = suitesOf('TLS_AES_256_GCM_SHA384', 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384');
  const modes: Readonly<Record<string, PublishedMode>> = {
    modern: { kind: 'http', demands: { versionMin: 'TLSv1.3' } },
    aes256: { kind: 'http', demands: { versionMin: 'TLSv1.2', suites: AES_256 } },
    chacha: raw([], { versionMin: 'TLSv1.3', suites: suitesOf('TLS_CHACHA20_POLY1305_SHA256') }),
  };

  test('below the minimum of the name get protocol_version, and others are served as before', async (t) => {
    const { port } = await startWith(t, modes);
    assert.match(await opensslClient(port, nameOf('modern'), '-tls1_2'), /alert protocol version/);
    assert.match(await opensslClient(port, nameOf('modern'), '-tls1_3'), /New, TLSv1\.3/);
    assert.match(await opensslClient(port, PUBLISHED_HOST, '-tls1_2'), /New, TLSv1\.2/);
  });

  test('are those that the name allows, in both versions', async (t) => {
    const { port } = await startWith(t, modes);
    const cipherOf = async (label: string, ...flags: string[]) =>
      /Cipher is (\S+)/.exec(await opensslClient(port, nameOf(label), ...flags))?.[1];
    const both = ['-ciphersuites', 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384'];
    assert.equal(await cipherOf('aes256', '-tls1_3', ...both), 'TLS_AES_256_GCM_SHA384');
    assert.equal(await cipherOf('aes256', '-tls1_2'), 'ECDHE-ECDSA-AES256-GCM-SHA384');
    assert.equal(await cipherOf('chacha', '-tls1_3'), 'TLS_CHACHA20_POLY1305_SHA256');
    assert.equal(await cipherOf('chacha', '-tls1_3', '-ciphersuites', 'TLS_AES_128_GCM_SHA256'), '(NONE)');
    assert.equal(await cipherOf('aes256', '-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256'), '(NONE)');
    // What no name may ask for is not there either.
    assert.equal(await cipherOf('aes256', '-tls1_2', '-cipher', 'ECDHE-ECDSA-AES256-SHA384'), '(NONE)');
  });
});

describe('certificates of two kinds', () => {
  const filesOf = (t: TestContext, pairs: Readonly<Record<string, TestPair>>): CertificateFiles[] => {
    const directory = makeTemporaryDirectory(t);
    return Object.entries(pairs).map(([name, { cert, key }]) => {
      const files = { certFile: join(directory, `${name}.pem`), keyFile: join(directory, `${name}.key`) };
      writeFileSync(files.certFile, cert);
      writeFileSync(files.keyFile, key);
      return files;
    });
  };
  const shown = async (port: number, name: string, ...flags: string[]) =>
    /subject=.*?CN ?= ?([\w-]+)/.exec(await opensslClient(port, name, ...flags))?.[1];
  const RSA = ['-sigalgs', 'RSA-PSS+SHA256'];
  const ECDSA = ['-sigalgs', 'ECDSA+SHA256'];

  test('are shown to those who can verify them', async (t) => {
    const files = filesOf(t, {
      ec: await createTestPair('ec'),
      rsa: await createRsaPair('rsa', [PUBLISHED_HOST]),
    });
    const { port } = await startDoorstep(t, { files });
    for (const version of ['-tls1_2', '-tls1_3']) {
      assert.equal(await shown(port, PUBLISHED_HOST, version), 'ec');
      assert.equal(await shown(port, PUBLISHED_HOST, version, ...RSA), 'rsa');
      assert.equal(await shown(port, PUBLISHED_HOST, version, ...ECDSA), 'ec');
    }
    assert.equal(
      await shown(port, PUBLISHED_HOST, '-tls1_2', '-cipher', 'ECDHE-RSA-AES128-GCM-SHA256'),
      'rsa',
    );
  });

  for (const [what, mode] of [
    ['HTTP', { kind: 'http', demands: LAX }],
    [
      'a raw tunnel that needs a client certificate',
      { kind: 'terminated', demands: LAX, alpnProtocols: [], takesCertificate: true },
    ],
  ] as const)
    test(`are shown for the name that is asked for, of both kinds: ${what}`, async (t) => {
      const tunnel = nameOf('tunnel');
      const files = filesOf(t, {
        'host-ec': await createTestPair('host-ec', {}, [ENGINE_HOST]),
        'host-rsa': await createRsaPair('host-rsa', [ENGINE_HOST]),
        'tunnel-ec': await createTestPair('tunnel-ec', {}, [tunnel]),
        'tunnel-rsa': await createRsaPair('tunnel-rsa', [tunnel]),
      });
      const { port } = await startDoorstep(t, { files, modes: { [tunnel]: mode } });
      for (const [name, is] of [
        [ENGINE_HOST, 'host'],
        [tunnel, 'tunnel'],
        [`${tunnel.toUpperCase()}.`, 'tunnel'],
      ] as const) {
        assert.equal(await shown(port, name), `${is}-ec`, name);
        assert.equal(await shown(port, name, ...RSA), `${is}-rsa`, name);
        assert.equal(await shown(port, name, ...ECDSA), `${is}-ec`, name);
      }
    });
});

describe('session tickets', () => {
  const sessionOf = async (client: TLSSocket): Promise<Buffer> => {
    const [session] = (await once(client, 'session')) as [Buffer];
    return session;
  };
  const modes: Readonly<Record<string, PublishedMode>> = {
    lax: raw(['echo']),
    twin: raw(['echo']),
    strict: raw(['echo'], { versionMin: 'TLSv1.3' }),
  };

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const)
    test(`are good under the policy that made them alone, ${maxVersion}`, async (t) => {
      const { connectTls } = await startWith(t, { ...modes, strict: raw(['echo', 'x']) });
      const options = { ALPNProtocols: ['echo'], maxVersion };
      const session = await sessionOf(connectTls({ servername: nameOf('lax'), ...options }));
      const isReused = async (servername: string) => {
        const again = connectTls({ servername, session, ...options });
        await once(again, 'secureConnect');
        return again.isSessionReused();
      };
      assert.equal(await isReused(nameOf('lax')), true);
      assert.equal(await isReused(nameOf('strict')), false);
    });

  test('are worth nothing once their key is too old, and new ones are made', async (t) => {
    const { connectTls, clock } = await startWith(t, modes);
    const options = { servername: nameOf('lax'), ALPNProtocols: ['echo'] };
    const isReused = async (session: Buffer) => {
      const again = connectTls({ ...options, session });
      await once(again, 'secureConnect');
      return again.isSessionReused();
    };
    const first = await sessionOf(connectTls(options));
    clock.advance(LIMITS.ticketKeyMs - 1);
    assert.equal(await isReused(first), true);
    clock.advance(1);
    assert.equal(await isReused(first), false);
    assert.equal(await isReused(await sessionOf(connectTls(options))), true);
  });
});

describe('terminators', () => {
  const setUp = async (policiesMax: number) => {
    const clock = createFakeClock(Date.now());
    const certificates = createCertificates({ clock, log: createLogRecorder() }, [await testCertificates()]);
    const terminatorOf = createTerminators({ clock, certificates }, policiesMax);
    const of = (...alpnProtocols: string[]) =>
      terminatorOf({ versionMin: 'TLSv1.2', alpnProtocols, postQuantum: 'prefer' });
    return Object.assign(of, { clock, terminatorOf });
  };

  test('are the same for equal policies, and others for others', async () => {
    const of = await setUp(10);
    assert.equal(of('a', 'b'), of('a', 'b'));
    assert.notEqual(of('a', 'b'), of('b', 'a'));
    assert.notEqual(of('a,b'), of('a', 'b'));
    assert.notEqual(of(), of('a'));
    // Or a session of one that asks for no certificate would stand in where one is asked for.
    const plain = { versionMin: 'TLSv1.2', alpnProtocols: ['a'], postQuantum: 'prefer' } as const;
    assert.equal(of('a'), of.terminatorOf(plain));
    assert.notEqual(of('a'), of.terminatorOf({ ...plain, clientCertificate: 'ask' }));
  });

  test('are dropped when they were used longest ago', async () => {
    const of = await setUp(2);
    const [a, b] = [of('a'), of('b')];
    assert.equal(of('a'), a);
    of('c');
    assert.equal(of('a'), a);
    assert.notEqual(of('b'), b);
  });

  test('finish the handshakes that they have begun when they are dropped', async (t) => {
    const of = await setUp(1);
    const server = createTcpServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const accepted = once(server, 'connection');
    const { ca } = await testCertificates();
    const client = connectTls({ port, host: '127.0.0.1', ca, servername: ENGINE_HOST, ALPNProtocols: ['a'] });
    t.after(() => client.destroy());
    const [socket] = (await accepted) as [Socket];
    const finishing = of('a').finish(socket, ENGINE_HOST, LIMITS.tlsHandshakeMsMax);
    of('b');
    const [tlsSocket] = await Promise.all([finishing, once(client, 'secureConnect')]);
    t.after(() => tlsSocket?.destroy());
    assert.equal(tlsSocket?.alpnProtocol, 'a');
    assert.equal(of.clock.pendingCount, 0);
  });
});

describe('a TLS pass-through', () => {
  test('hands on the connection with its hello, and the upstream shows its own certificate', async (t) => {
    const own = await createTestPair('own');
    const upstream = createServer({ ...own, ALPNProtocols: ['own'] }, (socket) => socket.pipe(socket));
    upstream.listen(0, '127.0.0.1');
    await once(upstream, 'listening');
    t.after(() => upstream.close());
    const { connectTls, nextPassed, port, clock } = await startWith(t, { own: { kind: 'passthrough' } });
    const passing = nextPassed();
    const client = connectTls({ servername: nameOf('own'), ALPNProtocols: ['own'] });
    const { socket, connection } = await passing;
    const { ja4, offeredGroups, ...rest } = connection;
    assert.deepEqual(rest, {
      remoteAddress: '127.0.0.1',
      remotePort: client.localPort,
      localAddress: '127.0.0.1',
      localPort: port,
      serverName: nameOf('own'),
      acceptedAt: clock.now(),
    });
    assert.match(offeredGroups, /x25519/);
    assert.match(ja4, /^t13d\d{4}on_/);
    assert.equal(socket.isPaused(), true);

    const address = upstream.address();
    assert.ok(address && typeof address === 'object');
    const onward = connect({ port: address.port, host: '127.0.0.1' });
    t.after(() => onward.destroy());
    socket.pipe(onward).pipe(socket);
    await once(client, 'secureConnect');
    assert.equal(client.getPeerCertificate().subject.CN, 'own');
    client.write('echo');
    assert.equal(String(((await once(client, 'data')) as [Buffer])[0]), 'echo');
  });
});

test('the Engine API is no concern of what tunnels demand', async (t) => {
  const { port } = await startWith(t, { strict: raw(['x'], { versionMin: 'TLSv1.3' }) });
  assert.match(await opensslClient(port, ENGINE_HOST, '-tls1_2'), /New, TLSv1\.2/);
});
