/**
 * Where webhooks are made, changed, tested and removed, and where their deliveries are looked at.
 *
 * Flow: the lobby brings those of the configuration at the start; the Admin API does the rest.
 * Invariant: a secret is given to the caller once, when it is made. What the configuration says of a webhook is changed there alone.
 * Limits: webhooksMax, webhookNameCharsMax, webhookFiltersMax, webhookSecretGraceMsMax.
 */
import { fail } from '../base/errors.ts';
import { newDeliveryId, newEventId, newWebhookId } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import type { Secret } from '../base/secret.ts';
import type { Clock } from '../base/time.ts';
import {
  newWebhookSecret,
  type WEBHOOK_TEST,
  type WebhookEventType,
  webhookFilterProblem,
  webhookUrlProblem,
} from '../base/webhook.ts';
import type { Delivery } from '../store/webhook-deliveries.ts';
import type { Webhook } from '../store/webhooks.ts';
import { webhookBody } from './webhook-attempt.ts';
import { WELL } from './webhook-lane.ts';
import type { Webhooks } from './webhooks.ts';

/** What somebody says of a webhook. */
export interface WebhookOrder {
  readonly name: string;
  readonly url: string;
  readonly events: readonly string[];
}

export type ConfiguredWebhook = WebhookOrder & { readonly secret: Secret };

export interface WebhookDeskNeeds {
  readonly clock: Clock;
  readonly webhooks: Webhooks;
  /** Somebody made one; must not throw. */
  onCreated(webhook: Webhook): void;
}

export interface WebhookDeskOptions {
  /** `webhooks.allow_private`. */
  readonly allowsPrivate: boolean;
}

export type WebhookDesk = ReturnType<typeof createWebhookDesk>;

export const createWebhookDesk = (
  { clock, webhooks, onCreated }: WebhookDeskNeeds,
  { allowsPrivate }: WebhookDeskOptions,
) => {
  const testing = new Set<string>();

  const find = (id: string): Webhook => {
    const webhook = webhooks.find(id);
    if (!webhook) throw fail('WEBHOOK_NOT_FOUND');
    return webhook;
  };
  const findOwn = (id: string): Webhook => {
    const webhook = find(id);
    if (webhook.source === 'config') throw fail('WEBHOOK_CONFIGURED');
    return webhook;
  };
  const put = (webhook: Webhook): Webhook => {
    webhooks.put(webhook);
    return webhook;
  };
  const made = (order: WebhookOrder, source: Webhook['source'], secret: Secret): Webhook => ({
    ...WELL,
    id: newWebhookId(),
    name: order.name,
    source,
    url: order.url,
    events: order.events,
    secret,
    oldSecret: undefined,
    oldSecretUntil: undefined,
    createdAt: clock.now(),
    version: 1,
  });
  const check = (order: WebhookOrder, id?: string) => {
    const isTaken = webhooks
      .list()
      .some((other) => other.source === 'admin' && other.name === order.name && other.id !== id);
    const problem = isTaken ? 'another webhook has this name' : orderProblem(order, allowsPrivate);
    if (problem) throw fail('WEBHOOK_INVALID', { problem });
  };

  return {
    /** Makes the webhooks of the configuration what it says; what is not in it any more goes, with its deliveries. */
    adopt(configured: readonly ConfiguredWebhook[]): void {
      const known = new Map(
        webhooks
          .list()
          .filter(({ source }) => source === 'config')
          .map((webhook) => [webhook.name, webhook]),
      );
      for (const { name, id } of known.values())
        if (!configured.some((each) => each.name === name)) webhooks.remove(id);
      for (const order of configured) {
        const { name, url, events, secret } = order;
        const before = known.get(name);
        const isSame = before?.url === url && before.secret.equals(secret.reveal());
        if (!before) webhooks.put(made(order, 'config', secret));
        else if (!isSame || before.events.join() !== events.join())
          // Another receiver has nothing to do with the failures of the one before.
          webhooks.put({
            ...before,
            ...(isSame ? {} : WELL),
            url,
            events,
            secret,
            version: before.version + 1,
          });
      }
    },

    list: webhooks.list,
    find,
    /** How many deliveries wait, by the id of their webhook. */
    waitingCounts: (): ReadonlyMap<string, number> =>
      webhooks.list().length > 0 ? webhooks.deliveries().waitingCounts() : new Map(),

    /** Throws WEBHOOK_INVALID, WEBHOOK_LIMIT. */
    create(order: WebhookOrder): Webhook {
      check(order);
      if (webhooks.list().length >= LIMITS.webhooksMax)
        throw fail('WEBHOOK_LIMIT', { limit: LIMITS.webhooksMax });
      const webhook = put(made(order, 'admin', newWebhookSecret()));
      onCreated(webhook);
      return webhook;
    },

    /** @throws WEBHOOK_NOT_FOUND, WEBHOOK_CONFIGURED, WEBHOOK_INVALID, VERSION_OUTDATED */
    change(id: string, version: number, change: Partial<WebhookOrder> & { isEnabled?: boolean }): Webhook {
      const { isEnabled, ...said } = change;
      const isSwitchOnly = Object.keys(said).length === 0;
      const before = isSwitchOnly ? find(id) : findOwn(id);
      if (before.version !== version) throw fail('VERSION_OUTDATED');
      const after = { ...before, ...said, version: version + 1 };
      if (!isSwitchOnly) check(after, id);
      // Who changes a webhook has an idea of why it failed.
      return put({ ...after, ...(isEnabled === false ? { state: 'disabled' } : isEnabled ? WELL : {}) });
    },

    /** Another secret; the old one signs beside it for some time. Throws WEBHOOK_NOT_FOUND, WEBHOOK_CONFIGURED. */
    rotate(id: string, graceMs: number): Webhook {
      const before = findOwn(id);
      const graced = Math.min(graceMs, LIMITS.webhookSecretGraceMsMax);
      return put({
        ...before,
        secret: newWebhookSecret(),
        oldSecret: graced > 0 ? before.secret : undefined,
        oldSecretUntil: graced > 0 ? clock.now() + graced : undefined,
        version: before.version + 1,
      });
    },

    /** Throws WEBHOOK_NOT_FOUND, WEBHOOK_CONFIGURED. */
    remove: (id: string): void => webhooks.remove(findOwn(id).id),

    /** Sends one event at once, whatever waits, and once. Throws WEBHOOK_NOT_FOUND, WEBHOOK_BUSY. */
    async test(id: string, type: WebhookEventType | typeof WEBHOOK_TEST): Promise<Delivery> {
      const webhook = find(id);
      if (testing.has(id)) throw fail('WEBHOOK_BUSY');
      testing.add(id);
      try {
        const [eventId, createdAt] = [newEventId(), clock.now()];
        const body = webhookBody(eventId, type, createdAt, { test: true });
        const delivery = { id: newDeliveryId(), webhookId: id, eventId, type, createdAt, body };
        const attempt = await webhooks.attempt(webhook, delivery);
        // It may have been removed meanwhile.
        find(id);
        const table = webhooks.deliveries();
        table.append([delivery]);
        const { number } = table.find(delivery.id)!;
        table.note(number, { ...attempt, state: attempt.code === undefined ? 'delivered' : 'failed' });
        return table.find(delivery.id)!;
      } finally {
        testing.delete(id);
      }
    },

    /** The newest first. Throws WEBHOOK_NOT_FOUND. */
    deliveries: (id: string, limit: number, before?: number): Delivery[] =>
      webhooks.deliveries().list(find(id).id, limit, before),

    /**
     * When a delivery that waits is tried at the earliest, in milliseconds since 1970; undefined where nothing keeps it but those before it,
     * or nothing is told at all.
     */
    nextTryAt({ webhookId, state, dueAt }: Delivery): number | undefined {
      if (state !== 'waiting' || webhooks.find(webhookId)?.state !== 'enabled') return undefined;
      const at = Math.max(dueAt, webhooks.pausedUntil(webhookId) ?? 0);
      return at > clock.now() ? at : undefined;
    },

    /** Queues the event of a delivery again. Throws WEBHOOK_DELIVERY_UNKNOWN. */
    redeliver(deliveryId: string): Delivery {
      const table = webhooks.list().length > 0 ? webhooks.deliveries() : undefined;
      const delivery = table?.find(deliveryId);
      if (!table || !delivery) throw fail('WEBHOOK_DELIVERY_UNKNOWN');
      const id = newDeliveryId();
      table.append([{ ...delivery, id, createdAt: clock.now() }]);
      webhooks.wake(delivery.webhookId);
      return table.find(id)!;
    },
  };
};

const orderProblem = ({ name, url, events }: WebhookOrder, allowsPrivate: boolean): string | undefined => {
  if (name.trim() === '' || name.length > LIMITS.webhookNameCharsMax)
    return `its name must have from 1 to ${LIMITS.webhookNameCharsMax} characters`;
  const urlProblem = webhookUrlProblem(url, allowsPrivate);
  if (urlProblem) return `its url ${urlProblem}`;
  if (events.length === 0 || events.length > LIMITS.webhookFiltersMax)
    return `it must ask for events, by at most ${LIMITS.webhookFiltersMax} filters`;
  const filterProblem = events.map(webhookFilterProblem).find((problem) => problem !== undefined);
  return filterProblem && `each of its events ${filterProblem}`;
};
