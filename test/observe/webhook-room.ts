/** Webhooks over a file of their own, with a clock that the test moves and receivers that it scripts. */
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type ErrorCode, fail } from '../../src/base/errors.ts';
import type { WebhookEventType } from '../../src/base/webhook.ts';
import { createWebhookDesk } from '../../src/observe/webhook-desk.ts';
import type { WebhookRequest } from '../../src/observe/webhook-request.ts';
import { createWebhooks } from '../../src/observe/webhooks.ts';
import { openWebhookStore, type Webhook, type WebhookStore } from '../../src/store/webhooks.ts';
import { createFakeClock } from '../support/clock.ts';
import { createLogRecorder } from '../support/log.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

/** What a receiver does with a request: takes it, answers a status, or fails to answer. */
export type Receiver = (
  request: WebhookRequest,
  signal: AbortSignal,
) => void | number | ErrorCode | Promise<void>;

export interface RoomOptions {
  readonly path?: string;
  readonly clock?: ReturnType<typeof createFakeClock>;
  readonly open?: (path: string) => WebhookStore;
  /** 0.5 by default. */
  readonly random?: number;
}

export const ORDER = { name: 'ops', url: 'https://hooks.example.com/in?key=hunter2', events: ['*'] };

/** One engine's webhooks; the receiver takes everything until the test says otherwise. */
export const openRoom = (t: TestContext, options: RoomOptions = {}) => {
  const {
    path = join(makeTemporaryDirectory(t), 'webhooks.db'),
    random = 0.5,
    open = openWebhookStore,
  } = options;
  const clock = options.clock ?? createFakeClock();
  const log = createLogRecorder();
  const sent: WebhookRequest[] = [];
  const givenUp: Webhook[] = [];
  const room = { receiver: (() => {}) as Receiver };
  const webhooks = createWebhooks(
    {
      clock,
      log,
      random: () => random,
      open: () => open(path),
      onGivenUp: (webhook) => givenUp.push(webhook),
      async send(request, signal) {
        sent.push(request);
        const said = await room.receiver(request, signal);
        if (typeof said === 'string') throw fail(said);
        const status = said ?? 204;
        if (status > 299) throw fail('WEBHOOK_REFUSED', { status });
        return status;
      },
    },
    { userAgent: 'test' },
  );
  const desk = createWebhookDesk({ clock, webhooks, onCreated: () => {} }, { allowsPrivate: false });
  webhooks.load();
  webhooks.start();
  t.after(() => webhooks.close());

  /** Lets what promises are at hand run. */
  const settle = async () => {
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  return {
    ...{ path, clock, log, sent, givenUp, webhooks, desk, settle },
    /** From now on the receiver does this. */
    receive: (receiver: Receiver) => {
      room.receiver = receiver;
    },
    /** Tells of something that is known by a number. */
    emit: (number: number, type: WebhookEventType = 'tunnel.created') =>
      webhooks.emit({ type, object: { number } }),
    /** Moves the clock in steps, and lets each step have its consequences. */
    async pass(ms: number, stepMs = ms) {
      for (let passed = 0; passed < ms; passed += stepMs) {
        clock.advance(Math.min(stepMs, ms - passed));
        await settle();
      }
    },
  };
};

/** The number that an event was told by. */
export const numberOf = ({ body }: WebhookRequest): number => JSON.parse(body).object.number;

/** A receiver that never answers. */
export const SILENT: Receiver = (_request, signal) =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))));
