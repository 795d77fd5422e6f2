/** The file of webhooks: its owner's alone, durable, capped. */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { Secret } from '../../src/base/secret.ts';
import { openWebhookStore, type Webhook } from '../../src/store/webhooks.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const NOW_MS = 1_800_000_000_000;

const WEBHOOK: Webhook = {
  id: 'whk_1',
  name: 'ops',
  source: 'admin',
  url: 'https://hooks.example.com/',
  events: ['client.*'],
  secret: new Secret('whsec_new'),
  oldSecret: new Secret('whsec_old'),
  oldSecretUntil: NOW_MS,
  state: 'enabled',
  failureCount: 0,
  failingSince: undefined,
  createdAt: NOW_MS,
  version: 1,
};

const open = (t: TestContext, path = join(makeTemporaryDirectory(t), 'webhooks.db')) => {
  const store = openWebhookStore(path);
  t.after(() => store.close());
  return { store, path };
};

const delivery = (number: number, createdAt = NOW_MS) => ({
  id: `dlv_${number}`,
  webhookId: WEBHOOK.id,
  eventId: `evt_${number}`,
  type: 'client.created',
  createdAt,
  body: `{"number":${number}}`,
});

const ARRIVED = { state: 'delivered', triedAt: NOW_MS, status: 200, code: undefined, durationMs: 5 } as const;

test('a webhook is found as it was saved, also in a file that is opened again', (t) => {
  const { store, path } = open(t);
  store.save(WEBHOOK);
  store.save({ ...WEBHOOK, name: 'changed', version: 2 });
  store.saveHealth(WEBHOOK.id, { state: 'failed', failureCount: 3, failingSince: NOW_MS });
  assert.equal(statSync(path).mode & 0o777, 0o600);
  store.close();
  const [found] = open(t, path).store.list();
  assert.deepEqual(
    [found?.name, found?.version, found?.state, found?.failureCount, found?.failingSince],
    ['changed', 2, 'failed', 3, NOW_MS],
  );
  assert.deepEqual([found?.secret.reveal(), found?.oldSecret?.reveal()], ['whsec_new', 'whsec_old']);
});

test('deliveries leave the queue in order, and the log shows no body', (t) => {
  const { deliveries } = withWebhook(t);
  deliveries.append([delivery(1), delivery(2), delivery(3)]);
  const first = deliveries.next(WEBHOOK.id, NOW_MS, 0)!;
  assert.deepEqual([first.eventId, first.body], ['evt_1', '{"number":1}']);
  assert.equal(deliveries.next(WEBHOOK.id, NOW_MS, 1)?.eventId, 'evt_2');
  deliveries.note(first.number, ARRIVED);
  assert.equal(deliveries.next(WEBHOOK.id, NOW_MS, 0)?.eventId, 'evt_2');
  assert.equal(deliveries.waitingCounts().get(WEBHOOK.id), 2);
  const [, second, oldest] = deliveries.list(WEBHOOK.id, 10);
  assert.deepEqual([oldest?.state, oldest?.status, oldest?.attemptCount], ['delivered', 200, 1]);
  assert.ok(!('body' in oldest!));
  assert.deepEqual(deliveries.list(WEBHOOK.id, 10, second!.number), [oldest]);
});

test('one that is set back waits, and those behind it do not', (t) => {
  const { deliveries } = withWebhook(t);
  deliveries.append([delivery(1), delivery(2)]);
  const { number } = deliveries.next(WEBHOOK.id, NOW_MS, 0)!;
  deliveries.note(number, { ...ARRIVED, state: 'waiting', status: 500, code: 'WEBHOOK_REFUSED' });
  deliveries.setBack(WEBHOOK.id, number + 1, NOW_MS, (setbacks) => NOW_MS + 1_000 * (setbacks + 1));
  assert.equal(deliveries.next(WEBHOOK.id, NOW_MS, 0)?.eventId, 'evt_2');
  deliveries.note(number + 1, ARRIVED);
  assert.equal(deliveries.nextDueAt(WEBHOOK.id), NOW_MS + 1_000);
  assert.equal(deliveries.next(WEBHOOK.id, NOW_MS + 1_000, 0)?.setbackCount, 1);
});

test('what is too old or too much goes, a bounded part at a time', (t) => {
  const { deliveries } = withWebhook(t);
  const surplus = LIMITS.webhookDeliveriesPrunedMax + 10;
  const count = LIMITS.webhookDeliveriesKeptMax + surplus;
  deliveries.append(Array.from({ length: count }, (_, index) => delivery(index)));
  const { number } = deliveries.next(WEBHOOK.id, NOW_MS, 0)!;
  for (let index = 0; index < count; index += 1) deliveries.note(number + index, ARRIVED);
  assert.equal(deliveries.prune(NOW_MS), 0);
  assert.equal(deliveries.list(WEBHOOK.id, count).length, LIMITS.webhookDeliveriesKeptMax + 10);
  deliveries.prune(NOW_MS);
  assert.equal(deliveries.list(WEBHOOK.id, count).length, LIMITS.webhookDeliveriesKeptMax);

  deliveries.append([delivery(-1), delivery(-2, NOW_MS + 1)]);
  assert.equal(deliveries.prune(NOW_MS + LIMITS.webhookEventMsMax + 1), 1);
  const expired = deliveries.find('dlv_-1')!;
  deliveries.note(expired.number, { ...ARRIVED, state: 'waiting', status: 500, code: 'WEBHOOK_REFUSED' });
  assert.equal(deliveries.find('dlv_-1')?.state, 'expired');
  assert.equal(deliveries.waitingCounts().get(WEBHOOK.id), 1);
  deliveries.prune(NOW_MS + LIMITS.webhookDeliveriesKeptMs + 1);
  assert.ok(
    deliveries.list(WEBHOOK.id, count).length <=
      LIMITS.webhookDeliveriesKeptMax - LIMITS.webhookDeliveriesPrunedMax,
  );
  deliveries.shrink();
});

test('a webhook that is removed takes its deliveries along, and gets none any more', (t) => {
  const { store, deliveries } = withWebhook(t);
  deliveries.append([delivery(1)]);
  store.remove(WEBHOOK.id);
  deliveries.append([delivery(2)]);
  assert.deepEqual([deliveries.find('dlv_1'), deliveries.find('dlv_2')], [undefined, undefined]);
});

const withWebhook = (t: TestContext) => {
  const { store } = open(t);
  store.save(WEBHOOK);
  return { store, deliveries: store.deliveries };
};
