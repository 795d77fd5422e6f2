import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { VERSION } from '../../src/version.ts';
import { startEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { connectFake } from '../support/fake-agent.ts';

describe('the opening of a control channel', () => {
  test('names the agent and says who the engine is', async (t) => {
    const engine = await startEngine(t);
    const [one, other] = [await engine.connectAgent(), await engine.connectAgent()];
    for (const { opened } of [one, other]) {
      assert.match(opened.agentId, /^cli_[0-9a-z]{20}$/);
      assert.deepEqual(opened.server, { agent: 'rstream-engine-ce', version: VERSION });
    }
    assert.notEqual(one.agentId, other.agentId);
  });

  test('agrees to heartbeats at the interval that was asked for', async (t) => {
    const engine = await startEngine(t);
    const liveness = async (intervalMs: number) =>
      (await engine.connectAgent({ liveness: intervalMs })).opened.liveness;
    assert.deepEqual(await liveness(1_000), { heartbeatIntervalMs: 1_000, heartbeatTimeoutMs: 15_000 });
    assert.deepEqual(await liveness(300_000), { heartbeatIntervalMs: 300_000, heartbeatTimeoutMs: 900_000 });
  });

  test('is refused when the interval is one that no client asks for', async (t) => {
    const engine = await startEngine(t);
    for (const liveness of [0, 999, 300_001])
      await assert.rejects(engine.connectAgent({ liveness }), { code: 2000, message: /LIVENESS_INVALID/ });
  });

  for (const protocolVersion of ['1.0.0', '1.3.0', '1.4.5', '1.99.0'])
    test(`welcomes protocol ${protocolVersion}`, async (t) => {
      const engine = await startEngine(t);
      await engine.connectAgent({ clientDetails: { protocolVersion } });
    });

  test('refuses other protocols by the codes that agents know', async (t) => {
    const engine = await startEngine(t);
    const codes = { none: 2010, '': 2010, '1.4': 2020, latest: 2020, '2.0.0': 2030 };
    for (const [version, code] of Object.entries(codes)) {
      const protocolVersion = version === 'none' ? undefined : version;
      await assert.rejects(engine.connectAgent({ clientDetails: { protocolVersion } }), { code });
    }
  });

  test('works without a server name, and with a foreign one', async (t) => {
    const engine = await startEngine(t);
    await engine.connectAgent({ serverName: '' });
    // The certificate names localhost, so the name alone decides nothing: ALPN does.
    const connection = await connectFake({ port: engine.port, serverName: 'elsewhere.test' });
    t.after(() => connection.kill());
    connection.send({ kind: 'open-channel', details: { protocolVersion: '1.4.5' } });
    assert.equal((await connection.next('channel-refused')).error.code, 1000);
  });
});

describe('heartbeats', () => {
  test('are acknowledged once each, with the sequence of the agent', async (t) => {
    const engine = await startEngine(t);
    const agent = await engine.connectAgent({ liveness: 1_000 });
    for (const sequence of [1n, 2n, 5n]) {
      agent.send({ kind: 'heartbeat', sequence, acknowledgement: 0n });
      assert.deepEqual(await agent.next('heartbeat'), {
        kind: 'heartbeat',
        sequence: 0n,
        acknowledgement: sequence,
      });
    }
    agent.send({ kind: 'heartbeat', sequence: 5n, acknowledgement: 0n });
    await agent.openTunnel({});
    assert.deepEqual(agent.unread, []);
  });

  test('are never sent to an agent that negotiated none, whatever it sends', async (t) => {
    const engine = await startEngine(t);
    const agent = await engine.connectAgent();
    assert.equal(agent.opened.liveness, undefined);
    for (const sequence of [0n, 0n, 1n, 7n]) agent.send({ kind: 'heartbeat', sequence, acknowledgement: 0n });
    // The answer comes behind whatever the heartbeats may have caused.
    await agent.openTunnel({});
    assert.deepEqual(agent.unread, []);
  });
});

test('messages of a newer protocol are passed over', async (t) => {
  const engine = await startEngine(t);
  const agent = await engine.connectAgent();
  agent.send({ kind: 'unknown' });
  // Field 99 with the text `new`.
  agent.sendRaw(Buffer.from([0, 0, 0, 6, 0x9a, 0x06, 3, 0x6e, 0x65, 0x77]));
  agent.send({ kind: 'datagram-channel-close', streamId: 'unheard-of' });
  await agent.openTunnel({ name: 'still-there' });
  assert.deepEqual(agent.unread, []);
});

test('a bare handshake that closes is normal (rstream doctor)', async (t) => {
  const engine = await startEngine(t);
  const connection = await connectFake({ port: engine.port, ca: engine.ca });
  assert.equal(connection.socket.alpnProtocol, 'rstrm/1');
  connection.socket.end();
  await connection.ended;
  await eventually(() => engine.engine.counts().connections === 0, 'the connection is gone');
  const talk = engine.log.lines.filter(
    ({ level, message }) => level !== 'debug' && message !== 'engine ready',
  );
  assert.deepEqual(talk, []);
});

test('an agent that says goodbye is answered before the connection ends', async (t) => {
  const engine = await startEngine(t);
  const agent = await engine.connectAgent();
  await agent.openTunnel({ hostname: 'web' });
  await agent.close();
  await eventually(() => engine.engine.counts().connections === 0, 'the connection is gone');
  assert.equal(engine.engine.counts().tunnels, 0);
});
