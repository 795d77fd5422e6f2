/**
 * What is told to one webhook: one delivery at a time, the oldest first.
 *
 * Flow: webhooks.ts makes a lane for each webhook and wakes it when there is something to send.
 * Invariant: a delivery leaves the queue only when its receiver has answered 2xx, so that each arrives at least once, also through a kill.
 * While a receiver is down its lane pauses ever longer and tries the oldest delivery, so that the rest keeps its order. Where the receiver
 * does answer, every second try is the delivery behind it: if that arrives, the oldest is at fault, waits for a time of its own and is
 * the only one that is overtaken.
 * Limits: webhookStoreRetryMs, webhookPauseMsMin, webhookPauseMsMax, webhookSetbackMsMin, webhookSetbackMsMax, webhookFailingMsMax.
 */
import { LIMITS } from '../base/limits.ts';
import { type Clock, fullJitterMs, type Timer } from '../base/time.ts';
import type { DeliveryTable, OutgoingDelivery } from '../store/webhook-deliveries.ts';
import type { Webhook, WebhookHealth } from '../store/webhooks.ts';
import type { Attempt } from './webhook-attempt.ts';

export interface LaneNeeds {
  readonly clock: Clock;
  readonly deliveries: Pick<DeliveryTable, 'next' | 'nextDueAt' | 'note' | 'setBack'>;
  readonly random?: () => number;
  /** As it is now; undefined once it was removed. */
  webhook(): Webhook | undefined;
  attempt(webhook: Webhook, delivery: OutgoingDelivery): Promise<Attempt>;
  /** Tells what became of an attempt, and how the webhook is since. */
  onAttempt(attempt: Attempt, health: WebhookHealth): void;
  /** Must not throw. */
  onFault(fault: unknown): void;
}

export interface Lane {
  /** Looks for something to send. Safe to call at any time. */
  wake(): void;
  /** The same at once, also in a pause: somebody says that it works again. */
  hurry(): void;
  /** Until when it pauses after a failure, in milliseconds since 1970; undefined where it does not. */
  pausedUntil(): number | undefined;
  /** Resolves when nothing is under way any more; what is must have been ended. */
  close(): Promise<void>;
}

export const createLane = (needs: LaneNeeds): Lane => {
  const { clock, deliveries, random } = needs;
  let pausedUntilMs = 0;
  let wasHeard = false;
  let timer: Timer | undefined;
  let underWay: Promise<void> | undefined;
  let isClosed = false;

  const sleep = (ms: number) => {
    // A part of a millisecond would be over before it has passed.
    timer = clock.after(Math.max(1, Math.ceil(ms)), wake);
  };

  /** The disk failed: what was sent meanwhile is sent again. */
  const rest = (fault: unknown) => {
    needs.onFault(fault);
    if (!isClosed) sleep(LIMITS.webhookStoreRetryMs);
  };

  const nextOf = ({ id, failureCount }: Webhook): OutgoingDelivery | undefined => {
    const nowMs = clock.now();
    const behind = wasHeard && failureCount % 2 === 1 ? deliveries.next(id, nowMs, 1) : undefined;
    return behind ?? deliveries.next(id, nowMs, 0);
  };

  const turn = () => {
    const webhook = needs.webhook();
    if (webhook?.state !== 'enabled') return;
    const pauseMs = pausedUntilMs - clock.elapsed();
    if (pauseMs > 0) return sleep(pauseMs);
    const delivery = nextOf(webhook);
    const dueAt = delivery ? undefined : deliveries.nextDueAt(webhook.id);
    if (dueAt !== undefined) sleep(dueAt - clock.now());
    if (!delivery) return;
    underWay = tried(webhook, delivery).then(
      () => {
        underWay = undefined;
        wake();
      },
      (fault) => {
        underWay = undefined;
        rest(fault);
      },
    );
  };

  const tried = async (webhook: Webhook, delivery: OutgoingDelivery): Promise<void> => {
    const attempt = await needs.attempt(webhook, delivery);
    const hasArrived = attempt.code === undefined;
    // One that was cut off by the end of the engine counts for nothing: it is made again.
    if (isClosed && !hasArrived) return;
    deliveries.note(delivery.number, { state: hasArrived ? 'delivered' : 'waiting', ...attempt });
    const before = needs.webhook();
    if (!before) return;
    if (hasArrived && before.failureCount > 0) setBackOlder(delivery);
    const health = hasArrived ? WELL : afterFailure(before, clock.now());
    if (hasArrived) pausedUntilMs = 0;
    else
      pausedUntilMs =
        clock.elapsed() +
        fullJitterMs(health.failureCount, LIMITS.webhookPauseMsMin, LIMITS.webhookPauseMsMax, random);
    wasHeard = attempt.status !== undefined || attempt.code === 'WEBHOOK_TIMEOUT';
    needs.onAttempt(attempt, { ...health, state: before.state === 'enabled' ? health.state : before.state });
  };

  const setBackOlder = ({ webhookId, number }: OutgoingDelivery) => {
    const nowMs = clock.now();
    // The first time it is tried again at once: the receiver may have come back in between.
    const dueAtOf = (setbacks: number) =>
      setbacks === 0
        ? nowMs
        : nowMs + fullJitterMs(setbacks, LIMITS.webhookSetbackMsMin, LIMITS.webhookSetbackMsMax, random);
    deliveries.setBack(webhookId, number, nowMs, dueAtOf);
  };

  const wake = () => {
    timer?.cancel();
    timer = undefined;
    if (isClosed || underWay !== undefined) return;
    try {
      turn();
    } catch (thrown) {
      rest(thrown);
    }
  };

  return {
    wake,
    hurry() {
      pausedUntilMs = 0;
      wake();
    },
    pausedUntil() {
      const pauseMs = pausedUntilMs - clock.elapsed();
      return pauseMs > 0 ? clock.now() + pauseMs : undefined;
    },
    async close() {
      isClosed = true;
      timer?.cancel();
      timer = undefined;
      await underWay;
    },
  };
};

/** Of a webhook of which the last attempt arrived, or that was not tried yet. */
export const WELL: WebhookHealth = { state: 'enabled', failureCount: 0, failingSince: undefined };

const afterFailure = ({ failureCount, failingSince }: Webhook, nowMs: number): WebhookHealth => {
  const since = failingSince ?? nowMs;
  const hasFailedForDays = nowMs - since >= LIMITS.webhookFailingMsMax;
  return {
    state: hasFailedForDays ? 'failed' : 'enabled',
    failureCount: failureCount + 1,
    failingSince: since,
  };
};
