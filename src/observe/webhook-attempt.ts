/**
 * One attempt to deliver: the message as receivers know it (protocol.md 13.1), and what came of sending it.
 *
 * Flow: lanes and the desk attempt; webhook-request.ts sends.
 * Invariant: an attempt never throws, and none goes on once all were ended. The time of a signature is that of its attempt: receivers refuse old ones.
 */
import { EngineError, type ErrorCode } from '../base/errors.ts';
import type { Clock } from '../base/time.ts';
import { webhookSignature } from '../base/webhook.ts';
import type { NewDelivery } from '../store/webhook-deliveries.ts';
import type { Webhook } from '../store/webhooks.ts';
import type { SendWebhook } from './webhook-request.ts';

/** What came of an attempt. */
export interface Attempt {
  /** Milliseconds since 1970. */
  readonly triedAt: number;
  readonly durationMs: number;
  /** Of the answer, where there was one. */
  readonly status: number | undefined;
  /** Undefined when it arrived. */
  readonly code: ErrorCode | undefined;
}

export interface AttemptsNeeds {
  readonly clock: Clock;
  readonly send: SendWebhook;
}

export interface AttemptsOptions {
  /** How the engine names itself to receivers. */
  readonly userAgent: string;
}

export const createAttempts = ({ clock, send }: AttemptsNeeds, { userAgent }: AttemptsOptions) => {
  const underWay = new Map<AbortController, Promise<unknown>>();
  let isOver = false;

  const outcomeOf = async (sending: () => Promise<number>): Promise<Pick<Attempt, 'status' | 'code'>> => {
    try {
      return { status: await sending(), code: undefined };
    } catch (thrown) {
      const { status } = thrown instanceof EngineError ? thrown.details : {};
      return {
        status: typeof status === 'number' ? status : undefined,
        code: thrown instanceof EngineError ? thrown.code : 'INTERNAL',
      };
    }
  };

  return {
    async attempt(webhook: Webhook, delivery: NewDelivery): Promise<Attempt> {
      const [triedAt, startMs] = [clock.now(), clock.elapsed()];
      const headers = { ...headersFor(webhook, delivery, triedAt), 'user-agent': userAgent };
      const ending = new AbortController();
      if (isOver) ending.abort();
      const sending = outcomeOf(() =>
        send({ url: webhook.url, headers, body: delivery.body }, ending.signal),
      );
      underWay.set(ending, sending);
      const outcome = await sending;
      underWay.delete(ending);
      return { triedAt, durationMs: Math.round(clock.elapsed() - startMs), ...outcome };
    },
    /** Ends what is under way, and whatever comes still. Resolves when nothing of it is left. */
    async end(): Promise<void> {
      isOver = true;
      for (const ending of underWay.keys()) ending.abort();
      await Promise.all(underWay.values());
    },
  };
};

/** @param createdAt milliseconds since 1970 */
export const webhookBody = (
  id: string,
  type: string,
  createdAt: number,
  object: object,
  userId?: string,
): string =>
  JSON.stringify({ id, type, created_at: new Date(createdAt).toISOString(), user_id: userId, object });

/** What receivers verify, and know an event by. */
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
