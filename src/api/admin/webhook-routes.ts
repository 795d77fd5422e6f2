/**
 * Webhooks: who is told of what, and what became of each delivery.
 *
 * Invariant: a secret is in the answer that made it and in no other. The address of a receiver often has a key in it, so that only
 * admins see more than its host.
 */
import { z } from 'zod';
import { LIMITS } from '../../base/limits.ts';
import { WEBHOOK_EVENTS, WEBHOOK_TEST } from '../../base/webhook.ts';
import type { WebhookDesk } from '../../observe/webhook-desk.ts';
import type { Delivery } from '../../store/webhook-deliveries.ts';
import type { Webhook } from '../../store/webhooks.ts';
import { listQuery, pageFrom, pageOf } from './listing.ts';
import { type AdminRequest, type AdminRoute, route } from './route.ts';

export interface WebhookRoutesNeeds {
  readonly webhooks: WebhookDesk;
}

const instant = z.iso.datetime();
const iso = (ms: number): string => new Date(ms).toISOString();
const isoOr = (ms: number | null | undefined): string | undefined => (ms == null ? undefined : iso(ms));

const webhookSchema = z.object({
  id: z.string(),
  name: z.string(),
  source: z.enum(['config', 'admin']).meta({ description: 'Those of the configuration are changed there.' }),
  url: z.string().meta({ description: 'For a viewer without its path, which may hold a key.' }),
  events: z.array(z.string()),
  state: z
    .enum(['enabled', 'disabled', 'failed'])
    .meta({ description: 'Failed: the engine switched it off, as nothing had arrived for days.' }),
  failure_count: z.int().meta({ description: 'Attempts that failed since the last that did not.' }),
  failing_since: instant.optional(),
  waiting_count: z.int().meta({ description: 'Deliveries that wait.' }),
  old_secret_until: instant.optional().meta({ description: 'Until when a replaced secret signs as well.' }),
  created_at: instant,
  etag: z.string(),
});
const secretShape = z.string().meta({ description: 'Signs what is sent; shown only now.' });

const deliverySchema = z.object({
  id: z.string(),
  number: z.int().meta({ description: 'The higher, the later: `before` of the next page.' }),
  webhook_id: z.string(),
  event_id: z.string(),
  type: z.string(),
  state: z.enum(['waiting', 'delivered', 'failed', 'expired']),
  attempt_count: z.int(),
  created_at: instant,
  tried_at: instant.optional(),
  next_try_at: instant.optional().meta({ description: 'Not before then, while it waits.' }),
  status: z.int().optional().meta({ description: 'What the receiver answered last.' }),
  code: z.string().optional().meta({ description: 'Why the last attempt failed (docs/errors.md).' }),
  duration_ms: z.int().optional(),
});

const order = {
  name: z.string().max(LIMITS.webhookNameCharsMax),
  url: z.string().max(LIMITS.webhookUrlCharsMax),
  events: z
    .array(z.string().max(100))
    .max(LIMITS.webhookFiltersMax)
    .meta({ description: `Of ${WEBHOOK_EVENTS.join(', ')}; \`client.*\` for a group, \`*\` for all.` }),
};

type Asked = Pick<AdminRequest<unknown, unknown>, 'caller'>;

const deliveryFrom = (delivery: Delivery, nextTryAt?: number): z.output<typeof deliverySchema> => ({
  id: delivery.id,
  number: delivery.number,
  webhook_id: delivery.webhookId,
  event_id: delivery.eventId,
  type: delivery.type,
  state: delivery.state,
  attempt_count: delivery.attemptCount,
  created_at: iso(delivery.createdAt),
  tried_at: isoOr(delivery.triedAt),
  next_try_at: isoOr(nextTryAt),
  status: delivery.status ?? undefined,
  code: delivery.code ?? undefined,
  duration_ms: delivery.durationMs ?? undefined,
});

export const webhookRoutes = ({ webhooks }: WebhookRoutesNeeds): readonly AdminRoute[] => {
  const shown = (all: readonly Webhook[], { caller }: Asked) => {
    const waiting = webhooks.waitingCounts();
    return all.map((webhook) => ({
      id: webhook.id,
      name: webhook.name,
      source: webhook.source,
      url: caller?.role === 'admin' ? webhook.url : new URL(webhook.url).origin,
      events: [...webhook.events],
      state: webhook.state,
      failure_count: webhook.failureCount,
      failing_since: isoOr(webhook.failingSince),
      waiting_count: waiting.get(webhook.id) ?? 0,
      old_secret_until: isoOr(webhook.oldSecretUntil),
      created_at: iso(webhook.createdAt),
      etag: String(webhook.version),
    }));
  };
  const one = (webhook: Webhook, asked: Asked) => shown([webhook], asked)[0]!;
  const withSecret = (webhook: Webhook, asked: Asked) => ({
    ...one(webhook, asked),
    secret: webhook.secret.reveal(),
  });
  return [
    route({
      method: 'GET',
      path: '/webhooks',
      operationId: 'listWebhooks',
      summary: 'Who is told of what.',
      access: 'viewer',
      query: listQuery,
      answers: pageOf(webhookSchema),
      answer: (asked) => pageFrom(shown(webhooks.list(), asked), ({ created_at }) => created_at, asked.query),
    }),
    route({
      method: 'GET',
      path: '/webhooks/:id',
      operationId: 'getWebhook',
      summary: 'One of them.',
      access: 'viewer',
      answers: webhookSchema,
      answer: (asked) => one(webhooks.find(asked.id), asked),
    }),
    route({
      method: 'POST',
      path: '/webhooks',
      operationId: 'createWebhook',
      summary: 'Make one. Its secret is in this answer and nowhere else.',
      access: 'admin',
      action: 'webhook.create',
      body: z.strictObject(order),
      answers: webhookSchema.extend({ secret: secretShape }),
      status: 201,
      answer: (asked) => withSecret(webhooks.create(asked.body), asked),
    }),
    route({
      method: 'PATCH',
      path: '/webhooks/:id',
      operationId: 'changeWebhook',
      summary: 'Change it, switch it off, or switch it on again and try at once.',
      access: 'admin',
      action: 'webhook.change',
      isVersioned: true,
      body: z.strictObject({ ...order, enabled: z.boolean() }).partial(),
      answers: webhookSchema,
      answer: (asked) => {
        const { enabled, ...said } = asked.body;
        const version = Number(asked.ctx.req.headers['if-match']);
        const change = { ...given(said), ...(enabled !== undefined && { isEnabled: enabled }) };
        return one(webhooks.change(asked.id, version, change), asked);
      },
    }),
    route({
      method: 'DELETE',
      path: '/webhooks/:id',
      operationId: 'removeWebhook',
      summary: 'Remove it, and all that waits for it.',
      access: 'admin',
      action: 'webhook.remove',
      answer: ({ id }) => webhooks.remove(id),
    }),
    route({
      method: 'POST',
      path: '/webhooks/:id/rotate',
      operationId: 'rotateWebhook',
      summary: 'Replace its secret. For a time of grace both sign, so that the receiver can change over.',
      access: 'admin',
      action: 'webhook.rotate',
      body: z.strictObject({
        grace_seconds: z
          .int()
          .min(0)
          .max(LIMITS.webhookSecretGraceMsMax / 1_000)
          .default(0),
      }),
      answers: webhookSchema.extend({ secret: secretShape }),
      answer: (asked) => withSecret(webhooks.rotate(asked.id, asked.body.grace_seconds * 1_000), asked),
    }),
    ...deliveryRoutes(webhooks),
  ];
};

/** Without what was not said. */
const given = <Said extends object>(said: Said) =>
  Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined)) as {
    [Name in keyof Said]: Exclude<Said[Name], undefined>;
  };

const deliveryRoutes = (webhooks: WebhookDesk): readonly AdminRoute[] => [
  route({
    method: 'POST',
    path: '/webhooks/:id/test',
    operationId: 'testWebhook',
    summary: 'Send an event at once and once, and answer what came of it. Its object is `{"test": true}`.',
    access: 'admin',
    action: 'webhook.test',
    body: z.strictObject({
      type: z
        .enum([WEBHOOK_TEST, ...WEBHOOK_EVENTS])
        .default(WEBHOOK_TEST)
        .meta({ description: 'Official verifiers take none but client.* and tunnel.*.' }),
    }),
    answers: deliverySchema,
    answer: async ({ id, body }) => deliveryFrom(await webhooks.test(id, body.type)),
  }),
  route({
    method: 'GET',
    path: '/webhooks/:id/deliveries',
    operationId: 'listDeliveries',
    summary: 'The newest deliveries, or those before a number. Nothing that was sent or answered is in it.',
    access: 'viewer',
    query: z.strictObject({
      limit: listQuery.shape.limit,
      before: z.coerce.number().int().min(1).optional(),
    }),
    answers: z.object({ items: z.array(deliverySchema) }),
    answer: ({ id, query: { limit, before } }) => ({
      items: webhooks
        .deliveries(id, limit, before)
        .map((delivery) => deliveryFrom(delivery, webhooks.nextTryAt(delivery))),
    }),
  }),
  route({
    method: 'POST',
    path: '/webhook-deliveries/:id/redeliver',
    operationId: 'redeliver',
    summary: 'Queue the same event again, as a delivery of its own.',
    access: 'admin',
    action: 'webhook.redeliver',
    answers: deliverySchema,
    status: 201,
    answer: ({ id }) => deliveryFrom(webhooks.redeliver(id)),
  }),
];
