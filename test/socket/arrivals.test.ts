/** Whose connections come through the doorstep: PROXY headers, limits by source, accept pressure. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { createAddressSet } from '../../src/base/ip.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { proxyHeaderFor } from '../../src/base/proxy-protocol.ts';
import { createArrivals } from '../../src/socket/arrivals.ts';
import { readHello } from '../support/client-hello.ts';
import { createFakeClock } from '../support/clock.ts';
import { ENGINE_HOST, PUBLISHED_HOST, startDoorstep, type TestDoorstep } from '../support/doorstep.ts';
import { eventually } from '../support/eventually.ts';
import { createLogRecorder } from '../support/log.ts';
import { readToEnd } from '../support/read-to-end.ts';

const PROXY = '127.0.0.9';
const SOURCE = { address: '203.0.113.7', port: 4_711 };
const DESTINATION = { address: '203.0.113.1', port: 443 };
const HEADER = proxyHeaderFor('v2', SOURCE, DESTINATION);

const startBehindProxy = (t: TestContext, options: Parameters<typeof startDoorstep>[1] = {}) =>
  startDoorstep(t, { trustedProxies: [PROXY], ...options });

/** A client behind the proxy: its header is sent, and TLS follows. */
const connectThrough = ({ connectTcp, connectTls }: TestDoorstep, header: Buffer) => {
  const socket = connectTcp(PROXY);
  socket.write(header);
  return connectTls({ socket, servername: PUBLISHED_HOST });
};

/** What the engine says until it closes the connection, by an end or a reset. */
const lastWords = async (client: Socket): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  client.on('data', (chunk) => chunks.push(chunk)).on('end', () => client.end());
  await new Promise((resolve) => client.once('close', resolve));
  return Buffer.concat(chunks);
};

describe('behind a trusted proxy', () => {
  for (const version of ['v1', 'v2'] as const)
    test(`a header of ${version} tells the address`, async (t) => {
      const door = await startBehindProxy(t);
      const arriving = door.nextArrival();
      connectThrough(door, proxyHeaderFor(version, SOURCE, DESTINATION));
      const { connection } = await arriving;
      assert.equal(connection.remoteAddress, SOURCE.address);
      assert.equal(connection.remotePort, SOURCE.port);
      assert.deepEqual(
        [connection.localAddress, connection.localPort],
        [DESTINATION.address, DESTINATION.port],
      );
    });

  for (const version of ['v1', 'v2'] as const)
    test(`a header of ${version} without an address leaves the proxy's own`, async (t) => {
      const door = await startBehindProxy(t);
      const arriving = door.nextArrival();
      connectThrough(door, proxyHeaderFor(version, { address: '', port: 0 }, DESTINATION));
      assert.equal((await arriving).connection.remoteAddress, PROXY);
    });

  test('refusals name the address of the header', async (t) => {
    const door = await startBehindProxy(t);
    const client = door.connectTcp(PROXY);
    client.write(Buffer.concat([HEADER, Buffer.from('SSH-2.0-scanner\r\n')]));
    await readToEnd(client);
    assert.equal(door.log.withCode('CLIENT_HELLO_MALFORMED')[0]?.fields.remote, '203.0.113.7:4711');
    client.destroy();
  });

  test('a connection without a header is closed without a word', async (t) => {
    const door = await startBehindProxy(t);
    const client = door.connectTcp(PROXY);
    client.write(readHello('node20-http'));
    assert.equal((await lastWords(client)).length, 0);
    const [line] = door.log.withCode('PROXY_HEADER_MALFORMED');
    assert.match(line?.message ?? '', /has no valid PROXY header: it begins with something else\./);
    assert.match(String(line?.fields.remote), /^127\.0\.0\.9:\d+$/);
    assert.equal(line?.level, 'warn');
  });

  test('a header that does not come in time is refused', async (t) => {
    const door = await startBehindProxy(t);
    const client = door.connectTcp(PROXY);
    client.write(HEADER.subarray(0, 10));
    await eventually(() => door.clock.pendingCount > 0, 'the header is awaited');
    door.clock.advance(LIMITS.tlsHandshakeMsMax);
    await lastWords(client);
    assert.equal(door.log.withCode('PROXY_HEADER_TIMEOUT').length, 1);
    assert.equal(door.doorstep.handshakeCount, 0);
  });

  test('header and handshake share one deadline', async (t) => {
    const door = await startBehindProxy(t);
    const client = door.connectTcp(PROXY);
    await eventually(() => door.clock.pendingCount > 0, 'the header is awaited');
    door.clock.advance(LIMITS.tlsHandshakeMsMax - 1);
    client.write(Buffer.concat([HEADER, readHello('node20-agent-by-address')]));
    await once(client, 'data');
    door.clock.advance(1);
    await eventually(() => door.doorstep.connectionCount === 0, 'it was dropped');
    assert.equal(door.log.withCode('CLIENT_HELLO_TIMEOUT').length, 1);
  });

  test('a health check that closes at once is a debug line', async (t) => {
    const door = await startBehindProxy(t);
    const client = door.connectTcp(PROXY);
    client.end();
    await lastWords(client);
    assert.deepEqual(
      door.log.lines.map(({ level }) => level),
      ['debug'],
    );
  });

  test('the doorstep can be closed while a header is awaited', async (t) => {
    const door = await startBehindProxy(t);
    const client = door.connectTcp(PROXY);
    await eventually(() => door.clock.pendingCount > 0, 'the header is awaited');
    await door.doorstep.destroy();
    client.destroy();
  });
});

describe('from anybody else', () => {
  for (const version of ['v1', 'v2'] as const)
    test(`a header of ${version} is no ClientHello`, async (t) => {
      const door = await startBehindProxy(t);
      const client = door.connectTcp();
      client.write(proxyHeaderFor(version, SOURCE, DESTINATION));
      assert.deepEqual(await readToEnd(client), Buffer.from([21, 3, 1, 0, 2, 2, 50]));
      assert.match(String(door.log.withCode('CLIENT_HELLO_MALFORMED')[0]?.fields.remote), /^127\.0\.0\.1:/);
      client.destroy();
    });

  test('no header is needed', async (t) => {
    const door = await startBehindProxy(t);
    const arriving = door.nextArrival();
    door.connectTls({ servername: ENGINE_HOST });
    assert.equal((await arriving).connection.remoteAddress, '127.0.0.1');
  });
});

describe('limits by source', () => {
  const dropped = async (client: Socket) => {
    const words = await lastWords(client);
    assert.equal(words.length, 0);
  };

  test('a flood from one source leaves another served, and is told of once a second', async (t) => {
    const door = await startDoorstep(t, { connectionsPerSource: 2 });
    const held = [door.connectTcp('127.0.0.2'), door.connectTcp('127.0.0.2')];
    await eventually(() => door.clock.pendingCount === 2, 'both have arrived');
    for (let count = 0; count < 20; count++) await dropped(door.connectTcp('127.0.0.2'));
    const arriving = door.nextArrival();
    door.connectTls({ servername: ENGINE_HOST });
    assert.equal((await arriving).room, 'api');

    assert.deepEqual(door.doorstep.dropCounts, { SOURCE_CONNECTION_LIMIT: 20 });
    assert.equal(door.log.withCode('SOURCE_CONNECTION_LIMIT').length, 1);
    door.clock.advance(LIMITS.connectionLimitLogMs);
    await dropped(door.connectTcp('127.0.0.2'));
    const [first, second] = door.log.withCode('SOURCE_CONNECTION_LIMIT');
    assert.equal(first?.message, 'One source has reached its limit of 2 connections.');
    assert.match(String(first?.fields.remote), /^127\.0\.0\.2:\d+$/);
    assert.equal(second?.fields.droppedCount, 20);

    held[0]?.destroy();
    await eventually(() => door.doorstep.connectionCount === 2, 'one has left');
    door.connectTcp('127.0.0.2');
    await eventually(() => door.doorstep.connectionCount === 3, 'there is room again');
  });

  test('a source that is too fast is dropped, and comes in again a little later', async (t) => {
    const door = await startDoorstep(t, { ratePerSource: 1 });
    for (let count = 0; count < LIMITS.sourceBurstSeconds; count++) {
      const client = door.connectTcp();
      client.end();
      await lastWords(client);
    }
    await dropped(door.connectTcp());
    assert.deepEqual(door.doorstep.dropCounts, { SOURCE_RATE_LIMIT: 1 });
    door.clock.advance(1_000);
    const arriving = door.nextArrival();
    door.connectTls({ servername: ENGINE_HOST });
    await arriving;
  });

  test('behind a proxy they count by the address of the header, and the proxy itself is exempt', async (t) => {
    const door = await startBehindProxy(t, { connectionsPerSource: 1 });
    const send = (header: Buffer) => {
      const client = door.connectTcp(PROXY);
      client.write(header);
      return client;
    };
    const local = proxyHeaderFor('v2', { address: '', port: 0 }, DESTINATION);
    send(HEADER);
    await eventually(() => door.clock.pendingCount === 1, 'the first of the source has arrived');
    await dropped(send(HEADER));
    assert.equal(door.log.withCode('SOURCE_CONNECTION_LIMIT')[0]?.fields.remote, '203.0.113.7:4711');
    send(proxyHeaderFor('v2', { ...SOURCE, address: '203.0.113.8' }, DESTINATION));
    send(local);
    send(local);
    await eventually(() => door.clock.pendingCount === 4, 'another source and the proxy come in');
    assert.deepEqual(door.doorstep.dropCounts, { SOURCE_CONNECTION_LIMIT: 1 });
  });

  test('an exempt source has as many as it likes', async (t) => {
    const isExempt = (address: string) => address === '127.0.0.2';
    const door = await startDoorstep(t, { connectionsPerSource: 1, ratePerSource: 1, isExempt });
    for (let count = 0; count < 20; count++) door.connectTcp('127.0.0.2');
    await eventually(() => door.clock.pendingCount === 20, 'all have arrived');
    assert.deepEqual(door.doorstep.dropCounts, {});
  });
});

test('a place in the door is given back however a handshake ends', async (t) => {
  const door = await startBehindProxy(t, { handshakesMax: 1 });
  const hello = readHello('node20-agent-by-address');
  const ways: readonly ((client: Socket) => unknown)[] = [
    (client) => client.destroy(),
    (client) => client.resetAndDestroy(),
    (client) => client.end(),
    (client) => client.end('GET / HTTP/1.1\r\n\r\n'),
    (client) => client.write(Buffer.alloc(LIMITS.clientHelloBytesMax)),
  ];
  for (const address of ['127.0.0.1', PROXY])
    for (const opening of [Buffer.alloc(0), hello.subarray(0, 50), hello])
      for (const leave of ways) {
        const client = door.connectTcp(address);
        if (address === PROXY) client.write(HEADER);
        if (opening.length > 0) client.write(opening);
        if (opening === hello) await once(client, 'data');
        else await eventually(() => door.doorstep.handshakeCount === 1, 'it is in the door');
        leave(client);
        // Node does not tell of an end within a handshake, so the deadline sees to it.
        if (opening === hello) door.clock.advance(LIMITS.tlsHandshakeMsMax);
        await eventually(() => door.doorstep.handshakeCount === 0, 'its place is free');
        client.destroy();
      }
  assert.deepEqual(door.doorstep.dropCounts, {});
});

test('accept pressure: connections beyond the handshakes that may be under way are dropped, those that are up stay', async (t) => {
  const door = await startDoorstep(t, { handshakesMax: 2 });
  const arriving = door.nextArrival();
  const served = door.connectTls({ servername: ENGINE_HOST });
  const { socket } = await arriving;
  const slow = [door.connectTcp(), door.connectTcp()];
  await eventually(() => door.doorstep.handshakeCount === 2, 'both are in the door');
  for (let count = 0; count < 5; count++) await lastWords(door.connectTcp());
  assert.deepEqual(door.doorstep.dropCounts, { HANDSHAKE_LIMIT: 5 });
  const lines = door.log.withCode('HANDSHAKE_LIMIT').map(({ message }) => message);
  assert.deepEqual(lines, ['More than 2 connections are about to set up TLS.']);

  socket.write('still here');
  assert.equal(String(((await once(served, 'data')) as [Buffer])[0]), 'still here');
  slow[0]?.destroy();
  await eventually(() => door.doorstep.handshakeCount === 1, 'there is a place again');
  const next = door.nextArrival();
  door.connectTls({ servername: ENGINE_HOST });
  await next;
});

test('accept pressure: a handshake that stalls yields its place to a new connection', async (t) => {
  const door = await startDoorstep(t, { handshakesMax: 2 });
  const stalled = [door.connectTcp(), door.connectTcp()].map((client) => lastWords(client));
  await eventually(() => door.doorstep.handshakeCount === 2, 'both are in the door');
  door.clock.advance(LIMITS.handshakeYieldMs);
  for (const [at, gone] of stalled.entries()) {
    const next = door.nextArrival();
    door.connectTls({ servername: ENGINE_HOST });
    await Promise.all([next, gone]);
    assert.deepEqual(door.doorstep.dropCounts, { HANDSHAKE_LIMIT: at + 1 });
    door.connectTcp();
    await eventually(() => door.doorstep.handshakeCount === 2, 'the place is taken again');
  }
  await lastWords(door.connectTcp());
  assert.deepEqual(door.doorstep.dropCounts, { HANDSHAKE_LIMIT: 3 }, 'those in the door now are fresh');
});

test('a peer that has reset its connection before it is asked who it is counts for nobody, nor does what it sent', async (t) => {
  const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [[socket]] = (await Promise.all([once(server, 'connection'), once(client, 'connect')])) as [
    [Socket],
    unknown,
  ];
  // As health checks of proxies do.
  client.write(HEADER);
  client.resetAndDestroy();
  await once(client, 'close');
  const arrivals = createArrivals(
    {
      clock: createFakeClock(),
      log: createLogRecorder(),
      trustedProxies: createAddressSet(['127.0.0.1']),
      isExempt: () => false,
    },
    { connectionsPerSource: 1, ratePerSource: 0 },
  );
  assert.equal(await arrivals.arrive(socket), undefined);
  assert.ok(socket.destroyed);
});
