/**
 * Events on their way to the disk: in memory until the next batch, then one row for each webhook that asks for them.
 *
 * Flow: webhooks.ts puts events in; its lanes are woken when their rows are there.
 * Invariant: `put` never throws and never waits: what there is no room for is lost and counted. Failed streams, of which there may be thousands a
 * second, take at most half of the room. A disk that fails costs nothing as long as there is room.
 * Limits: webhookEventsQueuedMax, webhookEventBytesQueuedMax, webhookBatchRowsMax, webhookFlushMs, webhookDeliveriesWaitingMax,
 * webhookStoreRetryMs.
 */
import { newDeliveryId } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock, Timer } from '../base/time.ts';
import type { WebhookEventType } from '../base/webhook.ts';
import type { DeliveryTable, NewDelivery, OutgoingDelivery } from '../store/webhook-deliveries.ts';

/** Something that happened, as it will be sent. */
export type QueuedEvent = Pick<OutgoingDelivery, 'eventId' | 'createdAt' | 'body'> & {
  readonly type: WebhookEventType;
};

export interface WebhookQueueNeeds {
  readonly clock: Clock;
  /** Throws STORE_UNAVAILABLE. */
  deliveries(): Pick<DeliveryTable, 'waitingCounts' | 'append'>;
  /** The ids of the webhooks that ask for such events. */
  takersOf(type: WebhookEventType): readonly string[];
  /** Rows of these webhooks were written. */
  onWritten(webhookIds: ReadonlySet<string>): void;
  onLost(count: number): void;
  onFault(fault: unknown): void;
}

export const createWebhookQueue = (needs: WebhookQueueNeeds) => {
  const { clock } = needs;
  const events: QueuedEvent[] = [];
  let bytes = 0;
  let timer: Timer | undefined;

  const batch = (rowsMax: number) => {
    const rows: NewDelivery[] = [];
    const waiting = new Map(needs.deliveries().waitingCounts());
    let [eventCount, lostCount] = [0, 0];
    for (const event of events) {
      if (rows.length >= rowsMax) break;
      eventCount += 1;
      for (const webhookId of needs.takersOf(event.type)) {
        const count = waiting.get(webhookId) ?? 0;
        const hasRoom = count < roomFor(event.type, LIMITS.webhookDeliveriesWaitingMax);
        if (hasRoom) rows.push({ ...event, id: newDeliveryId(), webhookId });
        else lostCount += 1;
        waiting.set(webhookId, count + Number(hasRoom));
      }
    }
    return { rows, eventCount, lostCount };
  };

  /** False when the disk failed, and everything waits still. */
  const write = (rowsMax: number): boolean => {
    try {
      const { rows, eventCount, lostCount } = batch(rowsMax);
      needs.deliveries().append(rows);
      for (const { body } of events.splice(0, eventCount)) bytes -= body.length;
      needs.onLost(lostCount);
      needs.onWritten(new Set(rows.map(({ webhookId }) => webhookId)));
      return true;
    } catch (thrown) {
      needs.onFault(thrown);
      return false;
    }
  };

  const flush = () => {
    const pauseMs = write(LIMITS.webhookBatchRowsMax) ? LIMITS.webhookFlushMs : LIMITS.webhookStoreRetryMs;
    timer = events.length > 0 ? clock.after(pauseMs, flush) : undefined;
  };

  return {
    put(event: QueuedEvent): void {
      const { type, body } = event;
      const hasRoom =
        events.length < roomFor(type, LIMITS.webhookEventsQueuedMax) &&
        bytes + body.length <= roomFor(type, LIMITS.webhookEventBytesQueuedMax);
      if (!hasRoom) return needs.onLost(1);
      events.push(event);
      bytes += body.length;
      timer ??= clock.after(LIMITS.webhookFlushMs, flush);
    },
    /** Writes all of it. */
    close(): void {
      timer?.cancel();
      timer = undefined;
      if (events.length > 0 && !write(Number.POSITIVE_INFINITY)) needs.onLost(events.length);
    },
    get length(): number {
      return events.length;
    },
  };
};

/** Failed streams leave room for the rest. */
const roomFor = (type: WebhookEventType, max: number): number => (type === 'stream.failed' ? max / 2 : max);
