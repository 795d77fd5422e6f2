import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { eventually, startDoor } from '../support/agent-door.ts';

type Agent = Awaited<ReturnType<Awaited<ReturnType<typeof startDoor>>['agent']>>;

const CONFLICT = { code: 8000, message: 'Hostname is already in use.' };
const WANTED = { hostname: 'web' };

/** Sends something that is answered, so that the engine has heard from the agent now. */
const speak = async (agent: Agent) => {
  agent.send({ kind: 'open-tunnel', requestId: 'probe', properties: { type: 'nonsense' } });
  await agent.next('tunnel-refused');
};

describe('a name that an older session of the same credential holds', () => {
  test('stays there when the agent answers a dial, which is closed at once', async (t) => {
    const { agent, registry } = await startDoor(t);
    const old = await agent();
    const { id } = await old.openTunnel(WANTED);
    const fresh = await agent();
    const opening = fresh.openTunnel(WANTED);
    const request = await old.next('dial-request');
    assert.equal(request.tunnelId, id);
    const pipe = await old.answerDial(request);
    t.after(() => pipe.destroy());
    await assert.rejects(opening, CONFLICT);
    pipe.resume();
    await eventually('the probe is closed', () => pipe.readableEnded || pipe.destroyed);
    assert.equal(registry.list()[0]?.id, id);
    await speak(old);
  });

  test('stays there when the agent answers that its service is down', async (t) => {
    const { agent } = await startDoor(t);
    const old = await agent();
    await old.openTunnel(WANTED);
    const fresh = await agent();
    const opening = fresh.openTunnel(WANTED);
    const { streamId } = await old.next('dial-request');
    old.send({ kind: 'dial-result', streamId, error: { code: 6000 } });
    await assert.rejects(opening, CONFLICT);
  });

  test('changes hands when the agent does not answer in time', async (t) => {
    const { agent, registry, clock, door } = await startDoor(t);
    const old = await agent();
    await old.openTunnel(WANTED);
    await old.openTunnel({ name: 'another' });
    const endings: boolean[] = [];
    registry.onClosed((_, { isLost }) => endings.push(isLost));
    const fresh = await agent();
    const opening = fresh.openTunnel(WANTED);
    await old.next('dial-request');
    clock.advance(LIMITS.takeoverProbeMs - 1);
    assert.deepEqual(endings, []);
    clock.advance(1);
    assert.equal((await opening).hostname, 'web.t.localhost');
    await old.ended;
    assert.deepEqual(endings, [true, true]);
    await eventually('the old session is gone', () => door.counts().sessions === 1);
    assert.deepEqual(
      registry.list().map(({ agentId }) => agentId),
      [fresh.agentId],
    );
  });

  const SILENT: [mode: string, liveness: number | undefined, silentMs: number][] = [
    ['negotiated', 2_000, 2_001],
    ['legacy', undefined, LIMITS.takeoverSilenceMs + 1],
  ];
  for (const [mode, liveness, silentMs] of SILENT) {
    const options = liveness === undefined ? {} : { liveness };

    test(`changes hands at once when the ${mode} session missed a heartbeat`, async (t) => {
      const { agent, clock } = await startDoor(t);
      const old = await agent(options);
      await old.openTunnel(WANTED);
      clock.advance(silentMs);
      const fresh = await agent(options);
      await fresh.openTunnel(WANTED);
      await old.ended;
    });

    test(`is asked for when the ${mode} session spoke within its interval`, async (t) => {
      const { agent, clock } = await startDoor(t);
      const old = await agent(options);
      await old.openTunnel(WANTED);
      clock.advance(silentMs - 1);
      const fresh = await agent(options);
      const opening = fresh.openTunnel(WANTED);
      await old.next('dial-request');
      clock.advance(LIMITS.takeoverProbeMs);
      await opening;
    });
  }

  test('is free at once when the old session ended by itself', async (t) => {
    const { agent, registry } = await startDoor(t);
    const old = await agent();
    await old.openTunnel(WANTED);
    old.kill();
    await eventually('the name is free', () => registry.count === 0);
    await (await agent()).openTunnel(WANTED);
  });

  test('is free when the old session ends during the question', async (t) => {
    const { agent } = await startDoor(t);
    const old = await agent();
    await old.openTunnel(WANTED);
    const fresh = await agent();
    const opening = fresh.openTunnel(WANTED);
    await old.next('dial-request');
    old.kill();
    await opening;
  });

  test('changes hands once when two sessions ask for it, by one question', async (t) => {
    const { agent, clock, registry } = await startDoor(t);
    const old = await agent();
    await old.openTunnel(WANTED);
    const [second, third] = [await agent({ liveness: 60_000 }), await agent({ liveness: 60_000 })];
    const openings = [second.openTunnel(WANTED), third.openTunnel(WANTED)];
    await old.next('dial-request');
    // Both must have been read before time moves.
    for (const each of [second, third]) {
      each.send({ kind: 'heartbeat', sequence: 1n, acknowledgement: 0n });
      await each.next('heartbeat');
    }
    clock.advance(LIMITS.takeoverProbeMs);
    await old.ended;
    assert.deepEqual(old.unread, []);
    const results = await Promise.allSettled(openings);
    const refused = results.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
    assert.deepEqual(
      refused.map(({ reason }) => reason.code),
      [8000],
    );
    assert.equal(registry.count, 1);
  });

  test('stays there when the session that asked has gone', async (t) => {
    const { agent, clock, door, registry } = await startDoor(t);
    const old = await agent();
    await old.openTunnel(WANTED);
    const fresh = await agent();
    fresh.send({ kind: 'open-tunnel', requestId: '1', properties: WANTED });
    await old.next('dial-request');
    fresh.kill();
    await eventually('the new session is gone', () => door.counts().sessions === 1);
    clock.advance(LIMITS.takeoverProbeMs);
    await speak(old);
    assert.equal(registry.count, 1);
  });

  test('changes hands together with the tunnel name', async (t) => {
    const { agent, clock } = await startDoor(t);
    const byName = await agent();
    await byName.openTunnel({ name: 'web', publish: false });
    const byHostname = await agent();
    await byHostname.openTunnel(WANTED);
    clock.advance(LIMITS.takeoverSilenceMs + 1);
    const fresh = await agent();
    await fresh.openTunnel({ ...WANTED, name: 'web' });
    await Promise.all([byName.ended, byHostname.ended]);
  });
});

describe('a name is refused at once', () => {
  test('when another credential holds it, however silent', async (t) => {
    const { agent, clock } = await startDoor(t);
    const alice = await agent();
    await alice.openTunnel({ ...WANTED, name: 'web' });
    clock.advance(LIMITS.takeoverSilenceMs + 1);
    const bob = await agent({ token: 'bob' });
    await assert.rejects(bob.openTunnel(WANTED), CONFLICT);
    await assert.rejects(bob.openTunnel({ name: 'web', publish: false }), {
      code: 8000,
      message: 'Tunnel name is already in use.',
    });
    await speak(alice);
    assert.deepEqual(alice.unread, []);
  });

  test('when the same session holds it', async (t) => {
    const { agent } = await startDoor(t);
    const alice = await agent();
    await alice.openTunnel(WANTED);
    await assert.rejects(alice.openTunnel(WANTED), CONFLICT);
    assert.deepEqual(alice.unread, []);
  });
});
