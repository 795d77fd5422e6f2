import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { eventually, startDoor } from '../support/agent-door.ts';

type Door = Awaited<ReturnType<typeof startDoor>>;
type Agent = Awaited<ReturnType<Door['agent']>>;

/** Sends something that is answered, so that all sent before it has been read. */
const catchUp = async (agent: Agent) => {
  agent.send({ kind: 'open-tunnel', requestId: 'probe', properties: { type: 'nonsense' } });
  await agent.next('tunnel-refused');
};

describe('opening', () => {
  test('tells the agent its id and who answers, and the log who came', async (t) => {
    const { agent, log, door, clock } = await startDoor(t);
    const clientDetails = { agent: 'a\u0000b\u202e\n', version: 'v'.repeat(1_000), os: '\u0007' };
    const { opened } = await agent({ clientDetails });
    assert.match(opened.agentId, /^cli_[0-9a-z]{20}$/);
    assert.deepEqual(opened.server, { agent: 'rstream-engine-ce', version: '0.0.0-test' });
    assert.equal(opened.liveness, undefined);
    const [view] = door.listSessions();
    assert.deepEqual(view, {
      id: opened.agentId,
      credentialId: 'crd_alice',
      agent: 'ab',
      channel: 'test',
      version: 'v'.repeat(LIMITS.clientDetailCharsMax),
      arch: 'x64',
      protocolVersion: '1.4.5',
      connectedAt: clock.now(),
      remoteAddress: '127.0.0.1',
    });
    const [line] = log.lines;
    assert.equal(line?.message, 'session opened');
    assert.equal(line.fields.credentialId, 'crd_alice');
  });

  test('is seen by listeners before its tunnels, closing after them', async (t) => {
    const { agent, door, registry } = await startDoor(t);
    const events: string[] = [];
    door.onSession((event) => events.push(`session ${event}`));
    registry.onOpened(() => events.push('tunnel opened'));
    registry.onClosed(() => events.push('tunnel closed'));
    const alice = await agent();
    await alice.openTunnel({});
    alice.kill();
    await eventually('the session is gone', () => door.counts().sessions === 0);
    assert.deepEqual(events, ['session opened', 'tunnel opened', 'tunnel closed', 'session closed']);
  });
});

describe('liveness', () => {
  test('is granted as asked, with a timeout that a slow network survives', async (t) => {
    const { agent } = await startDoor(t);
    const { opened } = await agent({ liveness: 1_000 });
    assert.deepEqual(opened.liveness, { heartbeatIntervalMs: 1_000, heartbeatTimeoutMs: 15_000 });
  });

  test('acknowledges each heartbeat once and in order', async (t) => {
    const { agent } = await startDoor(t);
    const alice = await agent({ liveness: 5_000 });
    for (const sequence of [1n, 2n, 2n, 1n, 0n, 7n])
      alice.send({ kind: 'heartbeat', sequence, acknowledgement: 0n });
    await catchUp(alice);
    assert.deepEqual(alice.unread, [
      { kind: 'heartbeat', sequence: 0n, acknowledgement: 1n },
      { kind: 'heartbeat', sequence: 0n, acknowledgement: 2n },
      { kind: 'heartbeat', sequence: 0n, acknowledgement: 7n },
    ]);
  });

  test('sends no heartbeat to an agent that did not ask', async (t) => {
    const { agent } = await startDoor(t);
    const alice = await agent();
    alice.send({ kind: 'heartbeat', sequence: 0n, acknowledgement: 0n });
    alice.send({ kind: 'heartbeat', sequence: 1n, acknowledgement: 0n });
    await catchUp(alice);
    assert.deepEqual(alice.unread, []);
  });

  const SILENCES: [mode: string, liveness: number | undefined, limitMs: number][] = [
    ['negotiated', 5_000, 15_000],
    ['negotiated with a long interval', 60_000, 180_000],
    ['legacy', undefined, 900_000],
  ];
  for (const [mode, liveness, limitMs] of SILENCES)
    test(`ends a silent ${mode} session as lost`, async (t) => {
      const { agent, clock, registry, log, door } = await startDoor(t);
      const alice = await agent(liveness === undefined ? {} : { liveness });
      await alice.openTunnel({ name: 'web' });
      const endings: boolean[] = [];
      registry.onClosed((_, { isLost }) => endings.push(isLost));
      clock.advance(limitMs - 1);
      assert.equal(registry.count, 1);
      clock.advance(1);
      assert.deepEqual(endings, [true]);
      await alice.ended;
      await eventually('the session is gone', () => door.counts().sessions === 0);
      assert.equal(log.withCode('HEARTBEAT_TIMEOUT').length, 1);
    });

  test('takes any byte for life', async (t) => {
    const { agent, clock, door } = await startDoor(t);
    const alice = await agent({ liveness: 5_000 });
    clock.advance(14_000);
    // A frame that is empty and means nothing.
    alice.sendRaw(Buffer.alloc(4));
    await catchUp(alice);
    clock.advance(14_000);
    assert.equal(door.counts().sessions, 1);
    clock.advance(1_000);
    await alice.ended;
  });
});

describe('tunnels', () => {
  test('are answered with all their properties and closed with one word', async (t) => {
    const { agent, registry } = await startDoor(t);
    const alice = await agent();
    const opened = await alice.openTunnel({ hostname: 'web' });
    assert.equal(opened.hostname, 'web.t.localhost');
    assert.equal(opened.type, 'bytestream');
    const tunnelId = opened.id!;
    alice.send({ kind: 'close-tunnel', tunnelId });
    alice.send({ kind: 'close-tunnel', tunnelId });
    alice.send({ kind: 'close-tunnel', tunnelId: 'tun_unheard' });
    await catchUp(alice);
    assert.deepEqual(alice.unread, [{ kind: 'tunnel-closed', tunnelId }]);
    assert.equal(registry.count, 0);
  });

  test('that the engine closes are reported once, even when the agent closes them too', async (t) => {
    const { agent, registry } = await startDoor(t);
    const alice = await agent();
    const tunnelId = (await alice.openTunnel({})).id!;
    alice.send({ kind: 'close-tunnel', tunnelId });
    registry.close(tunnelId);
    await catchUp(alice);
    assert.deepEqual(alice.unread, [{ kind: 'tunnel-closed', tunnelId }]);
  });

  test('of another session are out of reach', async (t) => {
    const { agent, registry } = await startDoor(t);
    const alice = await agent();
    const bob = await agent({ token: 'bob' });
    const tunnelId = (await alice.openTunnel({})).id!;
    bob.send({ kind: 'close-tunnel', tunnelId });
    await catchUp(bob);
    assert.deepEqual(bob.unread, []);
    assert.equal(registry.count, 1);
  });

  test('that are refused say why and under which id', async (t) => {
    const { agent, log } = await startDoor(t);
    const alice = await agent();
    alice.send({ kind: 'open-tunnel', requestId: 'r1', properties: { protocol: 'gopher' } });
    const { requestId, error } = await alice.next('tunnel-refused');
    assert.equal(requestId, 'r1');
    assert.equal(error.code, 2000);
    const [line] = log.withCode('PROPERTIES_INVALID');
    assert.match(error.message ?? '', new RegExp(line?.fields.errorId ?? 'missing'));
    assert.equal(line?.fields.agentId, alice.agentId);
  });

  test('whose answer does not fit into a frame end the channel and are not open', async (t) => {
    const { agent, registry, log } = await startDoor(t);
    const alice = await agent();
    alice.send({ kind: 'open-tunnel', requestId: 'r'.repeat(65_500), properties: {} });
    await alice.ended;
    assert.equal(registry.count, 0);
    assert.ok(log.withCode('FRAME_TOO_LARGE').length > 0);
  });

  test('may be opened many at a time', async (t) => {
    const { agent } = await startDoor(t);
    const alice = await agent();
    const opened = await Promise.all(Array.from({ length: 50 }, () => alice.openTunnel({})));
    assert.equal(new Set(opened.map(({ id }) => id)).size, 50);
  });
});

describe('the end', () => {
  test('by the agent is answered and frees its names as closed', async (t) => {
    const { agent, registry, log, door } = await startDoor(t);
    const alice = await agent();
    await alice.openTunnel({ name: 'web' });
    const endings: boolean[] = [];
    registry.onClosed((_, { isLost }) => endings.push(isLost));
    await alice.close();
    assert.deepEqual(endings, [false]);
    assert.deepEqual(alice.unread, []);
    await eventually('the session is gone', () => door.counts().sessions === 0);
    assert.equal(log.lines.at(-1)?.message, 'session closed by its agent');
  });

  test('by the agent is answered even when it has ended its side already', async (t) => {
    const { agent } = await startDoor(t);
    const alice = await agent();
    alice.socket.cork();
    alice.send({ kind: 'close-channel' });
    alice.socket.end();
    alice.socket.uncork();
    await alice.next('channel-closed');
  });

  test('is left to the agent for a moment: what it still writes finds an open connection', async (t) => {
    const { agent, clock } = await startDoor(t);
    const alice = await agent();
    alice.send({ kind: 'close-channel' });
    await alice.next('channel-closed');
    // Another whole conversation: an end that was sent with the answer has arrived after it.
    await catchUp(await agent({ token: 'bob' }));
    assert.equal(alice.socket.readableEnded, false);
    alice.send({ kind: 'dial-result', streamId: 'of a dial that it was working on' });
    clock.advance(LIMITS.channelEndPatienceMs);
    await alice.ended;
  });

  test('is not awaited for ever', async (t) => {
    const { agent, clock, door } = await startDoor(t);
    const alice = await agent();
    alice.send({ kind: 'close-channel' });
    await alice.next('channel-closed');
    clock.advance(LIMITS.channelCloseMsMax);
    await eventually('the session is gone', () => door.counts().sessions === 0);
  });

  for (const how of ['end', 'destroy'] as const)
    test(`by a connection that is lost (${how}) frees the names as lost and spares running streams`, async (t) => {
      const { agent, registry, door } = await startDoor(t);
      const alice = await agent();
      await alice.openTunnel({ name: 'web' });
      const endings: boolean[] = [];
      registry.onClosed((_, { isLost }) => endings.push(isLost));
      const source = { address: '192.0.2.7' };
      const running = door.dialBack(registry.find('web')!, source);
      const pipe = await alice.answerDial(await alice.next('dial-request'));
      t.after(() => pipe.destroy());
      const stream = await running;
      const waiting = door.dialBack(registry.find('web')!, source);
      await alice.next('dial-request');
      const tunnel = registry.find('web')!;

      alice.socket[how]();
      await assert.rejects(waiting, { code: 'AGENT_GONE' });
      assert.deepEqual(endings, [true]);
      await assert.rejects(door.dialBack(tunnel, source), { code: 'AGENT_GONE' });
      stream.socket.write('still here');
      assert.equal(String((await once(pipe, 'data'))[0]), 'still here');
    });

  const FAULTS: [what: string, bytes: Buffer, code: string][] = [
    ['an oversized frame', Buffer.from([0, 1, 0, 0]), 'FRAME_TOO_LARGE'],
    ['garbage', Buffer.from([0, 0, 0, 2, 0xff, 0xff]), 'FRAME_MALFORMED'],
  ];
  for (const [what, bytes, code] of FAULTS)
    test(`comes at once after ${what}, with one line`, async (t) => {
      const { agent, log, door } = await startDoor(t);
      const alice = await agent();
      alice.sendRaw(bytes);
      await alice.ended;
      await eventually('the session is gone', () => door.counts().sessions === 0);
      const [line, ...more] = log.withCode(code);
      assert.ok(line?.fields.errorId);
      assert.equal(line.fields.agentId, alice.agentId);
      assert.deepEqual(more, []);
    });

  test('comes at once after a message that has no meaning on the channel', async (t) => {
    const { agent, log } = await startDoor(t);
    const alice = await agent();
    alice.send({ kind: 'tunnel-closed', tunnelId: 'tun_x' });
    await alice.ended;
    assert.equal(log.withCode('MESSAGE_UNEXPECTED').length, 1);
  });

  test('comes when the agent does not read', async (t) => {
    const { agent, log, door } = await startDoor(t);
    const alice = await agent();
    alice.socket.pause();
    const request = {
      kind: 'open-tunnel',
      requestId: 'r'.repeat(30_000),
      properties: { type: 'x' },
    } as const;
    await eventually('the session is gone', () => {
      if (!alice.socket.writableNeedDrain) alice.send(request);
      return door.counts().sessions === 0;
    });
    assert.equal(log.withCode('CHANNEL_OVERFLOW').length, 1);
  });

  test('comes when the credential is not active any more, for its sessions only', async (t) => {
    const { agent, door, registry } = await startDoor(t);
    const alice = await agent();
    const bob = await agent({ token: 'bob' });
    await alice.openTunnel({ name: 'web' });
    door.recheck(() => true);
    door.recheck(({ credentialId }) => credentialId !== 'crd_alice');
    await alice.next('channel-closed');
    assert.equal(registry.count, 0);
    alice.socket.end();
    await eventually('the session is gone', () => door.counts().sessions === 1);
    await catchUp(bob);
  });
});
