/** What the admin page is told: over links that the test holds, so that nothing leaves by itself. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { AdminCaller } from '../../../src/api/admin/identity.ts';
import type { LiveAgent } from '../../../src/api/admin/inventory.ts';
import { createLive } from '../../../src/api/admin/live.ts';
import { liveMessageSchema } from '../../../src/api/admin/live-shapes.ts';
import { LIMITS } from '../../../src/base/limits.ts';
import type { Principal } from '../../../src/base/principal.ts';
import type { Truth } from '../../../src/observe/probes.ts';
import { createRegistry } from '../../../src/tunnel/registry.ts';
import { createFakeClock } from '../../support/clock.ts';
import { createHeldLink } from '../../support/held-link.ts';
import { createLogRecorder } from '../../support/log.ts';
import { AGENTS, ownerOf } from '../start-api.ts';

const [FIRST, SECOND] = AGENTS.map(
  (agent): LiveAgent => ({ ...agent, connectedAt: 0, remoteAddress: '192.0.2.1' }),
) as [LiveAgent, LiveAgent];
const TOKEN: Principal = { credentialId: 'crd_1', kind: 'pat', permissions: null };
const callerOf = (sessionId?: string): AdminCaller => ({
  role: 'viewer',
  actor: { actor: 'somebody', origin: '' },
  ...(sessionId === undefined
    ? { principal: TOKEN }
    : { login: { session: { id: sessionId }, admin: { id: sessionId, role: 'viewer' } } as never }),
});

const startLive = () => {
  const clock = createFakeClock();
  const registry = createRegistry(
    { clock, admit: () => {} },
    { engineHost: 'localhost', publicPort: () => 8443 },
  );
  const agents: LiveAgent[] = [FIRST];
  const sessions = new Set(['s1', 's2']);
  const roles = new Map([...sessions].map((id) => [id, 'viewer']));
  const truths = new Map<string, Truth>();
  const counts = { downstreams: 0, connections: 1 };
  let tellAgent: (event: 'opened' | 'closed', agent: LiveAgent) => void = () => {};
  let tellCredentials = () => {};
  const live = createLive({
    clock,
    log: createLogRecorder(),
    registry,
    credentials: {
      list: () => [],
      onChange: (listener) => {
        tellCredentials = listener;
        return () => {};
      },
    },
    admins: {
      sessions: () => [...sessions].map((id) => ({ id }) as never),
      list: () => [...roles].map(([id, role]) => ({ id, role }) as never),
    },
    listAgents: () => agents,
    findAgent: (id) => agents.find((agent) => agent.id === id),
    truthOf: (id) => truths.get(id),
    onAgent: (listener) => {
      tellAgent = listener;
      return () => {};
    },
    isDraining: () => false,
    connectionCounts: () => counts,
  });
  const add = (caller = callerOf()) => {
    const held = createHeldLink();
    live.add(held.link, caller, '127.0.0.1:1');
    for (const message of held.events()) liveMessageSchema.parse(message);
    return held;
  };
  const turn = () => clock.advance(LIMITS.adminLiveTurnMs);
  const open = (properties = {}, agent = FIRST) => registry.open(ownerOf(agent), properties);
  const cameAgent = (agent: LiveAgent) => {
    agents.push(agent);
    tellAgent('opened', agent);
  };
  return {
    clock,
    registry,
    sessions,
    roles,
    truths,
    counts,
    live,
    add,
    turn,
    open,
    cameAgent,
    tell: () => tellCredentials(),
  };
};

describe('what is told', () => {
  test('begins with all that is there', () => {
    const { add, open } = startLive();
    const tunnel = open({ name: 'old' });
    const [state] = add().events();
    assert.equal(state.type, 'state');
    assert.deepEqual(state.numbers, {
      status: 'ready',
      agents: 1,
      tunnels: 1,
      downstreams: 0,
      connections: 1,
    });
    assert.deepEqual(
      state.tunnels.map(({ id, address }: { id: string; address: string }) => [id, address]),
      [[tunnel.id, '192.0.2.1']],
    );
    assert.equal(state.agents[0].id, FIRST.id);
  });

  test('goes on with what came and went, once a turn, as one message', () => {
    const { add, open, turn, registry, cameAgent } = startLive();
    const old = open();
    const held = add();
    cameAgent(SECOND);
    const fresh = open({ name: 'fresh' }, SECOND);
    registry.close(old.id);
    assert.equal(held.events().length, 1);
    turn();
    const [, change, ...more] = held.events();
    assert.deepEqual(more, []);
    liveMessageSchema.parse(change);
    assert.deepEqual([change.tunnels.came[0].id, change.tunnels.gone], [fresh.id, [old.id]]);
    assert.equal(change.agents.came[0].id, SECOND.id);
    assert.equal(change.numbers.agents, 2);
    turn();
    assert.equal(held.events().length, 2);
  });

  test('tells of a tunnel again when something else is known of it, and of newer proofs of the same not', () => {
    const { add, open, turn, truths } = startLive();
    const { id } = open();
    const held = add();
    truths.set(id, { state: 'online', lastProof: { at: 1, how: 'probe' } });
    turn();
    truths.set(id, { state: 'online', lastProof: { at: 2, how: 'traffic' } });
    turn();
    truths.set(id, { state: 'suspect', lastFailure: { at: 3, code: 'UPSTREAM_TIMEOUT', sentence: 'No.' } });
    turn();
    const [, ...changes] = held.events();
    assert.deepEqual(
      changes.map(({ tunnels }) =>
        tunnels.came.map(({ truth }: { truth: { state: string } }) => truth.state),
      ),
      [['online'], ['suspect']],
    );
  });

  test('leaves out what came and went within a turn', () => {
    const { add, open, turn, registry } = startLive();
    const held = add();
    registry.close(open().id);
    turn();
    assert.equal(held.events().length, 1);
  });

  test('has neither gap nor double for who comes in the middle of a turn', () => {
    const { add, open, turn } = startLive();
    const early = add();
    const first = open();
    const late = add();
    const third = open();
    turn();
    const idsOf = (held: ReturnType<typeof createHeldLink>) =>
      held
        .events()
        .flatMap(({ tunnels, type }) =>
          ((type === 'state' ? tunnels : tunnels?.came) ?? []).map(({ id }: { id: string }) => id),
        );
    assert.deepEqual(idsOf(early), [first.id, third.id]);
    assert.deepEqual(idsOf(late), [first.id, third.id]);
  });

  test('names new numbers, the same ones as a sign of life, and that credentials changed', () => {
    const { add, counts, turn, clock, tell } = startLive();
    const held = add();
    turn();
    counts.downstreams = 5;
    turn();
    assert.equal(held.events().at(-1).numbers.downstreams, 5);
    const before = held.events().length;
    clock.advance(LIMITS.watchKeepAliveMs);
    assert.equal(held.events().length, before + 1);
    tell();
    turn();
    assert.equal(held.events().at(-1).credentials, true);
  });
});

describe('who watches', () => {
  test('is ended with the session or the token', () => {
    const { add, live, sessions } = startLive();
    const [one, two, program] = [add(callerOf('s1')), add(callerOf('s2')), add()];
    sessions.delete('s1');
    live.recheck(() => true);
    assert.deepEqual([one.endedBy, two.endedBy, program.endedBy], ['SESSION_ENDED', undefined, undefined]);
    live.recheck(() => false);
    assert.deepEqual([two.endedBy, program.endedBy], [undefined, 'TOKEN_REVOKED']);
  });

  test('is ended when the role of the person has changed', () => {
    const { add, live, roles } = startLive();
    const [one, two] = [add(callerOf('s1')), add(callerOf('s2'))];
    roles.set('s1', 'admin');
    live.recheck(() => true);
    assert.deepEqual([one.endedBy, two.endedBy], ['ROLE_CHANGED', undefined]);
  });

  test('is cut when too much waits for it', () => {
    const { add, open, turn, live } = startLive();
    const held = add();
    const name = 'x'.repeat(60);
    const labels = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`${i}`, 'y'.repeat(200)]));
    for (let i = 0; held.endedBy === undefined && i < LIMITS.watchQueuedEventsMax + 2; i += 1) {
      open({ name: `${name}${i}`, labels });
      turn();
    }
    assert.equal(held.endedBy, 'WATCHER_SLOW');
    live.destroy();
  });

  test('is refused when there are too many, and nothing runs when nobody watches', () => {
    const { add, live, clock } = startLive();
    const all = Array.from({ length: LIMITS.adminWatchersMax }, () => add());
    assert.throws(() => live.requireRoom(), { code: 'WATCHER_LIMIT' });
    for (const held of all) held.close();
    assert.equal(clock.pendingCount, 0);
    live.requireRoom();
  });

  test('is told of the end', () => {
    const { add, live, clock } = startLive();
    const held = add();
    live.destroy();
    assert.equal(held.endedBy, 'ENGINE_DRAINING');
    assert.equal(clock.pendingCount, 0);
    assert.throws(() => live.requireRoom(), { code: 'ENGINE_DRAINING' });
  });
});
