import assert from 'node:assert/strict';
import { once } from 'node:events';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { describe, type TestContext, test } from 'node:test';
import { PERMISSIONS } from '../../src/base/principal.ts';
import type { TunnelProperties } from '../../src/base/tunnel-properties.ts';
import { encodeFrame } from '../../src/wire/frame-writer.ts';
import {
  type EngineOptions,
  startEngine,
  startHttpUpstream,
  startTcpUpstream,
  type TestEngine,
} from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { connectFake, privateDial } from '../support/fake-agent.ts';
import { startHalfOpenRelay } from '../support/half-open-relay.ts';
import { readToEnd } from '../support/read-to-end.ts';

const PRIVATE = { publish: false, name: 'echo' };

/** An engine with a private tunnel to an upstream that answers `<` and all that it read, once the other side has ended. */
const startEcho = async (t: TestContext, properties: TunnelProperties = PRIVATE, options?: EngineOptions) => {
  const engine = await startEngine(t, options);
  const upstream = await startTcpUpstream(t, (socket) => {
    const chunks = [Buffer.from('<')];
    socket.on('data', (chunk) => chunks.push(chunk)).on('end', () => socket.end(Buffer.concat(chunks)));
  });
  const { reply } = await engine.publish(upstream, properties);
  const token = await engine.createToken('dialer', [PERMISSIONS.manageStreams]);
  return { engine, token, id: reply.id ?? '' };
};

type DialOptions = Partial<Parameters<typeof privateDial>[0]> & { target: string; token: string };

const dial = async (t: TestContext, { port, ca }: TestEngine, options: DialOptions): Promise<Duplex> => {
  const stream = await privateDial({ port, ca, ...options });
  t.after(() => stream.destroy());
  return stream;
};

const exchange = async (stream: Duplex, text: string | Buffer): Promise<Buffer> => {
  stream.end(text);
  const answer = await readToEnd(stream);
  stream.destroy();
  return answer;
};

for (const zeroRtt of [false, true])
  describe(`a private dial ${zeroRtt ? 'with' : 'without'} zero-RTT`, () => {
    test('reaches a tunnel by its name and by its id', async (t) => {
      const { engine, token, id } = await startEcho(t);
      for (const target of ['echo', id, ` ${id} `]) {
        const stream = await dial(t, engine, { token, target, zeroRtt });
        assert.equal(String(await exchange(stream, `to ${target}`)), `<to ${target}`);
      }
    });

    test('carries a reply that begins after its own end, whole', async (t) => {
      const { engine, token } = await startEcho(t);
      const stream = await dial(t, engine, { token, target: 'echo', zeroRtt });
      const payload = Buffer.alloc(3_000_000, 'payload ');
      const answer = await exchange(stream, payload);
      assert.ok(answer.subarray(1).equals(payload));
    });

    test('may keep talking after the upstream has ended', async (t) => {
      const engine = await startEngine(t);
      const heard: Promise<Buffer>[] = [];
      const upstream = await startTcpUpstream(t, (socket) => {
        heard.push(readToEnd(socket));
        socket.end('bye');
      });
      await engine.publish(upstream, PRIVATE);
      const stream = await dial(t, engine, { token: await engine.createToken('d'), target: 'echo', zeroRtt });
      assert.equal(String(await readToEnd(stream)), 'bye');
      stream.end('still here');
      await eventually(() => heard.length > 0, 'the upstream was reached');
      assert.equal(String(await heard[0]), 'still here');
    });
  });

test('payload in the same write as the dial is the first of the stream', async (t) => {
  const { engine, token } = await startEcho(t);
  const connection = await connectFake({ port: engine.port, ca: engine.ca });
  t.after(() => connection.kill());
  connection.socket.removeAllListeners('data');
  const frame = encodeFrame({
    kind: 'private-dial',
    details: { protocolVersion: '1.4.5', token },
    target: 'echo',
    zeroRtt: true,
    datagramChannel: false,
  });
  assert.equal(
    String(await exchange(connection.socket, Buffer.concat([frame, Buffer.from('early')]))),
    '<early',
  );
});

// A Go client before 1.28 reads its answer with a buffer, and loses what came in the same TLS record behind it.
describe('a handshake answer comes in a record of its own', () => {
  const recordsOf = (socket: Duplex): Buffer[] => {
    const records: Buffer[] = [];
    socket.on('data', (record) => records.push(record));
    return records;
  };
  const isOneFrame = (record: Buffer) => record.readUInt32BE(0) === record.length - 4;

  test('to a dialer whose upstream has spoken, and to an agent whose dialer has', async (t) => {
    const engine = await startEngine(t);
    const agent = await engine.connectAgent({ token: await engine.createToken('agent') });
    await agent.openTunnel({ type: 'bytestream', publish: false, name: 'echo' });
    const token = await engine.createToken('dialer');
    const details = { protocolVersion: '1.4.5' };
    for (let turn = 0; turn < 5; turn += 1) {
      const dialer = await connectFake({ port: engine.port, ca: engine.ca });
      const back = await connectFake({ port: engine.port, ca: engine.ca });
      t.after(() => {
        dialer.kill();
        back.kill();
      });
      const [dialerSide, agentSide] = [dialer, back].map(({ socket }) => {
        socket.removeAllListeners('data');
        return recordsOf(socket);
      }) as [Buffer[], Buffer[]];
      const dialFrame = encodeFrame({
        kind: 'private-dial',
        details: { ...details, token },
        target: 'echo',
        zeroRtt: false,
        datagramChannel: false,
      });
      dialer.sendRaw(Buffer.concat([dialFrame, Buffer.from('from the dialer')]));
      const { streamId, secret } = await agent.next('dial-request');
      const backFrame = encodeFrame({
        kind: 'dial-back',
        details: { ...details, token: secret ?? '' },
        streamId,
        zeroRtt: false,
      });
      back.sendRaw(Buffer.concat([backFrame, Buffer.from('from the upstream')]));
      await eventually(() => dialerSide.length > 1 && agentSide.length > 1, 'both have payload');
      assert.ok(isOneFrame(dialerSide[0]!), 'the dialer');
      assert.equal(String(Buffer.concat(dialerSide.slice(1))), 'from the upstream');
      assert.ok(isOneFrame(agentSide[0]!), 'the agent');
      assert.equal(String(Buffer.concat(agentSide.slice(1))), 'from the dialer');
    }
  });
});

test('12 dials at once, by name and id, with and without zero-RTT, do not mix', async (t) => {
  const { engine, token, id } = await startEcho(t);
  const answers = await Promise.all(
    Array.from({ length: 12 }, async (_, number) => {
      const target = number % 2 === 0 ? 'echo' : id;
      const stream = await dial(t, engine, { token, target, zeroRtt: number % 3 === 0 });
      return String(await exchange(stream, `${number}`.repeat(50_000)));
    }),
  );
  answers.forEach((answer, number) => {
    assert.equal(answer, `<${`${number}`.repeat(50_000)}`);
  });
});

test('an upstream that speaks first is heard', async (t) => {
  const engine = await startEngine(t);
  const upstream = await startTcpUpstream(t, (socket) => socket.end('220 ready\r\n'));
  await engine.publish(upstream, PRIVATE);
  const stream = await dial(t, engine, { token: await engine.createToken('d'), target: 'echo' });
  assert.equal(String(await readToEnd(stream)), '220 ready\r\n');
  stream.end();
  await eventually(() => engine.engine.counts().privateStreams === 0, 'the stream is over');
});

test('a published tunnel can be dialled as well', async (t) => {
  const engine = await startEngine(t);
  const upstream = await startHttpUpstream(t, (request, response) => response.end(request.url));
  await engine.publish(upstream, { name: 'web', hostname: 'web' });
  const stream = await dial(t, engine, { token: await engine.createToken('d'), target: 'web' });
  stream.write('GET /it HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  assert.match(String(await readToEnd(stream)), /^HTTP\/1.1 200 OK\r\n.*\/it$/s);
});

test('a private tunnel may ask for a PROXY header as well', async (t) => {
  const labels = { 'rstream.proxy-protocol': 'v1' };
  const { engine, token } = await startEcho(t, { ...PRIVATE, labels });
  const stream = await dial(t, engine, { token, target: 'echo' });
  assert.match(
    String(await exchange(stream, 'x')),
    new RegExp(`^<PROXY TCP4 127.0.0.1 127.0.0.1 \\d+ ${engine.port}\r\nx$`),
  );
});

test('a datagram tunnel is relayed unchanged', async (t) => {
  const { engine, token } = await startEcho(t, { ...PRIVATE, type: 'datagram' });
  // Two datagrams in the framing of clients, which the engine does not look into.
  const packets = Buffer.from([0, 3, 1, 2, 3, 0, 1, 0xff]);
  const stream = await dial(t, engine, { token, target: 'echo', zeroRtt: true });
  assert.deepEqual((await exchange(stream, packets)).subarray(1), packets);
});

test('a dialer whose connection breaks takes its stream along', async (t) => {
  const engine = await startEngine(t);
  const network = await startHalfOpenRelay(t, engine);
  let isOver = false;
  const upstream = await startTcpUpstream(t, (socket) => {
    socket.write('hello');
    socket.once('error', () => {
      isOver = true;
    });
    socket.resume();
  });
  await engine.publish(upstream, PRIVATE);
  const token = await engine.createToken('dialer');
  const stream = await dial(t, engine, { token, target: 'echo', port: network.port });
  await once(stream, 'data');
  assert.equal(engine.engine.counts().privateStreams, 1);
  network.reset();
  await eventually(() => engine.engine.counts().privateStreams === 0, 'the engine has noticed');
  await eventually(() => isOver, 'the upstream was told');
});

test('an upstream that breaks while the agent still dials back hurts nobody else', async (t) => {
  const engine = await startEngine(t);
  let dialCount = 0;
  const upstream = await startTcpUpstream(t, (socket) => {
    // Spread over the milliseconds that the handshake of a dial-back takes.
    dialCount += 1;
    const turns = (left: number) => (left > 0 ? setImmediate(turns, left - 1) : socket.resetAndDestroy());
    turns(dialCount);
  });
  await engine.publish(upstream, PRIVATE);
  const token = await engine.createToken('dialer');
  for (let attempt = 0; attempt < 60; attempt++) {
    const stream = await dial(t, engine, { token, target: 'echo', zeroRtt: true });
    await readToEnd(stream).catch(() => {});
    stream.destroy();
  }
  assert.equal(engine.engine.counts().tunnels, 1);
});

describe('a private dial is refused', () => {
  test('with 1000 by whoever has no valid token', async (t) => {
    const { engine } = await startEcho(t);
    await assert.rejects(dial(t, engine, { token: '', target: 'echo' }), {
      code: 1000,
      message: /TOKEN_MISSING/,
    });
    await assert.rejects(dial(t, engine, { token: 'x', target: 'echo' }), {
      code: 1000,
      message: /TOKEN_INVALID/,
    });
  });

  test('with 1000 to a token that lacks the permission, which is named', async (t) => {
    const { engine } = await startEcho(t);
    const token = await engine.createToken('agents-only', [PERMISSIONS.manageTunnels]);
    await assert.rejects(dial(t, engine, { token, target: 'echo' }), {
      code: 1000,
      message: /tunnels\.streams\.create-delete/,
    });
    // The other way round: who may dial may not publish.
    const dialer = await engine.createToken('streams-only', [PERMISSIONS.manageStreams]);
    await assert.rejects(engine.connectAgent({ token: dialer }), {
      code: 1000,
      message: /tunnels\.tunnels\.create-delete/,
    });
  });

  test('with 3000 when no such tunnel is open', async (t) => {
    const { engine, token } = await startEcho(t);
    for (const target of ['unheard-of', '', ' '])
      await assert.rejects(dial(t, engine, { token, target }), { code: 3000 });
  });

  test('with 6000 when the upstream cannot be reached', async (t) => {
    const engine = await startEngine(t);
    const upstream = await startTcpUpstream(t, () => {});
    upstream.server.close();
    await engine.publish(upstream, PRIVATE);
    const token = await engine.createToken('dialer');
    await assert.rejects(dial(t, engine, { token, target: 'echo' }), {
      code: 6000,
      message: /DIAL_BACK_REFUSED/,
    });
  });

  test('with 6000 when the agent does not answer in time', async (t) => {
    const engine = await startEngine(t, {
      settings: { timeouts: { drain_seconds: 1, stream_request_seconds: 1 } },
    });
    const agent = await engine.connectAgent();
    await agent.openTunnel(PRIVATE);
    const token = await engine.createToken('dialer');
    await assert.rejects(dial(t, engine, { token, target: 'echo' }), {
      code: 6000,
      message: /DIAL_BACK_TIMEOUT/,
    });
    assert.equal(engine.engine.counts().dials, 0);
  });

  test('with 6000 when the agent goes away meanwhile', async (t) => {
    const engine = await startEngine(t);
    const agent = await engine.connectAgent();
    await agent.openTunnel(PRIVATE);
    const dialing = dial(t, engine, { token: await engine.createToken('dialer'), target: 'echo' });
    const refused = assert.rejects(dialing, { code: 6000, message: /AGENT_GONE/ });
    await agent.next('dial-request');
    agent.kill();
    await refused;
  });

  test('with 5000 when it asks for a datagram channel over TLS', async (t) => {
    const { engine, token } = await startEcho(t, { ...PRIVATE, type: 'datagram' });
    await assert.rejects(dial(t, engine, { token, target: 'echo', datagramChannel: true }), { code: 5000 });
  });

  test('by a plain end with zero-RTT, where any answer would be taken for payload', async (t) => {
    const { engine, token } = await startEcho(t);
    const stream = await dial(t, engine, { token, target: 'unheard-of', zeroRtt: true });
    assert.equal((await readToEnd(stream)).length, 0);
    assert.equal(engine.log.withCode('TUNNEL_NOT_FOUND').length, 1);
  });
});

describe('the policy of a published tunnel', () => {
  const publishTo = async (t: TestContext, engine: TestEngine, properties: TunnelProperties) => {
    const upstream = await startTcpUpstream(t, (socket) => void socket.pipe(socket));
    await engine.publish(upstream, { name: 'raw', protocol: 'tls', ...properties });
  };

  for (const [what, properties] of Object.entries<TunnelProperties>({
    trusted_ips: { trustedIps: ['192.0.2.0/24'] },
    mtls_auth: { mtlsAuth: true },
  }))
    test(`holds for private dials too: ${what}`, async (t) => {
      const engine = await startEngine(t);
      await publishTo(t, engine, properties);
      const token = await engine.createToken('dialer');
      await assert.rejects(dial(t, engine, { token, target: 'raw' }), { code: 1000 });
      assert.equal(engine.engine.counts().dials, 0);
    });

  test('lets in by a private dial whom it allows, and cuts them when that changes', async (t) => {
    const engine = await startEngine(t, { hasConfigFile: true });
    await publishTo(t, engine, { trustedIps: ['127.0.0.1'] });
    const stream = await dial(t, engine, { token: await engine.createToken('dialer'), target: 'raw' });
    stream.write('in');
    await once(stream, 'data');
    const broken = assert.rejects(once(stream, 'end'), { code: 'ECONNRESET' });
    appendFileSync(join(engine.directory, 'config.yaml'), 'policy:\n  trusted_ips: [192.0.2.1]\n');
    engine.configFile?.reload();
    await broken;
    const codes = () => engine.engine.records?.search({ limit: 2 }).map(({ code }) => code);
    await eventually(() => codes()?.[0] === 'ADDRESS_FORBIDDEN', 'its record says why');
  });

  test('cuts a dialer in the middle of an answer of HTTP, and asks no more of the upstream', async (t) => {
    const engine = await startEngine(t, { hasConfigFile: true });
    let hasLeft = false;
    const upstream = await startHttpUpstream(t, (_request, response) => {
      response.write('half');
      response.on('close', () => {
        hasLeft = true;
      });
    });
    await engine.publish(upstream, { name: 'web', hostname: 'web' });
    const stream = await dial(t, engine, { token: await engine.createToken('dialer'), target: 'web' });
    stream.write('GET / HTTP/1.1\r\nHost: web\r\n\r\n');
    await once(stream, 'data');
    const broken = assert.rejects(once(stream.resume(), 'end'), { code: 'ECONNRESET' });
    appendFileSync(join(engine.directory, 'config.yaml'), 'policy:\n  trusted_ips: [192.0.2.1]\n');
    engine.configFile?.reload();
    await broken;
    await eventually(() => hasLeft, 'the upstream is let go');
    await eventually(() => engine.engine.counts().downstreams === 0, 'nothing is left');
  });
});
