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
import { every, inBackground, type Timer } from '../base/time.ts';
import { isFilteredIn, WEBHOOK_EVENTS, type WebhookEvent, type WebhookEventType } from '../base/webhook.ts';
import type { Webhook, WebhookHealth, WebhookStore } from '../store/webhooks.ts';
import {
  type Attempt,
  type AttemptsNeeds,
  type AttemptsOptions,
  createAttempts,
  webhookBody,
} from './webhook-attempt.ts';
import { createLane, type Lane } from './webhook-lane.ts';
import { createWebhookQueue } from './webhook-queue.ts';

export interface WebhooksNeeds extends AttemptsNeeds {
  readonly log: Logger;
  readonly random?: () => number;
  /** Opens the file; called when it is needed first. Throws STORE_UNAVAILABLE, STORE_TOO_NEW. */
  open(): WebhookStore;
  /** A webhook was switched off because nothing had arrived for days. Must not throw. */
  onGivenUp(webhook: Webhook): void;
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

export const createWebhooks = (needs: WebhooksNeeds, options: AttemptsOptions) => {
  const { clock, log } = needs;
  const webhooks = new Map<string, Webhook>();
  const lanes = new Map<string, Lane>();
  const { attempt, end } = createAttempts(needs, options);
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

  /** Work that can be left undone, on the file if it is open. */
  const quietly = (work: (opened: WebhookStore) => void) => {
    try {
      if (store && !isClosed) work(store);
    } catch (thrown) {
      onFault(thrown);
    }
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

  const countWritten = (): number => {
    let waitingCount = 0;
    quietly((opened) => {
      for (const count of opened.deliveries.waitingCounts().values()) waitingCount += count;
    });
    return waitingCount;
  };

  const prune = () =>
    quietly(({ deliveries }) => {
      counts.expired += deliveries.prune(clock.now());
    });
  const pruneAndShrink = () => {
    prune();
    quietly(({ deliveries }) => deliveries.shrink());
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
      // Those that are tried by hand as well, which no lane knows of.
      const ended = end();
      pruning?.cancel();
      await Promise.all([ended, ...[...lanes.values()].map((lane) => lane.close())]);
      if (isClosed) return;
      queue.close();
      isClosed = true;
      store?.close();
    },

    /** Never throws: where the disk fails, only what waits in memory is known. */
    get counts(): WebhookCounts {
      return { ...counts, waiting: countWritten() + queue.length };
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
    /** Until when nothing is tried after a failure, in milliseconds since 1970; undefined where nothing failed lately. */
    pausedUntil: (id: string): number | undefined => lanes.get(id)?.pausedUntil(),
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
