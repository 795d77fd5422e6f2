import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { describe, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { LIMITS } from '../../src/base/limits.ts';
import { createRsaPair, createTestPair, type TestPair, testCertificates } from '../support/certificates.ts';
import { ENGINE_HOST, PUBLISHED_HOST, startDoorstep } from '../support/doorstep.ts';
import { eventually } from '../support/eventually.ts';
import { readToEnd } from '../support/read-to-end.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

describe('half-close', () => {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`the downstream ends first and still gets the whole answer, ${maxVersion}`, async (t) => {
      const { connectTls, nextArrival } = await startDoorstep(t);
      const arriving = nextArrival();
      const client = connectTls({ servername: PUBLISHED_HOST, maxVersion });
      client.end('question');
      const { socket } = await arriving;
      assert.equal(String(await readToEnd(socket)), 'question');
      assert.ok(socket.writable);
      socket.write('ans');
      assert.equal(String(((await once(client, 'data')) as [Buffer])[0]), 'ans');
      socket.end('wer'.repeat(100_000));
      assert.equal((await readToEnd(client)).length, 300_000);
    });

    test(`the engine ends first and still gets the rest, ${maxVersion}`, async (t) => {
      const { connectTls, nextArrival, doorstep } = await startDoorstep(t);
      const arriving = nextArrival();
      const client = connectTls({ servername: PUBLISHED_HOST, maxVersion });
      const { socket } = await arriving;
      socket.end('answer');
      assert.equal(String(await readToEnd(client)), 'answer');
      client.write('much ');
      assert.equal(String(((await once(socket, 'data')) as [Buffer])[0]), 'much ');
      client.end('more');
      assert.equal(String(await readToEnd(socket)), 'more');
      await eventually(() => doorstep.connectionCount === 0, 'both sides have ended');
    });
  }

  test('a reset after the handshake reaches the owner and ends nothing else', async (t) => {
    const { connectTcp, connectTls, nextArrival } = await startDoorstep(t);
    const arriving = nextArrival();
    const wire = connectTcp();
    // Behind a stream of its own, as a TLSSocket that holds the handle itself would say goodbye first.
    const client = connectTls({
      socket: Duplex.from({ readable: wire, writable: wire }),
      servername: PUBLISHED_HOST,
    });
    const { socket } = await arriving;
    socket.write('up');
    await once(client, 'data');
    const failed = once(socket.resume(), 'error');
    wire.resetAndDestroy();
    assert.equal(((await failed) as [NodeJS.ErrnoException])[0].code, 'ECONNRESET');
    if (!socket.closed) await once(socket, 'close');
  });

  test('a downstream that is cut off without a goodbye counts as ended', async (t) => {
    const { connectTcp, connectTls, nextArrival } = await startDoorstep(t);
    const arriving = nextArrival();
    const wire = connectTcp();
    const client = connectTls({
      socket: Duplex.from({ readable: wire, writable: wire }),
      servername: PUBLISHED_HOST,
    });
    const { socket } = await arriving;
    socket.write('up');
    await once(client, 'data');
    wire.end();
    await readToEnd(socket);
    const answer = readToEnd(client);
    socket.end('still written');
    assert.equal(String(await answer), 'still written');
  });
});

describe('certificates', () => {
  const commonNameOf = async (client: TLSSocket): Promise<unknown> => {
    await once(client, 'secureConnect');
    return client.getPeerCertificate().subject.CN;
  };

  test('the next handshake after a reload shows the new one; a broken replacement changes nothing', async (t) => {
    const first = await createTestPair('first');
    const second = await createTestPair('second');
    const directory = makeTemporaryDirectory(t);
    const files = { certFile: join(directory, 'cert.pem'), keyFile: join(directory, 'key.pem') };
    const write = ({ cert, key }: typeof first) => {
      writeFileSync(files.certFile, cert);
      writeFileSync(files.keyFile, key);
    };
    write(first);
    const { connectTls, clock, log } = await startDoorstep(t, { files: [files] });
    const shown = () => commonNameOf(connectTls({ servername: ENGINE_HOST }));
    assert.equal(await shown(), 'first');

    write({ ...second, key: first.key });
    clock.advance(LIMITS.certificateCheckMs);
    assert.equal(await shown(), 'first');
    assert.equal(log.withCode('CERTIFICATE_INVALID').length, 1);

    write(second);
    clock.advance(LIMITS.certificateCheckMs);
    assert.equal(await shown(), 'second');
  });
});

describe('several certificates', () => {
  const filesIn = (directory: string, name: string, { cert, key }: TestPair) => {
    const files = { certFile: join(directory, `${name}.pem`), keyFile: join(directory, `${name}-key.pem`) };
    writeFileSync(files.certFile, cert);
    writeFileSync(files.keyFile, key);
    return files;
  };
  const shownBy = async (client: TLSSocket) => {
    await once(client, 'secureConnect');
    return client.getPeerCertificate().subject.CN;
  };

  test('each name is shown its own; kinds of keys are the choice of the client; sessions are resumed', async (t) => {
    const directory = makeTemporaryDirectory(t);
    const hosts = [ENGINE_HOST, 'localhost'];
    const files = [
      filesIn(directory, 'host', await createTestPair('host', {}, hosts)),
      filesIn(directory, 'tunnels', await createTestPair('tunnels', {}, [PUBLISHED_HOST])),
      filesIn(directory, 'rsa', await createRsaPair('rsa')),
    ];
    const { connectTls } = await startDoorstep(t, { files });
    assert.equal(await shownBy(connectTls({ servername: ENGINE_HOST })), 'host');
    assert.equal(await shownBy(connectTls({ servername: PUBLISHED_HOST })), 'tunnels');

    const client = connectTls({ servername: PUBLISHED_HOST });
    const [session] = (await once(client, 'session')) as [Buffer];
    const again = connectTls({ servername: PUBLISHED_HOST, session });
    await once(again, 'secureConnect');
    assert.ok(again.isSessionReused());
  });

  test('RSA is for clients that verify nothing else', async (t) => {
    const directory = makeTemporaryDirectory(t);
    const files = [
      filesIn(directory, 'ec', await createTestPair('ec', {}, ['unrelated.example.test'])),
      filesIn(directory, 'rsa', await createRsaPair('rsa')),
    ];
    const { connectTls } = await startDoorstep(t, { files });
    const rsaOnly = { servername: ENGINE_HOST, sigalgs: 'rsa_pss_rsae_sha256', rejectUnauthorized: false };
    assert.equal(await shownBy(connectTls(rsaOnly)), 'rsa');
    assert.equal(await shownBy(connectTls({ servername: ENGINE_HOST, rejectUnauthorized: false })), 'ec');
  });
});

describe('session tickets', () => {
  const sessionOf = async (client: TLSSocket): Promise<Buffer> => {
    const [session] = (await once(client, 'session')) as [Buffer];
    return session;
  };

  test('a session is resumed at the same edge, and never at another', async (t) => {
    const { connectTls, nextArrival } = await startDoorstep(t);
    const arriving = nextArrival();
    const client = connectTls({ servername: PUBLISHED_HOST, ALPNProtocols: ['http/1.1'] });
    const session = await sessionOf(client);
    await arriving;

    const isReused = async (servername: string) => {
      const again = connectTls({ servername, session, ALPNProtocols: ['http/1.1'] });
      await once(again, 'secureConnect');
      return again.isSessionReused();
    };
    assert.equal(await isReused(PUBLISHED_HOST), true);
    assert.equal(await isReused(ENGINE_HOST), false);
  });
});

test('a client that asks for another handshake on its connection is refused', async (t) => {
  const { connectTls } = await startDoorstep(t);
  const client = connectTls({ servername: PUBLISHED_HOST, maxVersion: 'TLSv1.2' });
  await once(client, 'secureConnect');
  const outcome = await new Promise((resolve) => {
    client.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
    client.renegotiate({}, () => resolve('done'));
  });
  assert.equal(outcome, 'ERR_SSL_NO_RENEGOTIATION');
});

test('handshakes of many clients at once each find their own connection', async (t) => {
  const { connectTls, doorstep } = await startDoorstep(t);
  const { ca } = await testCertificates();
  const clients = Array.from({ length: 40 }, (_, index) =>
    connectTls({ ca, servername: index % 2 ? ENGINE_HOST : PUBLISHED_HOST }),
  );
  await Promise.all(clients.map((client) => once(client, 'secureConnect')));
  assert.equal(doorstep.connectionCount, 40);
});
