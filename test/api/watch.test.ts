/** What watchers are sent, and which of them are cut: over links that the test holds, so that nothing leaves by itself. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { AgentView } from '../../src/api/dto.ts';
import type { WatchParams } from '../../src/api/params.ts';
import { createWatch } from '../../src/api/watch.ts';
import { LIMITS } from '../../src/base/limits.ts';
import type { Principal } from '../../src/base/principal.ts';
import { createRegistry } from '../../src/tunnel/registry.ts';
import { createFakeClock } from '../support/clock.ts';
import { createHeldLink } from '../support/held-link.ts';
import { createLogRecorder } from '../support/log.ts';
import { AGENTS, ownerOf, turn } from './start-api.ts';

const [FIRST, SECOND] = AGENTS as [AgentView, AgentView];
const PRINCIPAL: Principal = { credentialId: 'crd_1', kind: 'pat', permissions: null };

const startWatch = () => {
  const clock = createFakeClock();
  const log = createLogRecorder();
  const registry = createRegistry(
    { clock, admit: () => {} },
    { engineHost: 'localhost', publicPort: () => 8443 },
  );
  const agents: AgentView[] = [FIRST, SECOND];
  let tellAgent: (event: 'opened' | 'closed', agent: AgentView) => void = () => {};
  const watch = createWatch({
    clock,
    log,
    registry,
    listAgents: () => agents,
    findAgent: (id) => agents.find((agent) => agent.id === id),
    onAgent: (listener) => {
      tellAgent = listener;
      return () => {};
    },
  });
  const add = (params: WatchParams = {}, principal = PRINCIPAL) => {
    const held = createHeldLink();
    watch.add(held.link, principal, '127.0.0.1:1', params);
    return held;
  };
  const open = (properties = {}, agent = FIRST) => registry.open(ownerOf(agent), properties);
  /** As many changes as said, in one step. */
  const change = (count: number, properties = {}) => {
    for (let i = 0; i < count; i += 2) registry.close(open(properties).id);
  };
  return {
    watch,
    clock,
    log,
    registry,
    add,
    open,
    change,
    tellAgent: (event: 'opened' | 'closed', agent: AgentView) => tellAgent(event, agent),
  };
};

describe('the first event', () => {
  test('is the inventory, and what follows is what happened after it', async () => {
    const { add, open, registry } = startWatch();
    const { id } = open({ name: 'web' });
    const { events, types } = add();
    const later = open({ name: 'db', publish: false });
    registry.close(id);
    await turn();
    assert.deepEqual(types(), ['state.initial', 'tunnel.created', 'tunnel.deleted']);
    const [initial, created, deleted] = events();
    assert.equal(initial.object.snapshot_at, '2027-01-15T08:00:00.000Z');
    assert.deepEqual(
      [initial.object.clients, initial.object.tunnels].map((items) =>
        items.map((item: { id: string }) => item.id),
      ),
      [['cli_first', 'cli_second'], [id]],
    );
    assert.deepEqual(
      [created.object.id, created.object.status, created.user_id],
      [later.id, 'online', 'usr_1'],
    );
    assert.deepEqual([deleted.object.id, deleted.object.status], [id, 'offline']);
  });

  test('holds what happened in the same turn before it, which is then no news', async () => {
    const { add, open } = startWatch();
    const early = add();
    open({ name: 'web' });
    const late = add();
    open({ name: 'db', publish: false });
    await turn();
    assert.deepEqual(early.types(), ['state.initial', 'tunnel.created', 'tunnel.created']);
    assert.deepEqual(late.types(), ['state.initial', 'tunnel.created']);
    assert.equal(late.events()[0].object.tunnels.length, 1);
  });

  test('is made anew for whoever comes after a change', async () => {
    const { add, open } = startWatch();
    const before = add();
    assert.equal(add().batches[0], before.batches[0], 'the same bytes while nothing changes');
    open();
    assert.equal(add().events()[0].object.tunnels.length, 1);
  });
});

test('an agent comes before its tunnels and leaves after them', async () => {
  const { add, open, registry, tellAgent } = startWatch();
  const { types, events } = add();
  tellAgent('opened', FIRST);
  registry.close(open().id);
  tellAgent('closed', FIRST);
  await turn();
  assert.deepEqual(types().slice(1), [
    'client.created',
    'tunnel.created',
    'tunnel.deleted',
    'client.deleted',
  ]);
  assert.deepEqual([events()[4].object.status, events()[4].object.agent], ['offline', 'rstream-go']);
});

describe('filters', () => {
  const cases: readonly (readonly [params: WatchParams, seen: string])[] = [
    [{}, 'web db cli_first cli_second'],
    [{ clients: {}, tunnels: {} }, 'web db cli_first cli_second'],
    [{ tunnels: { name: 'web' } }, 'web cli_first cli_second'],
    [{ clients: { id: 'cli_second' } }, 'web db cli_second'],
    [{ clients: { labels: { zone: 'a' } }, tunnels: { publish: false } }, 'db cli_first'],
    [{ clients: { labels: { empty: null } }, tunnels: { labels: { env: null } } }, 'web cli_first'],
    [{ clients: { labels: { zone: null } }, tunnels: { labels: { env: 'prod' } } }, 'cli_first cli_second'],
    [{ tunnels: { status: 'online' }, clients: { status: 'offline' } }, 'web db'],
    [{ tunnels: { user_id: 'usr_1' }, clients: { user_id: 'usr_1' } }, 'web cli_first'],
  ];
  for (const [params, seen] of cases)
    test(`${JSON.stringify(params)} shows ${seen}, in the inventory and in what comes and goes`, async () => {
      const { add, open, registry, tellAgent } = startWatch();
      const following = add(params);
      const web = open({ name: 'web', labels: { env: 'dev' } });
      const db = open({ name: 'db', publish: false }, SECOND);
      for (const agent of AGENTS) tellAgent('opened', agent);
      await turn();
      const [{ object: inventory }] = add(params).events();
      for (const { id } of [web, db]) registry.close(id);
      for (const agent of AGENTS) tellAgent('closed', agent);
      await turn();
      const wordOf = ({ id, name }: { id: string; name?: string }) => name ?? id;
      const happened = (end: string) =>
        following
          .events()
          .filter(({ type }) => type.endsWith(end))
          .map(({ object }) => wordOf(object))
          .join(' ');
      assert.equal([...inventory.tunnels, ...inventory.clients].map(wordOf).join(' '), seen);
      assert.equal(happened('.created'), seen);
      assert.equal(happened('.deleted'), seen);
    });
});

test('the changes of one turn leave together, as the same bytes for all with the same filters', async () => {
  const { add, open } = startWatch();
  const [one, two, other] = [add(), add(), add({ tunnels: { publish: false } })];
  open();
  open({ publish: false });
  assert.equal(one.batches.length, 1, 'nothing before the turn is over');
  await turn();
  assert.deepEqual([one.batches.length, one.batches[1]?.eventCount], [2, 2]);
  assert.equal(one.batches[1], two.batches[1]);
  assert.equal(one.batches[1]?.stream, two.batches[1]?.stream);
  assert.equal(other.batches[1]?.texts[0], one.batches[1]?.texts[1], 'one text, whoever gets it');
});

describe('a watcher that does not read', () => {
  test('is cut when an event finds watchQueuedEventsMax of them waiting; the others go on', async () => {
    const { watch, log, add, change } = startWatch();
    const [slow, quick] = [add(), add()];
    change(LIMITS.watchQueuedEventsMax - 2);
    await turn();
    quick.drain();
    change(2);
    await turn();
    assert.equal(slow.endedBy, undefined);
    change(2);
    await turn();
    assert.deepEqual([slow.endedBy, quick.endedBy, watch.slowCount], ['WATCHER_SLOW', undefined, 1]);
    const [line, ...more] = log.withCode('WATCHER_SLOW');
    assert.deepEqual([line?.level, line?.fields.remote, more.length], ['warn', '127.0.0.1:1', 0]);
    assert.equal(slow.events().length, LIMITS.watchQueuedEventsMax + 1, 'nothing more is queued for it');
    assert.equal(quick.events().length, LIMITS.watchQueuedEventsMax + 3);
  });

  test('is cut for watchQueuedBytesMax as well', async () => {
    const { add, change } = startWatch();
    const slow = add();
    const labels = Object.fromEntries(Array.from({ length: 25 }, (_, i) => [`k${i}`, 'x'.repeat(1_000)]));
    change(2 * Math.ceil(LIMITS.watchQueuedBytesMax / 50_000), { labels });
    await turn();
    assert.equal(slow.endedBy, undefined);
    change(2);
    await turn();
    assert.equal(slow.endedBy, 'WATCHER_SLOW');
  });

  test('is not cut for a burst, however large', async () => {
    const { add, change } = startWatch();
    const watcher = add();
    watcher.drain();
    change(5 * LIMITS.watchQueuedEventsMax);
    await turn();
    watcher.drain();
    change(2);
    await turn();
    assert.equal(watcher.endedBy, undefined);
  });

  test('is cut when nothing leaves for apiAnswerMsMax', () => {
    const { add, clock } = startWatch();
    const [stuck, reading] = [add(), add()];
    reading.drain();
    clock.advance(LIMITS.apiAnswerMsMax);
    assert.equal(stuck.endedBy, undefined);
    clock.advance(2 * LIMITS.watchKeepAliveMs);
    assert.deepEqual([stuck.endedBy, stuck.keepAliveCount], ['WATCHER_SLOW', 0]);
    assert.equal(reading.endedBy, undefined);
    assert.equal(reading.keepAliveCount, 6, 'one every watchKeepAliveMs');
  });
});

test('watchersMax bounds the connections, those that are being ended included', () => {
  const { watch, add } = startWatch();
  const links = Array.from({ length: LIMITS.watchersMax }, () => add());
  assert.throws(() => watch.requireRoom(), { code: 'WATCHER_LIMIT' });
  watch.recheck(() => false);
  assert.throws(() => watch.requireRoom(), { code: 'WATCHER_LIMIT' });
  links[0]?.close();
  watch.requireRoom();
});

describe('a credential that is over', () => {
  test('ends its watchers, and says whether it has expired', () => {
    const { watch, log, clock, add } = startWatch();
    const short = { ...PRINCIPAL, credentialId: 'crd_2', expiresAt: clock.now() + 1_000 };
    const [revoked, expired, staying] = [add(), add({}, short), add({}, { ...PRINCIPAL })];
    clock.advance(1_000);
    const active = new Set<Principal>();
    watch.recheck(
      (principal) => principal !== PRINCIPAL && principal !== short && active.add(principal).size > 0,
    );
    assert.deepEqual(
      [revoked.endedBy, expired.endedBy, staying.endedBy],
      ['TOKEN_REVOKED', 'TOKEN_EXPIRED', undefined],
    );
    watch.recheck(() => false);
    assert.equal(log.withCode('TOKEN_REVOKED').length, 2, 'each is told once');
  });
});

test('close sends what happened, says goodbye and takes nobody else; nothing stays behind', async () => {
  const { watch, clock, add, open } = startWatch();
  const held = add();
  open();
  watch.close();
  watch.close();
  assert.deepEqual(held.types(), ['state.initial', 'tunnel.created']);
  assert.equal(held.endedBy, 'ENGINE_DRAINING');
  assert.throws(() => watch.requireRoom(), { code: 'ENGINE_DRAINING' });
  open();
  await turn();
  assert.equal(held.batches.length, 2);
  assert.equal(watch.watcherCount, 1, 'until its connection is closed');
  held.close();
  watch.destroy();
  assert.deepEqual([watch.watcherCount, clock.pendingCount], [0, 0]);
});

test('a link that is closed by its peer is sent nothing more, and may come back', async () => {
  const { watch, clock, add, open } = startWatch();
  const first = add();
  first.close();
  const second = add();
  first.close();
  open();
  await turn();
  assert.deepEqual([first.batches.length, second.batches.length], [1, 2]);
  assert.equal(watch.watcherCount, 1);
  second.close();
  assert.equal(clock.pendingCount, 0);
});
