/** What is told arrives at least once, in order as far as receivers let it, and through ends of the engine. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fail } from '../../src/base/errors.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { webhookSignature } from '../../src/base/webhook.ts';
import { openWebhookStore } from '../../src/store/webhooks.ts';
import { numberOf, ORDER, openRoom, SILENT } from './webhook-room.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

describe('webhooks', () => {
  test('are sent with what a receiver verifies and knows them by', async (t) => {
    const room = openRoom(t);
    const { id, secret } = room.desk.create(ORDER);
    room.webhooks.emit({ type: 'tunnel.created', object: { id: 'tun_1' }, userId: 'usr_1' });
    await room.pass(LIMITS.webhookFlushMs);
    const [request] = room.sent;
    assert.equal(request?.url, ORDER.url);
    const { headers, body } = request!;
    const event = JSON.parse(body);
    assert.deepEqual(event, {
      id: headers['rstream-event-id'],
      type: 'tunnel.created',
      created_at: new Date(room.clock.now() - LIMITS.webhookFlushMs).toISOString(),
      user_id: 'usr_1',
      object: { id: 'tun_1' },
    });
    const seconds = Math.floor(room.clock.now() / 1_000);
    assert.equal(headers['rstream-signature'], webhookSignature(body, [secret], seconds));
    assert.equal(headers['rstream-event-type'], 'tunnel.created');
    assert.equal(headers['rstream-webhook-id'], id);
    assert.equal(headers['rstream-delivery-id'], room.desk.deliveries(id, 1)[0]?.id);
    assert.equal(headers['content-type'], 'application/json');
  });

  test('go to those who ask for them, and cost nothing where nobody does', async (t) => {
    const room = openRoom(t);
    room.desk.create({ ...ORDER, events: ['client.*', 'stream.failed'] });
    room.emit(1);
    assert.deepEqual([room.webhooks.wants('tunnel.created'), room.webhooks.counts.waiting], [false, 0]);
    room.emit(2, 'client.deleted');
    room.emit(3, 'stream.failed');
    await room.pass(LIMITS.webhookFlushMs);
    assert.deepEqual(room.sent.map(numberOf), [2, 3]);
  });

  test('wait for a receiver that is down for an hour, and arrive in their order when it is back', async (t) => {
    const room = openRoom(t);
    room.desk.create(ORDER);
    room.receive(() => 'WEBHOOK_UNREACHABLE');
    for (let number = 0; number < 60; number += 1) {
      room.emit(number);
      await room.pass(60_000, 5_000);
    }
    const triedCount = room.sent.length;
    assert.ok(triedCount >= 10 && triedCount < 40, `${triedCount} attempts`);
    assert.ok(
      room.sent.every((request) => numberOf(request) === 0),
      'only the oldest is tried',
    );
    room.receive(() => {});
    room.sent.length = 0;
    await room.pass(LIMITS.webhookPauseMsMax, 5_000);
    assert.deepEqual(
      room.sent.map(numberOf),
      Array.from({ length: 60 }, (_, number) => number),
    );
    assert.equal(room.webhooks.counts.waiting, 0);
  });

  test('of one that its receiver cannot stand do not keep the others waiting', async (t) => {
    const room = openRoom(t);
    const { id } = room.desk.create(ORDER);
    room.receive((request) => (numberOf(request) === 1 ? 500 : undefined));
    for (const number of [0, 1, 2, 3]) room.emit(number);
    await room.pass(60_000, 1_000);
    const arrived = () => room.desk.deliveries(id, 10).filter(({ state }) => state === 'delivered');
    assert.equal(arrived().length, 3);
    assert.deepEqual([...new Set(room.sent.map(numberOf))], [0, 1, 2, 3]);
    const failing = room.desk.deliveries(id, 10).find(({ state }) => state === 'waiting');
    assert.deepEqual([failing?.status, failing?.code], [500, 'WEBHOOK_REFUSED']);
    room.receive(() => {});
    await room.pass(HOUR_MS, 60_000);
    assert.equal(arrived().length, 4);
  });

  test('survive a kill: what was not answered is sent again', async (t) => {
    const first = openRoom(t);
    first.desk.create(ORDER);
    first.receive(SILENT);
    first.emit(1);
    first.emit(2);
    await first.pass(LIMITS.webhookFlushMs);
    assert.deepEqual(first.sent.map(numberOf), [1]);
    // Nobody closes the first: its file is as a kill leaves it.
    const second = openRoom(t, { path: first.path, clock: first.clock });
    await second.settle();
    assert.deepEqual(second.sent.map(numberOf), [1, 2]);
  });

  test('are kept by an engine that stops, also those that were told last', async (t) => {
    const first = openRoom(t);
    first.desk.create(ORDER);
    first.receive(SILENT);
    first.emit(1);
    await first.pass(LIMITS.webhookFlushMs);
    first.emit(2);
    await first.webhooks.close();
    first.emit(3);
    assert.equal(first.clock.pendingCount, 0);
    const second = openRoom(t, { path: first.path, clock: first.clock });
    await second.settle();
    assert.deepEqual(second.sent.map(numberOf), [1, 2]);
  });

  test('are switched off when nothing has arrived for days, and say so', async (t) => {
    const room = openRoom(t);
    const { id } = room.desk.create(ORDER);
    room.receive(() => 503);
    for (let day = 0; day < 6; day += 1) {
      room.emit(day);
      await room.pass(DAY_MS, LIMITS.webhookPauseMsMax);
    }
    const failed = room.desk.find(id);
    assert.deepEqual([failed.state, room.givenUp.map((webhook) => webhook.id)], ['failed', [id]]);
    const attempts = room.sent.length;
    room.emit(7);
    await room.pass(DAY_MS, HOUR_MS);
    assert.equal(room.sent.length, attempts);
    assert.ok(room.webhooks.counts.expired > 0, 'old ones are not told any more');
    room.receive(() => {});
    room.desk.change(id, failed.version, { isEnabled: true });
    await room.settle();
    assert.equal(room.desk.find(id).state, 'enabled');
    assert.deepEqual(room.sent.slice(attempts).map(numberOf), [4, 5]);
  });

  test('leave room for the rest when streams fail by the thousand', async (t) => {
    const room = openRoom(t);
    room.desk.create(ORDER);
    for (let count = 0; count < LIMITS.webhookEventsQueuedMax; count += 1) room.emit(count, 'stream.failed');
    assert.equal(room.webhooks.counts.lost, LIMITS.webhookEventsQueuedMax / 2);
    room.emit(-1, 'client.deleted');
    assert.equal(room.webhooks.counts.lost, LIMITS.webhookEventsQueuedMax / 2);
    assert.equal(room.log.lines.filter(({ level }) => level === 'warn').length, 1);
  });

  test('wait in memory while the disk fails', async (t) => {
    let isBroken = false;
    const room = openRoom(t, {
      open(path) {
        const store = openWebhookStore(path);
        const append: typeof store.deliveries.append = (rows) => {
          if (isBroken) throw fail('STORE_UNAVAILABLE', { path, problem: 'the disk is full' });
          store.deliveries.append(rows);
        };
        return { ...store, deliveries: { ...store.deliveries, append } };
      },
    });
    room.desk.create(ORDER);
    isBroken = true;
    room.emit(1);
    await room.pass(LIMITS.webhookStoreRetryMs);
    assert.equal(room.log.withCode('STORE_UNAVAILABLE').length, 1);
    isBroken = false;
    await room.pass(LIMITS.webhookStoreRetryMs);
    assert.deepEqual(room.sent.map(numberOf), [1]);
  });
});

describe('the desk', () => {
  test('gives a secret once, and lets the old one sign for a time of grace', async (t) => {
    const room = openRoom(t);
    const { id, secret } = room.desk.create(ORDER);
    const next = room.desk.rotate(id, HOUR_MS).secret;
    const signatures = async () => {
      room.sent.length = 0;
      room.emit(1);
      await room.pass(LIMITS.webhookFlushMs);
      const { headers, body } = room.sent[0]!;
      const seconds = Math.floor(room.clock.now() / 1_000);
      const isBy = (...secrets: (typeof secret)[]) =>
        headers['rstream-signature'] === webhookSignature(body, secrets, seconds);
      return { isByBoth: isBy(next, secret), isByNext: isBy(next) };
    };
    assert.ok((await signatures()).isByBoth);
    await room.pass(HOUR_MS);
    assert.ok((await signatures()).isByNext);
  });

  test('sends a test at once and once, whatever waits', async (t) => {
    const room = openRoom(t);
    const { id } = room.desk.create(ORDER);
    room.receive(() => 500);
    room.emit(1);
    await room.pass(LIMITS.webhookFlushMs);
    room.receive(() => {});
    const arrived = await room.desk.test(id, 'webhook.test');
    assert.deepEqual([arrived.state, arrived.type, arrived.attemptCount], ['delivered', 'webhook.test', 1]);
    room.receive(() => 404);
    const refused = await room.desk.test(id, 'client.created');
    assert.deepEqual([refused.state, refused.status, refused.code], ['failed', 404, 'WEBHOOK_REFUSED']);
    const slow = room.desk.test(id, 'webhook.test');
    await assert.rejects(room.desk.test(id, 'webhook.test'), { code: 'WEBHOOK_BUSY' });
    await slow;
  });

  test('sends an event again, as a delivery of its own', async (t) => {
    const room = openRoom(t);
    const { id } = room.desk.create(ORDER);
    room.emit(1);
    await room.pass(LIMITS.webhookFlushMs);
    const [first] = room.desk.deliveries(id, 10);
    const again = room.desk.redeliver(first!.id);
    await room.settle();
    const [one, two] = room.sent;
    assert.equal(two?.body, one?.body);
    assert.equal(two?.headers['rstream-delivery-id'], again.id);
    assert.notEqual(again.id, first!.id);
    assert.throws(() => room.desk.redeliver('dlv_none'), { code: 'WEBHOOK_DELIVERY_UNKNOWN' });
  });

  test('refuses what cannot work, and what others changed meanwhile', (t) => {
    const { desk } = openRoom(t);
    const refused = (change: Partial<typeof ORDER>) =>
      assert.throws(() => desk.create({ ...ORDER, ...change }), { code: 'WEBHOOK_INVALID' });
    refused({ url: 'http://hooks.example.com/' });
    refused({ url: 'file:///etc/passwd' });
    refused({ url: 'https://user:word@hooks.example.com/' });
    refused({ url: 'nonsense' });
    refused({ events: [] });
    refused({ events: ['tunnels.*'] });
    refused({ name: ' ' });
    const { id, version } = desk.create(ORDER);
    refused({});
    desk.change(id, version, { events: ['client.*'] });
    assert.throws(() => desk.change(id, version, { isEnabled: false }), { code: 'VERSION_OUTDATED' });
    desk.remove(id);
    assert.throws(() => desk.find(id), { code: 'WEBHOOK_NOT_FOUND' });
  });

  test('makes of the configuration’s webhooks what it says at each start', (t) => {
    const first = openRoom(t);
    const { secret } = first.desk.create({ ...ORDER, name: 'own' });
    const configured = [
      { ...ORDER, name: 'kept', secret },
      { ...ORDER, name: 'gone', secret },
    ];
    first.desk.adopt(configured);
    const kept = first.desk.list().find(({ name }) => name === 'kept')!;
    assert.throws(() => first.desk.change(kept.id, kept.version, { events: ['*'] }), {
      code: 'WEBHOOK_CONFIGURED',
    });
    assert.throws(() => first.desk.remove(kept.id), { code: 'WEBHOOK_CONFIGURED' });
    first.desk.change(kept.id, kept.version, { isEnabled: false });
    const second = openRoom(t, { path: first.path });
    second.desk.adopt([{ ...ORDER, name: 'kept', secret }]);
    const states = () => second.desk.list().map(({ name, state }) => `${name} ${state}`);
    assert.deepEqual(states().sort(), ['kept disabled', 'own enabled']);
    second.desk.adopt([{ ...ORDER, name: 'kept', secret, url: 'https://other.example.com/' }]);
    assert.deepEqual(states().sort(), ['kept enabled', 'own enabled']);
  });
});
