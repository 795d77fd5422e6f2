/**
 * The history of the overview: rates and levels over the last hour or day, refusals by reason, and what the cryptography of the last day was.
 */
import { z } from 'zod';
import { ERRORS } from '../../base/errors.ts';
import type { CountName, History, HistoryStep, LevelName } from '../../observe/history.ts';
import { type AdminRoute, route } from './route.ts';

export interface HistoryRoutesNeeds {
  readonly history: History;
  recordCounts(): { readonly keptCount: number; readonly lostCount: number } | undefined;
}

const series = z.array(z.number());
const count = z.number();

const historySchema = z.object({
  at: z.array(z.iso.datetime()).meta({ description: 'The end of each step; all series are as long.' }),
  requests: series.meta({ description: 'A second.' }),
  raw_streams: series.meta({ description: 'That ended, a second.' }),
  bytes_up: series.meta({
    description: 'To upstreams, a second; counted when their request or stream is over.',
  }),
  bytes_down: series.meta({ description: 'To downstreams, a second.' }),
  refused: series.meta({ description: 'A second, of all reasons.' }),
  open_streams: series,
  memory_bytes: series,
  loop_busy: series.meta({
    description: 'Share of time, from 0 to 1, in which the engine had something to do.',
  }),
  refusals: z
    .array(z.object({ code: z.string(), message: z.string(), count }))
    .meta({ description: 'In the range, the most frequent first; codes are those of docs/errors.md.' }),
  passport: z
    .object({
      tls: z.object({ tls13: count, tls12: count }),
      key_exchange: z.object({ post_quantum_offered: count, not_offered: count }),
      proof: z.object({ none: count, token: count, certificate: count }),
    })
    .meta({
      description:
        'Of the last day: handshakes by version and by key exchange offered, requests and streams by proof.',
    }),
  records: z
    .object({ kept: z.int(), lost: z.int() })
    .optional()
    .meta({ description: 'Since the start; absent where none are kept.' }),
});

const historyQuery = z.strictObject({ range: z.enum(['hour', 'day']).default('hour') });

export const historyRoutes = ({ history, recordCounts }: HistoryRoutesNeeds): readonly AdminRoute[] => [
  route({
    method: 'GET',
    path: '/history',
    operationId: 'getHistory',
    summary:
      'What ran through since the start: the last hour in steps of 10 seconds, or the last day in steps of 5 minutes.',
    access: 'viewer',
    query: historyQuery,
    answers: historySchema,
    answer: ({ query: { range } }) => {
      const records = recordCounts();
      return {
        ...seriesFrom(history.steps(range)),
        refusals: history
          .refusals(range)
          .map(({ code, count }) => ({ code, message: ERRORS[code].message, count })),
        passport: passportFrom(history.steps('day')),
        ...(records && { records: { kept: records.keptCount, lost: records.lostCount } }),
      };
    },
  }),
];

const seriesFrom = (steps: readonly HistoryStep[]) => {
  const rate = (name: CountName) => steps.map((step) => rounded(step.of(name) / step.seconds));
  const level = (name: LevelName) => steps.map((step) => rounded(step.of(name)));
  return {
    at: steps.map(({ endedAt }) => new Date(endedAt).toISOString()),
    requests: rate('requests'),
    raw_streams: rate('raw_streams'),
    bytes_up: rate('bytes_up'),
    bytes_down: rate('bytes_down'),
    refused: steps.map(({ refusedCount, seconds }) => rounded(refusedCount / seconds)),
    open_streams: level('open_streams'),
    memory_bytes: level('memory_bytes'),
    loop_busy: level('loop_busy'),
  };
};

// Three places are a hundred times what a chart can show.
const rounded = (value: number): number => Math.round(value * 1_000) / 1_000;

const passportFrom = (day: readonly HistoryStep[]) => {
  const sum = (name: CountName) => day.reduce((total, step) => total + step.of(name), 0);
  const [tls12, tls13, offered] = [sum('tls12'), sum('tls13'), sum('post_quantum')];
  return {
    tls: { tls13, tls12 },
    key_exchange: { post_quantum_offered: offered, not_offered: tls12 + tls13 - offered },
    proof: { none: sum('proof_none'), token: sum('proof_token'), certificate: sum('proof_certificate') },
  };
};
