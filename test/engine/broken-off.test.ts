/**
 * What breaks off on one side of a stream breaks off on the other: half a file must not look like the file (protocol.md 6.4).
 *
 * Everybody here takes an end for the end, with or without close_notify, as most TLS libraries do; only a reset is something else.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { describe, type TestContext, test } from 'node:test';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import type { TunnelProperties } from '../../src/base/tunnel-properties.ts';
import { testCertificates } from '../support/certificates.ts';
import { startEngine, startTcpUpstream, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { privateDial } from '../support/fake-agent.ts';
import { freePort } from '../support/free-port.ts';

/** One end of a stream, and the way in which it breaks off. */
interface End {
  readonly stream: Duplex;
  reset(): void;
}

interface Way {
  readonly properties: TunnelProperties;
  readonly isUpstreamTls?: boolean;
  /** @param port of the TCP tunnel */
  connect(t: TestContext, engine: TestEngine, port: number): Promise<End>;
}

const ended = (stream: Duplex): Promise<'end' | 'reset'> =>
  new Promise((resolve) => {
    stream.once('end', () => resolve('end')).once('error', () => resolve('reset'));
    stream.resume();
  });

const connectRaw = (port: number): Socket => connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true });

const overTls = async (_: TestContext, { port, ca }: TestEngine): Promise<End> => {
  const raw = connectRaw(port);
  const stream = connectTls({ socket: raw, ca, servername: 'raw.t.localhost' }).on('error', () => {});
  await once(stream, 'secureConnect');
  return { stream, reset: () => raw.resetAndDestroy() };
};

const WAYS: Readonly<Record<string, Way>> = {
  'a TCP tunnel': {
    properties: { protocol: 'tcp' },
    async connect(_t, _engine, port) {
      const stream = connectRaw(port).on('error', () => {});
      return { stream, reset: () => stream.resetAndDestroy() };
    },
  },
  'a TLS tunnel': { properties: { protocol: 'tls', hostname: 'raw' }, connect: overTls },
  'a TLS tunnel to a service that speaks TLS': {
    properties: { protocol: 'tls', hostname: 'raw', upstreamTls: true },
    isUpstreamTls: true,
    connect: overTls,
  },
  'a TLS tunnel that is passed through': {
    properties: { protocol: 'tls', hostname: 'raw', tlsMode: 'passthrough' },
    isUpstreamTls: true,
    connect: overTls,
  },
  'a private tunnel': {
    properties: { publish: false, name: 'raw' },
    async connect(_t, engine) {
      const { port, ca } = engine;
      const token = await engine.createToken('dialer');
      const below = connectRaw(port).on('error', () => {});
      const stream = await privateDial({ port, ca, token, target: 'raw', below });
      return { stream, reset: () => below.resetAndDestroy() };
    },
  },
};

/** A service whose connections break off as the test says. */
const startService = async (t: TestContext, isTls: boolean, settle: (end: End) => void) => {
  const { cert, key } = await testCertificates();
  const server = createTlsServer({ cert, key, allowHalfOpen: true });
  return startTcpUpstream(t, (socket) => {
    const reset = () => void socket.resetAndDestroy();
    if (!isTls) return settle({ stream: socket, reset });
    server.once('secureConnection', (stream) => settle({ stream: stream.on('error', () => {}), reset }));
    server.emit('connection', socket);
  });
};

/** An engine with one such tunnel, and a stream through it that has carried a byte each way. */
const open = async (t: TestContext, { properties, isUpstreamTls = false, connect }: Way) => {
  const port = await freePort();
  const tcp = { enabled: true, listen_host: '127.0.0.1', port_range: `${port}-${port}` };
  const engine = await startEngine(t, { settings: { tcp } });
  const { promise, settle } = withSettle<End>();
  await engine.publish(await startService(t, isUpstreamTls, settle), properties);
  const downstream = await connect(t, engine, port);
  t.after(() => downstream.stream.destroy());
  downstream.stream.write('a');
  const upstream = await promise;
  await once(upstream.stream, 'data');
  upstream.stream.write('b');
  await once(downstream.stream, 'data');
  return { engine, downstream, upstream };
};

const withSettle = <Value>() => {
  let settle: (value: Value) => void = () => {};
  const promise = new Promise<Value>((resolve) => {
    settle = resolve;
  });
  return { promise, settle };
};

for (const [name, way] of Object.entries(WAYS))
  describe(name, () => {
    test('shows its service a break as a break', async (t) => {
      const { downstream, upstream } = await open(t, way);
      const end = ended(upstream.stream);
      downstream.reset();
      assert.equal(await end, 'reset');
    });

    test('shows its downstream a break as a break', async (t) => {
      const { downstream, upstream } = await open(t, way);
      const end = ended(downstream.stream);
      upstream.reset();
      assert.equal(await end, 'reset');
    });

    test('shows both an end as an end', async (t) => {
      const { downstream, upstream } = await open(t, way);
      const atUpstream = ended(upstream.stream);
      downstream.stream.end();
      assert.equal(await atUpstream, 'end');
      const atDownstream = ended(downstream.stream);
      upstream.stream.end();
      assert.equal(await atDownstream, 'end');
    });

    test('breaks off both when the engine ends', async (t) => {
      const { engine, downstream, upstream } = await open(t, way);
      const ends = [downstream, upstream].map(({ stream }) => ended(stream));
      await engine.engine.stop();
      assert.deepEqual(await Promise.all(ends), ['reset', 'reset']);
    });
  });

test('a private stream breaks off at both ends when the credential of its dialer is revoked', async (t) => {
  const way = WAYS['a private tunnel'];
  assert.ok(way);
  const { engine, downstream, upstream } = await open(t, way);
  const ends = [downstream, upstream].map(({ stream }) => ended(stream));
  engine.revokeToken('dialer');
  assert.deepEqual(await Promise.all(ends), ['reset', 'reset']);
  await eventually(() => engine.engine.counts().privateStreams === 0, 'it is gone');
});
