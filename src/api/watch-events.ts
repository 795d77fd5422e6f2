/**
 * The events of the watch endpoints (protocol.md 10.5), as schemas and as what fills them.
 *
 * Flow: watch.ts makes an event of each change; watch-sse.ts and watch-websocket.ts send it as it is; openapi.ts renders the schemas.
 * Invariant: there are no other events: official clients leave at the first one that they do not know. None is called `updated`,
 * since agents and tunnels do not change while they are there.
 */

import { z } from 'zod';
import { isoFrom } from '../base/instant.ts';
import { type ClientDto, clientSchema, type TunnelDto, tunnelSchema } from './dto.ts';

const timeSchema = z.string().meta({ format: 'date-time', description: 'In UTC, with Z.' });
const userIdSchema = z.string().optional();

export const initialEventSchema = z
  .object({
    type: z.literal('state.initial'),
    created_at: timeSchema,
    object: z.object({
      snapshot_at: timeSchema,
      clients: z.array(clientSchema),
      tunnels: z.array(tunnelSchema),
    }),
  })
  .meta({ description: 'Always the first event: all that is there and matches the filters.' });

export const clientEventSchema = z
  .object({
    type: z.enum(['client.created', 'client.deleted']),
    created_at: timeSchema,
    user_id: userIdSchema,
    object: clientSchema,
  })
  .meta({ description: 'An agent came, before its first tunnel, or left, after its last one.' });

export const tunnelEventSchema = z
  .object({
    type: z.enum(['tunnel.created', 'tunnel.deleted']),
    created_at: timeSchema,
    user_id: userIdSchema,
    object: tunnelSchema,
  })
  .meta({ description: 'A tunnel opened or closed.' });

type InitialEvent = z.infer<typeof initialEventSchema>;
type ChangeEvent = z.infer<typeof clientEventSchema> | z.infer<typeof tunnelEventSchema>;

/** Something that came or went. */
export type Change =
  | { readonly side: 'clients'; readonly isGone: boolean; readonly item: ClientDto }
  | { readonly side: 'tunnels'; readonly isGone: boolean; readonly item: TunnelDto };

/** @param nowMs milliseconds since 1970 */
export const initialEventFrom = (clients: ClientDto[], tunnels: TunnelDto[], nowMs: number): InitialEvent => {
  const now = isoFrom(nowMs);
  return { type: 'state.initial', created_at: now, object: { snapshot_at: now, clients, tunnels } };
};

/** @param nowMs milliseconds since 1970 */
export const changeEventFrom = ({ side, isGone, item }: Change, nowMs: number): ChangeEvent => {
  const rest = {
    created_at: isoFrom(nowMs),
    user_id: item.user_id,
    object: isGone ? { ...item, status: 'offline' as const } : item,
  };
  const happened = isGone ? 'deleted' : 'created';
  return side === 'clients'
    ? { type: `client.${happened}`, ...rest, object: rest.object }
    : { type: `tunnel.${happened}`, ...rest, object: rest.object as TunnelDto };
};

/** Events that leave together, encoded once for all who get them. */
export interface EventBatch {
  readonly eventCount: number;
  readonly byteCount: number;
  /** One text frame each. */
  readonly texts: readonly Buffer[];
  /** As server-sent events (protocol.md 10.4): no `event:` line, which would hide them from `onmessage`. */
  readonly stream: Buffer;
}

/** @param texts the JSON of each event, on one line */
export const batchFrom = (texts: readonly Buffer[]): EventBatch => {
  let stream: Buffer | undefined;
  return {
    eventCount: texts.length,
    byteCount: texts.reduce((sum, { length }) => sum + length, 0),
    texts,
    get stream() {
      stream ??= Buffer.concat(texts.flatMap((text) => [DATA, text, EVENT_END]));
      return stream;
    },
  };
};

const DATA = Buffer.from('data: ');
const EVENT_END = Buffer.from('\n\n');
