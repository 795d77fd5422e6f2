/**
 * Records of what ran through: searched, one in full, and exported.
 *
 * Invariant: what a downstream chose is data: a cell that a spreadsheet would take for a formula is made a text. An export is as long as
 * its reader is there, and no longer than recordsExportMax.
 * Limits: adminPageMax, recordsExportMax.
 */
import { Readable } from 'node:stream';
import { z } from 'zod';
import { canonicalAddress } from '../../base/ip.ts';
import { LIMITS } from '../../base/limits.ts';
import type { RecordsSearch } from '../../observe/records-search.ts';
import type { FoundRecord } from '../../store/record-row.ts';
import type { RecordsQuery } from '../../store/records-search.ts';
import { csvFrom } from './csv.ts';
import { type AdminRoute, route } from './route.ts';

export interface RecordRoutesNeeds {
  readonly recordsSearch: RecordsSearch;
}

const text = (description: string) => z.string().min(1).max(200).optional().meta({ description });
const instant = (description: string) => z.iso.datetime({ offset: true }).optional().meta({ description });

const filterShape = {
  host: text('The host that was asked for.'),
  status: z
    .string()
    .regex(/^(?:0|[1-5](?:\d\d|xx))$/, 'must be a status like 404, a class like 4xx, or 0 for streams')
    .optional()
    .meta({ description: 'A status like 404, or a class like 4xx; 0 is that of streams.' }),
  reason: text('How it ended: `complete`, `reset`, or a code of docs/errors.md.'),
  decision: z.enum(['allowed', 'denied']).optional(),
  address: text('Of the downstream.'),
  tunnel: text('Id or name of the tunnel.'),
  q: text('Somewhere in host, path, user agent, tunnel, address, server name or error id.'),
  from: instant('Only what ended then or later.'),
  until: instant('Only what ended before then.'),
  before: z.coerce.number().int().positive().optional().meta({
    description: 'Only what is older than this record: the `next` of the page before.',
  }),
};
type Filter = z.output<z.ZodObject<typeof filterShape>>;

const recordsQuery = z.strictObject({
  ...filterShape,
  limit: z.coerce.number().int().min(1).max(LIMITS.adminPageMax).default(LIMITS.adminPageDefault),
});
const exportQuery = z.strictObject({ ...filterShape, format: z.enum(['jsonl', 'csv']) });

const queryFrom = (filter: Filter, limit: number): RecordsQuery => {
  const { host, status, address, q, from, until, before, reason, decision, tunnel } = filter;
  const isClass = status?.endsWith('xx');
  return {
    host: host?.toLowerCase(),
    ...(status !== undefined && (isClass ? { statusClass: Number(status[0]) } : { status: Number(status) })),
    address: address && canonicalAddress(address),
    text: q,
    fromMs: from === undefined ? undefined : Date.parse(from),
    untilMs: until === undefined ? undefined : Date.parse(until),
    beforeId: before,
    reason,
    decision,
    tunnel,
    limit,
  };
};

/** Every column, in this order; those that are not known are left out of JSON and empty in CSV. */
const recordSchema = z.object({
  id: z.int(),
  at: z.iso.datetime().meta({ description: 'When it began.' }),
  kind: z.enum(['exchange', 'stream', 'private-stream']),
  host: z.string().optional(),
  method: z.string().optional(),
  path: z.string().optional().meta({ description: 'Without the query.' }),
  protocol: z.string().optional(),
  status: z.int().meta({ description: '0 for streams.' }),
  reason: z.string(),
  ended_by: z.string(),
  decision: z.string().optional().meta({ description: 'What the policy of the tunnel said.' }),
  code: z.string().optional(),
  error_id: z.string().optional(),
  address: z.string(),
  port: z.int(),
  country: z.string().optional(),
  user_agent: z.string().optional(),
  server_name: z.string().optional(),
  alpn: z.string().optional(),
  tls_version: z.string().optional(),
  cipher: z.string().optional(),
  post_quantum: z.boolean().optional().meta({ description: 'Whether the key exchange was post-quantum.' }),
  offered_groups: z.string().optional().meta({ description: 'Key exchange groups that the client offered.' }),
  ja4: z.string().optional(),
  tunnel_id: z.string().optional(),
  tunnel_name: z.string().optional(),
  agent_id: z.string().optional(),
  credential_id: z.string().optional().meta({ description: 'Of the agent.' }),
  dialer_credential_id: z.string().optional().meta({ description: 'Of who asked, where that was proved.' }),
  stream_id: z.string().optional(),
  duration_ms: z.number(),
  wait_ms: z.number().optional().meta({ description: 'Until a stream to the agent was at hand.' }),
  first_byte_ms: z.number().optional(),
  bytes_up: z.int(),
  bytes_down: z.int(),
});
type RecordShape = z.output<typeof recordSchema>;
const COLUMNS = Object.keys(recordSchema.shape) as (keyof RecordShape)[];

const shapeFrom = (record: FoundRecord): RecordShape => {
  const known = Object.entries(record).filter(([, value]) => value !== null);
  const { post_quantum, ...rest } = Object.fromEntries(known);
  return {
    ...rest,
    at: new Date(record.at).toISOString(),
    ...(post_quantum !== undefined && { post_quantum: post_quantum === 1 }),
  } as RecordShape;
};

const lineFrom = (record: FoundRecord): string => `${JSON.stringify(shapeFrom(record))}\n`;
const rowFrom = (record: FoundRecord): string => {
  const shape = shapeFrom(record);
  return csvFrom(COLUMNS.map((name) => shape[name]));
};

export const recordRoutes = ({ recordsSearch }: RecordRoutesNeeds): readonly AdminRoute[] => [
  route({
    method: 'GET',
    path: '/records',
    operationId: 'listRecords',
    summary: 'What happened to requests and streams, the newest first (needs records.enabled).',
    access: 'viewer',
    query: recordsQuery,
    answers: z.object({
      items: z.array(recordSchema),
      next: z.string().optional().meta({
        description:
          'Send it as `before` to go on. A page may be shorter than the limit, or empty, and have one: a search looks back for two seconds.',
      }),
    }),
    answer: async ({ ctx, query: { limit, ...filter } }) => {
      const { found, beforeId } = await recordsSearch.page(queryFrom(filter, limit), () => !ctx.res.closed);
      return { items: found.map(shapeFrom), ...(beforeId !== undefined && { next: String(beforeId) }) };
    },
  }),
  route({
    method: 'GET',
    path: '/records/export',
    operationId: 'exportRecords',
    summary: `The same as a file, one record a line; the newest ${LIMITS.recordsExportMax.toLocaleString('en')} that fit.`,
    access: 'viewer',
    action: 'records.export',
    query: exportQuery,
    answers: z.string(),
    mediaType: 'application/octet-stream',
    answer: ({ ctx, query: { format, ...filter } }) => {
      const strides = recordsSearch.strides(queryFrom(filter, LIMITS.recordsExportMax));
      const isCsv = format === 'csv';
      ctx.set({
        'content-type': isCsv
          ? 'text/csv; charset=utf-8; header=present'
          : 'application/jsonl; charset=utf-8',
        'content-disposition': `attachment; filename="records.${format}"`,
      });
      return Readable.from(
        isCsv ? textFrom(strides, rowFrom, csvFrom(COLUMNS)) : textFrom(strides, lineFrom),
      );
    },
  }),
  route({
    method: 'GET',
    path: '/records/:id',
    operationId: 'getRecord',
    summary: 'One record.',
    access: 'viewer',
    answers: recordSchema,
    answer: ({ id }) => shapeFrom(recordsSearch.find(Number(id) || 0)),
  }),
];

async function* textFrom(
  strides: AsyncIterable<readonly FoundRecord[]>,
  lineOf: (record: FoundRecord) => string,
  head = '',
): AsyncGenerator<string> {
  if (head) yield head;
  for await (const records of strides) if (records.length > 0) yield records.map(lineOf).join('');
}
