import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { describe, type TestContext, test } from 'node:test';
import { EngineError } from '../../src/base/errors.ts';
import { startAgent } from './start-agent.ts';
import { startTinyEngine } from './tiny-engine.ts';
import { closedPort, echo, startUpstream } from './upstream.ts';

const NOWHERE = { host: '127.0.0.1', port: 1 };
const hello = (upstream = NOWHERE) => [{ properties: { name: 'hello' }, upstream }];

const refusedWith = (code: string, text: string) => (error: unknown) =>
  error instanceof EngineError && error.code === code && error.message.includes(text);

/** An agent that is online, with the engine's end of its control channel. */
const startOnline = async (t: TestContext, upstream = NOWHERE, reply = {}) => {
  const engine = await startTinyEngine(t);
  const agent = startAgent(t, engine.target, hello(upstream));
  const channel = await engine.acceptTunnel(reply);
  const { tunnels } = await agent.event('online');
  return { engine, agent, channel, tunnels };
};

describe('coming online', () => {
  test('the agent says who it is and asks for heartbeats every 5 s', async (t) => {
    const { channel } = await startOnline(t);
    const { details, liveness } = channel.first;
    assert.equal(details.token, 'the-token');
    assert.equal(details.protocolVersion, '1.4.5');
    assert.equal(details.version, '1.2.3');
    assert.equal(details.os, process.platform);
    assert.deepEqual(liveness, { heartbeatIntervalMs: 5_000, heartbeatTimeoutMs: 0 });
  });

  test('the reply of the engine is what the event tells', async (t) => {
    const { tunnels } = await startOnline(t, NOWHERE, { hostname: 'hello-x1.t.localhost', port: 8443 });
    assert.deepEqual(
      tunnels.map(({ properties }) => properties),
      [{ name: 'hello', id: 'tun_1', hostname: 'hello-x1.t.localhost', port: 8443 }],
    );
  });

  test('several tunnels are opened on one channel, answered in any order', async (t) => {
    const engine = await startTinyEngine(t);
    const tunnels = ['a', 'b'].map((name) => ({ properties: { name }, upstream: NOWHERE }));
    const agent = startAgent(t, engine.target, tunnels);
    const channel = await engine.acceptChannel();
    const asked = [await channel.next('open-tunnel'), await channel.next('open-tunnel')].reverse();
    for (const { requestId, properties } of asked)
      channel.send({
        kind: 'tunnel-opened',
        requestId,
        properties: { ...properties, id: `tun_${properties.name}` },
      });
    const online = await agent.event('online');
    assert.deepEqual(
      online.tunnels.map(({ properties }) => properties.id),
      ['tun_a', 'tun_b'],
    );
  });
});

describe('losing the engine', () => {
  test('after the control connection died the same hostname is asked for again, also one that the engine chose', async (t) => {
    const { engine, agent, channel } = await startOnline(t, NOWHERE, { hostname: 'hello-x1.t.localhost' });
    channel.socket.destroy();
    await agent.skipPause();
    const { asked } = await engine.acceptTunnel();
    assert.deepEqual(asked.properties, { name: 'hello', hostname: 'hello-x1.t.localhost' });
  });

  test('a stream that runs survives the loss of its control channel', async (t) => {
    const { engine, agent, channel } = await startOnline(t, await startUpstream(t, echo));
    channel.send({ kind: 'dial-request', tunnelId: 'tun_1', streamId: 's1', secret: 'q' });
    const { socket } = await engine.accept('dial-back');
    channel.socket.destroy();
    await agent.skipPause();
    await engine.acceptTunnel();
    socket.write('still here');
    assert.equal(String((await once(socket, 'data'))[0]), 'still here');
  });

  test('pauses grow from about 1 s to about 30 s and begin again after a success', async (t) => {
    const { engine, agent, channel } = await startOnline(t);
    channel.socket.destroy();
    const pauses: number[] = [];
    for (let attempt = 0; attempt < 7; attempt += 1) {
      const { retryMs } = await agent.event('offline');
      pauses.push(retryMs);
      agent.clock.advance(retryMs);
      (await engine.accept('open-channel')).socket.destroy();
    }
    assert.ok((pauses[0] as number) >= 500 && (pauses[0] as number) <= 1_000);
    assert.ok((pauses[6] as number) >= 15_000 && (pauses[6] as number) <= 30_000);
    await agent.skipPause();
    (await engine.acceptTunnel()).socket.destroy();
    await agent.event('online');
    const { retryMs } = await agent.event('offline');
    assert.ok(retryMs <= 1_000);
  });

  test('an engine that is silent for the negotiated timeout is left', async (t) => {
    const { agent, channel } = await startOnline(t);
    agent.clock.advance(14_999);
    channel.send({ kind: 'server-message', text: 'any message is a sign of life' });
    channel.send({ kind: 'dial-request', tunnelId: 'tun_x', streamId: 's1' });
    await channel.next('dial-result');
    agent.clock.advance(14_999);
    agent.clock.advance(1);
    assert.equal((await agent.event('offline')).error.code, 'ENGINE_SILENT');
  });

  for (const [kind, what] of [
    ['channel-closed', 'control channel'],
    ['tunnel-closed', 'tunnel'],
  ] as const)
    test(`an unasked ${kind} is a reason to connect again`, async (t) => {
      const { engine, agent, channel } = await startOnline(t);
      channel.send({ kind, tunnelId: 'tun_1' });
      assert.match((await agent.skipPause()).message, new RegExp(`closed the ${what}`));
      await engine.acceptTunnel();
      await agent.event('online');
    });

  test('a frame that is no message is a reason to connect again', async (t) => {
    const { engine, agent, channel } = await startOnline(t);
    channel.socket.write(Buffer.from('00000001ff', 'hex'));
    assert.equal((await agent.skipPause()).code, 'ENGINE_PROTOCOL');
    await engine.acceptTunnel();
  });

  test('an engine that is not there is tried again', async (t) => {
    const agent = startAgent(t, await closedPort(), hello());
    const error = await agent.skipPause();
    assert.equal(error.code, 'ENGINE_UNREACHABLE');
    assert.match(error.message, /ECONNREFUSED/);
    await agent.skipPause();
  });

  test('an engine that never answers the opening is left after 35 s', async (t) => {
    const engine = await startTinyEngine(t);
    const agent = startAgent(t, engine.target, hello());
    await engine.accept('open-channel');
    agent.clock.advance(35_000);
    assert.equal((await agent.event('offline')).error.code, 'ENGINE_SILENT');
  });

  test('an engine that never answers a tunnel is left after 35 s', async (t) => {
    const engine = await startTinyEngine(t);
    const agent = startAgent(t, engine.target, hello());
    const channel = await engine.accept('open-channel');
    channel.send({ kind: 'channel-opened', agentId: 'cli_1', server: {} });
    await channel.next('open-tunnel');
    agent.clock.advance(35_000);
    assert.equal((await agent.event('offline')).error.code, 'ENGINE_SILENT');
  });

  test('a certificate that nobody vouches for is said to be the reason', async (t) => {
    const { target } = await startTinyEngine(t);
    const agent = startAgent(t, { host: target.host, port: target.port }, hello());
    assert.match((await agent.event('offline')).error.message, /certificate/);
  });

  test('a certificate for another name is said to be the reason', async (t) => {
    const { target } = await startTinyEngine(t);
    const agent = startAgent(t, { ...target, serverName: 'other.example' }, hello());
    assert.match((await agent.event('offline')).error.message, /other\.example/);
  });

  test('a server that does not speak the protocol is said to be the reason', async (t) => {
    const { target } = await startTinyEngine(t, { ALPNProtocols: [] });
    const agent = startAgent(t, target, hello());
    assert.match((await agent.event('offline')).error.message, /rstrm\/1|alpn/i);
  });
});

describe('heartbeats', () => {
  test('the first goes at once, then one each interval, numbered from 1', async (t) => {
    const { agent, channel } = await startOnline(t);
    assert.equal((await channel.next('heartbeat')).sequence, 1n);
    agent.clock.advance(10_000);
    assert.equal((await channel.next('heartbeat')).sequence, 2n);
    assert.equal((await channel.next('heartbeat')).sequence, 3n);
  });

  test('acknowledgements may be skipped', async (t) => {
    const { agent, channel } = await startOnline(t);
    agent.clock.advance(10_000);
    channel.send({ kind: 'heartbeat', sequence: 0n, acknowledgement: 1n });
    channel.send({ kind: 'heartbeat', sequence: 0n, acknowledgement: 3n });
    channel.send({ kind: 'dial-request', tunnelId: 'tun_x', streamId: 's1' });
    await channel.next('dial-result');
  });

  for (const [name, sequence, acknowledgements] of [
    ['of what was not sent', 0n, [2n]],
    ['of the same twice', 0n, [1n, 1n]],
    ['of nothing', 0n, [0n]],
    ['with a number of its own', 1n, [1n]],
  ] as const)
    test(`an acknowledgement ${name} ends the channel`, async (t) => {
      const { agent, channel } = await startOnline(t);
      for (const acknowledgement of acknowledgements)
        channel.send({ kind: 'heartbeat', sequence, acknowledgement });
      assert.equal((await agent.event('offline')).error.code, 'ENGINE_PROTOCOL');
    });

  test('without liveness they are empty, and silence is no reason to leave', async (t) => {
    const engine = await startTinyEngine(t);
    const agent = startAgent(t, engine.target, hello());
    const channel = await engine.accept('open-channel');
    channel.send({ kind: 'channel-opened', agentId: 'cli_1', server: {} });
    const { requestId } = await channel.next('open-tunnel');
    channel.send({ kind: 'tunnel-opened', requestId, properties: { id: 'tun_1' } });
    await agent.event('online');
    agent.clock.advance(3_600_000);
    channel.send({ kind: 'dial-request', tunnelId: 'tun_x', streamId: 's1' });
    await channel.next('dial-result');
    const heartbeat = await channel.next('heartbeat');
    assert.deepEqual(heartbeat, { kind: 'heartbeat', sequence: 0n, acknowledgement: 0n });
  });

  test('liveness that was not asked for like that is refused', async (t) => {
    const engine = await startTinyEngine(t);
    const agent = startAgent(t, engine.target, hello());
    const liveness = { heartbeatIntervalMs: 1_000, heartbeatTimeoutMs: 15_000 };
    (await engine.accept('open-channel')).send({
      kind: 'channel-opened',
      agentId: 'cli_1',
      server: {},
      liveness,
    });
    assert.equal((await agent.event('offline')).error.code, 'ENGINE_PROTOCOL');
  });
});

describe('refusals', () => {
  test('a channel that is refused for good ends the agent with the sentence of the engine', async (t) => {
    const engine = await startTinyEngine(t);
    const agent = startAgent(t, engine.target, hello());
    const error = { code: 1_000, message: 'The token has expired.' };
    (await engine.accept('open-channel')).send({ kind: 'channel-refused', error });
    await assert.rejects(agent.over, refusedWith('ENGINE_REFUSED', 'The token has expired.'));
    assert.equal(agent.clock.pendingCount, 0);
  });

  test('a tunnel that is refused for good ends the agent, after a goodbye', async (t) => {
    const engine = await startTinyEngine(t);
    const agent = startAgent(t, engine.target, hello());
    const channel = await engine.acceptChannel();
    const { requestId } = await channel.next('open-tunnel');
    channel.send({ kind: 'tunnel-refused', requestId, error: { code: 2_000, message: 'No such label.' } });
    await channel.next('close-channel');
    channel.send({ kind: 'channel-closed' });
    await assert.rejects(agent.over, refusedWith('ENGINE_REFUSED', 'No such label.'));
  });

  for (const code of [6_000, 7_000, 8_000, 9_000])
    test(`a channel refused with ${code} is asked for again`, async (t) => {
      const engine = await startTinyEngine(t);
      const agent = startAgent(t, engine.target, hello());
      (await engine.accept('open-channel')).send({ kind: 'channel-refused', error: { code } });
      assert.equal((await agent.skipPause()).code, 'ENGINE_BUSY');
      await engine.acceptTunnel();
      await agent.event('online');
    });

  test('an answer of another kind is no opening', async (t) => {
    const engine = await startTinyEngine(t);
    const agent = startAgent(t, engine.target, hello());
    (await engine.accept('open-channel')).send({ kind: 'unknown' });
    assert.equal((await agent.event('offline')).error.code, 'ENGINE_PROTOCOL');
  });
});

describe('stopping', () => {
  test('says goodbye, waits for the answer and leaves nothing behind', async (t) => {
    const { engine, agent, channel } = await startOnline(t, await startUpstream(t, echo));
    channel.send({ kind: 'dial-request', tunnelId: 'tun_1', streamId: 's1' });
    const { socket } = await engine.accept('dial-back');
    socket.resume();
    const streamBroken = assert.rejects(once(socket, 'close'), { code: 'ECONNRESET' });
    const stopped = agent.stop();
    await channel.next('close-channel');
    channel.send({ kind: 'channel-closed' });
    await stopped;
    await agent.over;
    assert.equal(agent.clock.pendingCount, 0);
    await streamBroken;
  });

  test('does not wait longer than 5 s for the answer', async (t) => {
    const { agent, channel } = await startOnline(t);
    const stopped = agent.stop();
    await channel.next('close-channel');
    agent.clock.advance(5_000);
    await stopped;
    await agent.over;
  });

  test('ends a pause between two attempts', async (t) => {
    const agent = startAgent(t, await closedPort(), hello());
    await agent.event('offline');
    await agent.stop();
    await agent.over;
  });

  test('ends an attempt', async (t) => {
    const engine = await startTinyEngine(t);
    const agent = startAgent(t, engine.target, hello());
    await engine.accept('open-channel');
    await agent.stop();
    await agent.over;
  });

  test('gives up dials that are under way', async (t) => {
    const engine = await startTinyEngine(t);
    const agent = startAgent(t, engine.target, hello(await startUpstream(t, echo)));
    const channel = await engine.acceptTunnel();
    for (let index = 0; index < 50; index += 1)
      channel.send({ kind: 'dial-request', tunnelId: 'tun_1', streamId: `s${index}` });
    await engine.accept('dial-back');
    const stopped = agent.stop();
    await channel.next('close-channel');
    channel.send({ kind: 'channel-closed' });
    await stopped;
    assert.equal(agent.clock.pendingCount, 0);
  });

  test('may be asked for twice', async (t) => {
    const { agent, channel } = await startOnline(t);
    const both = Promise.all([agent.stop(), agent.stop()]);
    await channel.next('close-channel');
    channel.send({ kind: 'channel-closed' });
    await both;
  });
});
