/**
 * Tells others what happens: who asks for what, and the way of an event to each of them.
 *
 * Flow: the lobby (webhook-feed.ts) emits; webhook-queue.ts writes rows; a webhook-lane.ts for each webhook sends them by
 * webhook-request.ts. webhook-desk.ts is for those who make and change webhooks.
 * Invariant: `emit` never throws and never waits. An engine that stops, or is killed, keeps what was not delivered.
 * Limits: webhookPruneMs.
 */
import { engineErrorFrom, fail } from '../base/errors.ts';
import { newEventId } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { type Clock, every, inBackground, type Timer } from '../base/time.ts';
import {
  isFilteredIn,
  WEBHOOK_EVENTS,
  type WebhookEvent,
  type WebhookEventType,
  webhookSignature,
} from '../base/webhook.ts';
import type { NewDelivery } from '../store/webhook-deliveries.ts';
import type { Webhook, WebhookHealth, WebhookStore } from '../store/webhooks.ts';
import { type Attempt, attemptOf, createLane, type Lane } from './webhook-lane.ts';
import { createWebhookQueue } from './webhook-queue.ts';
import type { SendWebhook } from './webhook-request.ts';

export interface WebhooksNeeds {
  readonly clock: Clock;
  readonly log: Logger;
  readonly send: SendWebhook;
  readonly random?: () => number;
  /** Opens the file; called when it is needed first. Throws STORE_UNAVAILABLE, STORE_TOO_NEW. */
  open(): WebhookStore;
  /** A webhook was switched off because nothing had arrived for days. Must not throw. */
  onGivenUp(webhook: Webhook): void;
}

export interface WebhooksOptions {
  /** How the engine names itself to receivers. */
  readonly userAgent: string;
}

/** What became of deliveries since the engine started. */
export interface WebhookCounts {
  readonly delivered: number;
  /** Attempts. */
  readonly failed: number;
  readonly expired: number;
  readonly lost: number;
  /** Those that wait now. */
  readonly waiting: number;
}

export type Webhooks = ReturnType<typeof createWebhooks>;

export const createWebhooks = (needs: WebhooksNeeds, { userAgent }: WebhooksOptions) => {
  const { clock, log } = needs;
  const webhooks = new Map<string, Webhook>();
  const lanes = new Map<string, Lane>();
  const stopping = new AbortController();
  const counts = { delivered: 0, failed: 0, expired: 0, lost: 0 };
  let takers: ReadonlyMap<WebhookEventType, readonly string[]> = new Map();
  let store: WebhookStore | undefined;
  let pruning: Timer | undefined;
  let isFailing = false;
  let isRunning = false;
  let isClosed = false;

  const opened = (): WebhookStore => {
    if (isClosed) throw fail('ENGINE_DRAINING');
    store ??= needs.open();
    return store;
  };

  const onFault = (thrown: unknown) => {
    const error = engineErrorFrom(thrown);
    if (!isFailing) log.error({ code: error.code, error }, 'webhooks stand still');
    isFailing = true;
  };

  const queue = createWebhookQueue({
    clock,
    deliveries: () => opened().deliveries,
    takersOf: (type) => takers.get(type) ?? [],
    onWritten(ids) {
      prune();
      for (const id of ids) lanes.get(id)?.wake();
    },
    onLost(count) {
      if (count > 0 && counts.lost === 0) log.warn({}, 'webhooks are lost: too many wait');
      counts.lost += count;
    },
    onFault,
  });

  const follow = () => {
    const enabled = [...webhooks.values()].filter(({ state }) => state === 'enabled');
    const takersOf = (type: WebhookEventType) =>
      enabled.filter(({ events }) => isFilteredIn(events, type)).map(({ id }) => id);
    takers = new Map(WEBHOOK_EVENTS.map((type) => [type, takersOf(type)]));
  };

  const attempt = (webhook: Webhook, delivery: NewDelivery): Promise<Attempt> =>
    attemptOf(clock, () => {
      const headers = { ...headersFor(webhook, delivery, clock.now()), 'user-agent': userAgent };
      return needs.send({ url: webhook.url, headers, body: delivery.body }, stopping.signal);
    });

  const noteAttempt = (id: string, { code, status }: Attempt, health: WebhookHealth) => {
    isFailing = false;
    counts[code === undefined ? 'delivered' : 'failed'] += 1;
    const before = webhooks.get(id)!;
    if (code === undefined && before.failureCount === 0) return;
    const webhook = { ...before, ...health };
    webhooks.set(id, webhook);
    const { name } = webhook;
    if (before.failureCount === 0)
      log.warn({ webhookId: id, name, code, status }, 'a webhook does not arrive');
    if (before.state !== webhook.state) {
      follow();
      log.error({ webhookId: id, name, code }, 'a webhook was switched off: nothing had arrived for days');
      needs.onGivenUp(webhook);
    }
    opened().saveHealth(id, health);
  };

  const laneOf = (id: string): Lane => {
    const lane =
      lanes.get(id) ??
      createLane({
        ...needs,
        deliveries: opened().deliveries,
        webhook: () => webhooks.get(id),
        attempt,
        onAttempt: (made, health) => noteAttempt(id, made, health),
        onFault,
      });
    lanes.set(id, lane);
    return lane;
  };

  const writtenCount = (): number => {
    try {
      const waiting = store && !isClosed ? store.deliveries.waitingCounts().values() : [];
      return [...waiting].reduce((sum, count) => sum + count, 0);
    } catch (thrown) {
      onFault(thrown);
      return 0;
    }
  };

  const prune = () => {
    try {
      if (store) counts.expired += store.deliveries.prune(clock.now());
    } catch (thrown) {
      onFault(thrown);
    }
  };
  const pruneAndShrink = () => {
    prune();
    try {
      store?.deliveries.shrink();
    } catch (thrown) {
      onFault(thrown);
    }
  };

  return {
    /** Whether anybody asks for such events: to be looked at where it costs something to make one. */
    wants: (type: WebhookEventType): boolean => (takers.get(type)?.length ?? 0) > 0,

    /** Tells of something that happened. Never throws, never waits. */
    emit({ type, object, userId }: WebhookEvent): void {
      if (isClosed || !takers.get(type)?.length) return;
      const [eventId, createdAt] = [newEventId(), clock.now()];
      queue.put({ eventId, type, createdAt, body: webhookBody(eventId, type, createdAt, object, userId) });
    },

    /** Reads the file, and makes it where there is none. Throws STORE_UNAVAILABLE, STORE_TOO_NEW. */
    load(): void {
      for (const webhook of opened().list()) webhooks.set(webhook.id, webhook);
      follow();
    },

    /** Begins to send. */
    start(): void {
      isRunning = true;
      pruneAndShrink();
      pruning = every(clock, LIMITS.webhookPruneMs, pruneAndShrink);
      for (const id of webhooks.keys()) laneOf(id).wake();
    },

    /** Ends what is under way, keeps what was not delivered, and closes the file. */
    async close(): Promise<void> {
      stopping.abort();
      pruning?.cancel();
      await Promise.all([...lanes.values()].map((lane) => lane.close()));
      if (isClosed) return;
      queue.close();
      isClosed = true;
      store?.close();
    },

    /** Never throws: where the disk fails, only what waits in memory is known. */
    get counts(): WebhookCounts {
      return { ...counts, waiting: writtenCount() + queue.length };
    },

    list: (): readonly Webhook[] => [...webhooks.values()],
    find: (id: string): Webhook | undefined => webhooks.get(id),
    /** Throws STORE_UNAVAILABLE, and ENGINE_DRAINING once closed. */
    deliveries: () => opened().deliveries,
    attempt,
    /** Looks for deliveries of a webhook that can be sent. */
    wake(id: string): void {
      if (isRunning && webhooks.has(id)) laneOf(id).wake();
    },
    /** Puts a webhook, new or changed, into force once it is on the disk, and tries at once whether it works. */
    put(webhook: Webhook): void {
      opened().save(webhook);
      webhooks.set(webhook.id, webhook);
      follow();
      if (isRunning) laneOf(webhook.id).hurry();
    },
    /** With its deliveries. */
    remove(id: string): void {
      opened().remove(id);
      webhooks.delete(id);
      follow();
      const lane = lanes.get(id);
      // As long as something is under way the end of the engine has to wait for it.
      if (lane)
        inBackground(
          lane.close().then(() => void lanes.delete(id)),
          onFault,
        );
    },
  };
};

/** What receivers get (protocol.md 13.1). @param createdAt milliseconds since 1970 */
export const webhookBody = (
  id: string,
  type: string,
  createdAt: number,
  object: object,
  userId?: string,
): string =>
  JSON.stringify({ id, type, created_at: new Date(createdAt).toISOString(), user_id: userId, object });

/** What receivers verify, and know an event by (protocol.md 13.1). */
const headersFor = (webhook: Webhook, delivery: NewDelivery, nowMs: number): Record<string, string> => {
  const { secret, oldSecret, oldSecretUntil = 0 } = webhook;
  const secrets = oldSecret && nowMs < oldSecretUntil ? [secret, oldSecret] : [secret];
  return {
    'content-type': 'application/json',
    'rstream-signature': webhookSignature(delivery.body, secrets, Math.floor(nowMs / 1_000)),
    'rstream-event-id': delivery.eventId,
    'rstream-event-type': delivery.type,
    'rstream-webhook-id': webhook.id,
    'rstream-delivery-id': delivery.id,
  };
};
