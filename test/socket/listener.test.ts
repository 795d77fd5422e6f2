import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { LIMITS } from '../../src/base/limits.ts';
import { alpnExtension, helloFrom, readHello, serverNameExtension } from '../support/client-hello.ts';
import { ENGINE_HOST, PUBLISHED_HOST, startDoorstep } from '../support/doorstep.ts';
import { eventually } from '../support/eventually.ts';
import { readToEnd } from '../support/read-to-end.ts';

/** How a client's handshake failed. */
const failureOf = async (client: TLSSocket): Promise<string | undefined> => {
  const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException];
  return error.code;
};

const alertRecord = (alert: number) => Buffer.from([21, 3, 1, 0, 2, 2, alert]);

describe('connections come to their room', () => {
  test('an agent, by name', async (t) => {
    const { connectTls, nextArrival, clock, port } = await startDoorstep(t);
    const arriving = nextArrival();
    const options = { servername: ENGINE_HOST, ALPNProtocols: ['rstrm/1'], ecdhCurve: 'X25519' };
    const client = connectTls(options);
    const { room, connection } = await arriving;
    assert.equal(client.alpnProtocol, 'rstrm/1');
    assert.equal(room, 'agent');
    const { cipher, ja4, ...rest } = connection;
    assert.deepEqual(rest, {
      remoteAddress: '127.0.0.1',
      remotePort: client.localPort,
      localAddress: '127.0.0.1',
      localPort: port,
      serverName: ENGINE_HOST,
      alpnProtocol: 'rstrm/1',
      tlsVersion: 'TLSv1.3',
      acceptedAt: clock.now(),
      isPostQuantum: false,
      offeredGroups: 'x25519',
    });
    assert.match(cipher, /^TLS_/);
    assert.match(ja4, /^t13d\d{4}r1_[0-9a-f]{12}_[0-9a-f]{12}$/);
  });

  test('an agent, by IP address and so without a name', async (t) => {
    const { connectTls, nextArrival } = await startDoorstep(t);
    const arriving = nextArrival();
    connectTls({ ALPNProtocols: ['rstrm/1'] });
    const { room, connection } = await arriving;
    assert.equal(room, 'agent');
    assert.ok(!('serverName' in connection));
  });

  test('the Engine API, by name and without one', async (t) => {
    const { connectTls, nextArrival } = await startDoorstep(t);
    for (const servername of [ENGINE_HOST, undefined])
      for (const alpnProtocol of ['h2', 'http/1.1']) {
        const arriving = nextArrival();
        connectTls({ ...(servername && { servername }), ALPNProtocols: [alpnProtocol] });
        const { room, connection } = await arriving;
        assert.equal(room, 'api');
        assert.equal(connection.alpnProtocol, alpnProtocol);
      }
  });

  test('a published host, in TLS 1.2 and without ALPN too', async (t) => {
    const { connectTls, nextArrival } = await startDoorstep(t);
    const arriving = nextArrival();
    connectTls({ servername: PUBLISHED_HOST.toUpperCase(), maxVersion: 'TLSv1.2' });
    const { room, connection } = await arriving;
    assert.equal(room, 'published');
    assert.equal(connection.serverName, PUBLISHED_HOST);
    assert.equal(connection.tlsVersion, 'TLSv1.2');
    assert.match(connection.cipher, /^TLS_ECDHE_ECDSA_WITH_(AES_(128|256)_GCM|CHACHA20)/);
    assert.ok(!('alpnProtocol' in connection));
  });

  test('further protocols by option', async (t) => {
    const { connectTls, nextArrival } = await startDoorstep(t, { publishedProtocols: ['h2', 'http/1.1'] });
    const arriving = nextArrival();
    connectTls({ servername: PUBLISHED_HOST, ALPNProtocols: ['http/1.1', 'h2'] });
    assert.equal((await arriving).connection.alpnProtocol, 'h2');
  });

  test('a handshake that closes without a word, as rstream doctor does', async (t) => {
    const { connectTls, nextArrival, doorstep, log } = await startDoorstep(t);
    const arriving = nextArrival();
    const client = connectTls({ servername: ENGINE_HOST, ALPNProtocols: ['rstrm/1'] });
    client.on('secureConnect', () => client.end());
    const { socket } = await arriving;
    socket.resume();
    await once(socket, 'end');
    socket.end();
    await eventually(() => doorstep.connectionCount === 0, 'both sides have ended');
    assert.deepEqual(log.lines, []);
  });
});

describe('connections that are refused', () => {
  test('an unknown name gets unrecognized_name and no certificate', async (t) => {
    const { connectTls, log } = await startDoorstep(t);
    const client = connectTls({ servername: 'gone.t.edge.example.test' });
    await once(client, 'connect');
    const remote = `127.0.0.1:${client.localPort}`;
    assert.equal(await failureOf(client), 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME');
    assert.deepEqual(client.getPeerCertificate(), {});
    const [line, ...others] = log.withCode('SERVER_NAME_UNKNOWN');
    assert.deepEqual(others, []);
    assert.equal(line?.fields.hostname, 'gone.t.edge.example.test');
    assert.match(String(line?.fields.errorId), /^\w{8}$/);
    assert.equal(line?.fields.remote, remote);
  });

  test('an agent without TLS 1.3 gets protocol_version', async (t) => {
    const { connectTls, log } = await startDoorstep(t);
    const options = { servername: ENGINE_HOST, ALPNProtocols: ['rstrm/1'] };
    const client = connectTls({ ...options, maxVersion: 'TLSv1.2' });
    assert.equal(await failureOf(client), 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION');
    assert.equal(log.withCode('TLS_VERSION_UNSUPPORTED').length, 1);
  });

  test('a client below the configured minimum gets protocol_version', async (t) => {
    const { connectTls } = await startDoorstep(t, { versionMin: 'TLSv1.3' });
    const client = connectTls({ servername: PUBLISHED_HOST, maxVersion: 'TLSv1.2' });
    assert.equal(await failureOf(client), 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION');
  });

  test('a client that knows none of our protocols gets no_application_protocol', async (t) => {
    const { connectTls, log } = await startDoorstep(t);
    const client = connectTls({ servername: PUBLISHED_HOST, ALPNProtocols: ['spdy/3'] });
    assert.equal(await failureOf(client), 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL');
    await once(client, 'close');
    const [line] = log.withCode('TLS_HANDSHAKE_FAILED');
    assert.equal(line?.message, 'The TLS handshake failed: no application protocol.');
  });

  test('plain HTTP is answered in HTTP, and can be read though the request was not', async (t) => {
    const { connectTcp, log, doorstep } = await startDoorstep(t);
    const client = connectTcp();
    client.write(`POST / HTTP/1.1\r\nHost: x\r\n\r\n${'x'.repeat(200_000)}`);
    const answer = String(await readToEnd(client));
    const [line] = log.withCode('PLAIN_HTTP_ON_TLS_PORT');
    assert.match(answer, /^HTTP\/1\.1 400 Bad Request\r\n/);
    assert.match(answer, /\r\nConnection: close\r\n/);
    assert.match(answer, /This port speaks HTTPS, but the request came as plain HTTP\. Use https:/);
    assert.ok(answer.includes(`error id ${line?.fields.errorId}`));
    const [head = '', body = ''] = answer.split('\r\n\r\n');
    assert.equal(Number(/Content-Length: (\d+)/.exec(head)?.[1]), Buffer.byteLength(body));
    client.end();
    await eventually(() => doorstep.connectionCount === 0, 'both sides have ended');
  });

  test('noise and a hello of too many bytes get decode_error', async (t) => {
    const { connectTcp, log } = await startDoorstep(t);
    for (const [bytes, code] of [
      [Buffer.from('SSH-2.0-scanner\r\n'), 'CLIENT_HELLO_MALFORMED'],
      [Buffer.from([22, 3, 1, 0xff, 0xff]), 'CLIENT_HELLO_TOO_LARGE'],
    ] as const) {
      const client = connectTcp();
      client.write(bytes);
      assert.deepEqual(await readToEnd(client), alertRecord(50));
      assert.equal(log.withCode(code).length, 1);
      client.destroy();
    }
  });

  test('a refused peer that stays is destroyed soon', async (t) => {
    const { connectTcp, clock, doorstep } = await startDoorstep(t);
    const client = connectTcp();
    client.write(helloFrom({ extensions: [serverNameExtension('gone.test')] }));
    assert.deepEqual(await readToEnd(client), alertRecord(112));
    assert.equal(doorstep.connectionCount, 1);
    clock.advance(LIMITS.refusalLingerMsMax);
    await eventually(() => doorstep.connectionCount === 0, 'its time is up');
  });

  test('a hello that never ends is dropped at the deadline', async (t) => {
    const { connectTcp, clock, log, doorstep } = await startDoorstep(t);
    const client = connectTcp();
    client.write(readHello('node20-http').subarray(0, 100));
    await eventually(() => clock.pendingCount > 0, 'the engine waits for the rest of the hello');
    clock.advance(LIMITS.tlsHandshakeMsMax);
    await eventually(() => doorstep.connectionCount === 0, 'it was dropped');
    assert.equal(log.withCode('CLIENT_HELLO_TIMEOUT').length, 1);
    client.destroy();
  });

  test('a handshake that stops after the hello is dropped at the same deadline', async (t) => {
    const { connectTcp, clock, log, doorstep } = await startDoorstep(t);
    const client = connectTcp();
    client.write(readHello('node20-agent-by-address'));
    // The engine's first flight: the hello was taken, and the rest is awaited.
    await once(client, 'data');
    clock.advance(LIMITS.tlsHandshakeMsMax);
    await eventually(() => doorstep.connectionCount === 0, 'it was dropped');
    assert.equal(log.withCode('CLIENT_HELLO_TIMEOUT').length, 1);
    client.destroy();
  });

  test('a hello that OpenSSL cannot use is its own failure', async (t) => {
    const { connectTcp, log } = await startDoorstep(t);
    const client = connectTcp();
    client.write(helloFrom({ extensions: [alpnExtension('http/1.1')] }));
    const [type] = await readToEnd(client);
    assert.equal(type, 21);
    assert.equal(log.withCode('TLS_HANDSHAKE_FAILED').length, 1);
    client.destroy();
  });

  test('a fault in a room ends that connection only', async (t) => {
    const onArrival = () => {
      throw new Error('a fault in a room');
    };
    const { connectTls, log, doorstep } = await startDoorstep(t, { onArrival });
    connectTls({ servername: ENGINE_HOST });
    await eventually(() => log.withCode('INTERNAL').length === 1, 'it was reported');
    await eventually(() => doorstep.connectionCount === 0, 'its connection is gone');
    assert.equal(log.withCode('INTERNAL')[0]?.level, 'error');
  });

  test('peers that merely leave are a debug line, at whatever point', async (t) => {
    const { connectTcp, log, doorstep } = await startDoorstep(t);
    for (const bytes of [
      '',
      readHello('node20-http').subarray(0, 100),
      readHello('node20-agent-by-address'),
    ]) {
      const client = connectTcp();
      await once(client, 'connect');
      client.write(bytes);
      if (bytes.length > 100) await once(client, 'data');
      client.resetAndDestroy();
      await eventually(() => doorstep.connectionCount === 0, 'the engine has noticed');
    }
    assert.deepEqual(
      log.lines.map(({ level }) => level),
      ['debug', 'debug', 'debug'],
    );
  });
});

describe('limits and life', () => {
  test('connections beyond the limit are dropped, and the log says so once a second', async (t) => {
    const { connectTls, connectTcp, nextArrival, log, clock, doorstep } = await startDoorstep(t, {
      connectionsMax: 1,
    });
    const arriving = nextArrival();
    connectTls({ servername: ENGINE_HOST });
    const { socket } = await arriving;
    const dropOne = () => once(connectTcp().resume(), 'end');
    await dropOne();
    await dropOne();
    await dropOne();
    assert.equal(log.withCode('CONNECTION_LIMIT').length, 1);
    clock.advance(LIMITS.connectionLimitLogMs);
    await dropOne();
    const [, line] = log.withCode('CONNECTION_LIMIT');
    assert.equal(line?.fields.droppedCount, 3);
    assert.equal(doorstep.connectionCount, 1);

    socket.destroy();
    await eventually(() => doorstep.connectionCount === 0, 'there is room again');
    const next = nextArrival();
    connectTls({ servername: ENGINE_HOST });
    assert.equal((await next).room, 'api');
  });

  test('close refuses new connections and keeps the old; destroy ends all', async (t) => {
    const { connectTls, connectTcp, nextArrival, doorstep } = await startDoorstep(t);
    const arriving = nextArrival();
    const client = connectTls({ servername: ENGINE_HOST });
    const { socket } = await arriving;
    doorstep.close();
    doorstep.close();
    const [error] = (await once(connectTcp(), 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ECONNREFUSED');
    socket.write('still here');
    assert.equal(String(((await once(client, 'data')) as [Buffer])[0]), 'still here');

    await doorstep.destroy();
    await doorstep.destroy();
    assert.equal(doorstep.connectionCount, 0);
    assert.ok(socket.destroyed);
  });

  test('destroy ends connections that are still in the door', async (t) => {
    const { connectTcp, doorstep, clock } = await startDoorstep(t);
    const peeked = connectTcp();
    const handshaking = connectTcp();
    handshaking.write(readHello('node20-agent-by-address'));
    await once(handshaking, 'data');
    await eventually(() => clock.pendingCount === 2, 'both are waited for');
    await doorstep.destroy();
    assert.equal(clock.pendingCount, 0);
    peeked.destroy();
  });

  test('a port in use is named', async (t) => {
    const { port } = await startDoorstep(t);
    await assert.rejects(startDoorstep(t, { listenAddress: { host: '127.0.0.1', port } }), {
      code: 'ADDRESS_IN_USE',
    });
  });

  test('every address: an IPv4 peer has its IPv4 name', async (t) => {
    const { connectTls, nextArrival } = await startDoorstep(t, { listenAddress: { host: '', port: 0 } });
    const arriving = nextArrival();
    connectTls({ servername: ENGINE_HOST });
    assert.equal((await arriving).connection.remoteAddress, '127.0.0.1');
  });
});
