/**
 * The JSON shapes of inspected tunnels and captured exchanges.
 *
 * Invariant: what was redacted shows as the mark that stands for it; bodies are in no shape, they are downloaded.
 */

import { z } from 'zod';
import { isoFrom } from '../../base/instant.ts';
import { LIMITS } from '../../base/limits.ts';
import type { CapturedBody } from '../../observe/captured-body.ts';
import type { CapturedExchange } from '../../observe/captured-exchange.ts';
import type { InspectionState } from '../../observe/inspector.ts';

const MINUTE_MS = 60_000;
const instant = z.iso.datetime();
const ms = z.number().meta({ description: 'Milliseconds from the start.' });

export const inspectionOrderSchema = z.strictObject({
  minutes: z
    .int()
    .min(1)
    .max(LIMITS.inspectionMsMax / MINUTE_MS)
    .default(LIMITS.inspectionMsDefault / MINUTE_MS),
});

export const msFromOrder = ({ minutes }: z.output<typeof inspectionOrderSchema>): number =>
  minutes * MINUTE_MS;

export const inspectionSchema = z.object({
  state: z.enum(['unavailable', 'off', 'capturing', 'ended']).meta({
    description:
      'Unavailable: the configuration has no inspector. Ended: nothing more is captured, what was can be read for an hour.',
  }),
  started_at: instant.optional(),
  ends_at: instant.optional(),
  count: z.int().meta({ description: 'Exchanges that can be read.' }),
  dropped_count: z.int().meta({ description: 'Exchanges that have made room for newer ones.' }),
  bytes: z.int().meta({ description: 'Memory that they take.' }),
  exchanges_max: z.int(),
  body_bytes_max: z.int(),
});

export interface InspectionBounds {
  readonly exchangesMax: number;
  readonly bodyBytesMax: number;
}

export const inspectionFrom = (
  state: InspectionState | undefined,
  isAvailable: boolean,
  { exchangesMax, bodyBytesMax }: InspectionBounds,
) => ({
  state: state?.kind ?? (isAvailable ? ('off' as const) : ('unavailable' as const)),
  started_at: state && isoFrom(state.startedAt),
  ends_at: state && isoFrom(state.endsAt),
  count: state?.count ?? 0,
  dropped_count: state?.droppedCount ?? 0,
  bytes: state?.bytes ?? 0,
  exchanges_max: exchangesMax,
  body_bytes_max: bodyBytesMax,
});

const headersSchema = z
  .array(z.tuple([z.string(), z.string()]))
  .meta({ description: 'Names and values as they came; ••• stands for what was redacted.' });

const bodySchema = z.object({
  bytes: z.int().meta({ description: 'All that passed.' }),
  kept_bytes: z.int().meta({ description: 'The first of them, which can be downloaded.' }),
  is_whole: z.boolean().meta({ description: 'Whether its end was seen.' }),
  is_truncated: z.boolean().meta({ description: 'Whether more passed than was kept.' }),
  trailers: headersSchema,
});

export const exchangeSummarySchema = z.object({
  id: z.string(),
  number: z.int().meta({ description: 'The higher, the later.' }),
  started_at: instant,
  address: z.string(),
  method: z.string(),
  target: z.string(),
  authority: z.string(),
  protocol: z.string(),
  status: z.int().optional(),
  end: z.enum(['open', 'complete', 'failed', 'abandoned', 'switched', 'unwatched']).meta({
    description: 'Open: it runs. Unwatched: the inspection ended before it did.',
  }),
  code: z.string().optional().meta({ description: 'Why it failed.' }),
  replay_of: z.string().optional().meta({ description: 'The exchange that it sends once more.' }),
  wait_ms: ms,
  first_byte_ms: ms.optional(),
  duration_ms: ms.optional(),
  request_bytes: z.int(),
  response_bytes: z.int(),
});

export const exchangeSchema = exchangeSummarySchema.extend({
  request_headers: headersSchema,
  request_body: bodySchema,
  reason: z.string().optional(),
  response_headers: headersSchema.optional(),
  response_body: bodySchema,
});

const tenths = (value: number): number => Math.round(value * 10) / 10;
const tenthsOr = (value: number | undefined): number | undefined =>
  value === undefined ? undefined : tenths(value);

export const summaryFrom = (exchange: CapturedExchange) => ({
  id: exchange.id,
  number: exchange.number,
  started_at: isoFrom(exchange.startedAt),
  address: exchange.address,
  method: exchange.request.method,
  target: exchange.request.target,
  authority: exchange.request.authority,
  protocol: exchange.request.protocol,
  status: exchange.response?.status,
  end: exchange.end,
  code: exchange.code,
  replay_of: exchange.replayOf,
  wait_ms: tenths(exchange.waitMs),
  first_byte_ms: tenthsOr(exchange.firstByteMs),
  duration_ms: tenthsOr(exchange.durationMs),
  request_bytes: exchange.requestBody.bytes,
  response_bytes: exchange.responseBody.bytes,
});

export const exchangeFrom = (exchange: CapturedExchange) => ({
  ...summaryFrom(exchange),
  request_headers: pairsFrom(exchange.request.headers),
  request_body: bodyFrom(exchange.requestBody),
  reason: exchange.response?.reason,
  response_headers: exchange.response && pairsFrom(exchange.response.headers),
  response_body: bodyFrom(exchange.responseBody),
});

const bodyFrom = ({ bytes, content, isWhole, trailers }: CapturedBody) => ({
  bytes,
  kept_bytes: content.length,
  is_whole: isWhole,
  is_truncated: content.length < bytes,
  trailers: pairsFrom(trailers),
});

const pairsFrom = (headers: readonly string[]): [string, string][] => {
  const pairs: [string, string][] = [];
  for (let i = 0; i < headers.length; i += 2) pairs.push([headers[i] as string, headers[i + 1] as string]);
  return pairs;
};

// As RFC 9110 5.5 has values, without white space around them.
const headerValue = z
  .string()
  .regex(/^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/);

export const replayOrderSchema = z.strictObject({
  headers: z.record(z.string(), headerValue).default({}).meta({
    description: 'Values for headers that were redacted, by name; what is not named is left out.',
  }),
  query: z.record(z.string(), z.string()).default({}).meta({
    description: 'The same for parameters, by the name that the address has.',
  }),
});

export const replaySchema = z.object({
  exchange_id: z.string().meta({ description: 'Under which the replay is captured itself.' }),
  outcome: z.enum(['answered', 'refused', 'waiting']).meta({
    description: 'Waiting: there was no answer within 20 seconds, and it is waited for still.',
  }),
  status: z.int().optional(),
  code: z.string().optional(),
});
