/**
 * The operator's rules: what is in force, what a draft would do, and saving one.
 *
 * Invariant: a draft changes nothing until it is saved; who saves names the version of the file that the draft was made from.
 * Limits: adminBodyBytesMax; what a report lists is bounded by whoever makes it.
 */
import { z } from 'zod';
import type { EngineError } from '../../base/errors.ts';
import type { Tunnel } from '../../tunnel/tunnel.ts';
import { type AdminRoute, route } from './route.ts';

type Draft = Readonly<Record<string, unknown>>;

/** Records of one source at one tunnel. */
interface Group {
  readonly tunnelId: string;
  readonly tunnelName: string | undefined;
  readonly host: string | undefined;
  readonly address: string;
  readonly country: string | undefined;
  readonly code?: string;
  readonly isOpen: boolean;
  readonly count: number;
  readonly firstAt: number;
  readonly lastAt: number;
}

interface Side {
  readonly groups: readonly Group[];
  readonly count: number;
  readonly otherCount: number;
}

interface PolicyChange {
  readonly key: string;
  readonly change: string;
}

/** Provided by the lobby, which alone knows the configuration. */
export interface PolicyRoutesNeeds {
  readonly policyDesk: {
    view(): {
      readonly policy: Draft;
      readonly hasGeoipDatabase: boolean;
      readonly hasRecords: boolean;
      readonly overridden: readonly string[];
      readonly file: string | undefined;
      readonly hash: string;
      readonly unloaded: readonly string[];
      readonly writeProblem: string | undefined;
    };
    dryRun(
      draft: Draft,
      isWanted: () => boolean,
    ): Promise<{
      readonly changes: readonly PolicyChange[];
      readonly pending: readonly string[];
      readonly records:
        | {
            readonly lookedAt: number;
            readonly since: number | undefined;
            readonly isCut: boolean;
            readonly cutOff: Side;
            readonly admitted: Side;
          }
        | undefined;
      readonly tunnels: readonly { readonly tunnel: Tunnel; readonly problem: string }[];
      readonly connections: {
        readonly items: readonly {
          readonly tunnel: Tunnel;
          readonly connection: { readonly remoteAddress: string };
          readonly error: EngineError;
        }[];
        readonly count: number;
      };
      readonly yaml: string;
    }>;
    save(
      draft: Draft,
      hash: string,
    ): { readonly changes: readonly PolicyChange[]; readonly pending: readonly string[] };
  };
}

const policySchema = z.strictObject({
  require_authentication: z.boolean(),
  published_protocols: z.array(z.string().max(20)).max(20),
  tls_min_version: z.enum(['tls1.2', 'tls1.3']).nullable(),
  post_quantum: z.enum(['optional', 'require']),
  trusted_ips: z.array(z.string().max(64)).max(1_000),
  geoip: z.array(z.string().max(8)).max(300),
  allow_any: z.boolean(),
});

const viewSchema = z.object({
  policy: policySchema.meta({
    description: 'What is in force; docs/configuration.md explains each setting.',
  }),
  has_geoip_database: z.boolean(),
  has_records: z.boolean(),
  overridden: z.array(z.string()).meta({ description: 'Settings that the environment of the engine sets.' }),
  file: z.string().optional(),
  unloaded: z.array(z.string()).meta({
    description: 'Settings of the file that are not in force; saving loads those that need no restart.',
  }),
  write_problem: z.string().optional().meta({ description: 'Why nothing can be saved from here.' }),
  etag: z.string().meta({ description: 'The version of the file, for If-Match.' }),
});

const groupSchema = z.object({
  tunnel_id: z.string(),
  tunnel_name: z.string().optional(),
  host: z.string().optional(),
  address: z.string(),
  country: z.string().optional(),
  code: z.string().optional(),
  is_open: z.boolean().meta({
    description: 'Whether the tunnel is open; of one that is not, its own rules are not known.',
  }),
  count: z.int(),
  first_at: z.iso.datetime(),
  last_at: z.iso.datetime(),
});
const sideSchema = z.object({
  groups: z
    .array(groupSchema)
    .meta({ description: 'By tunnel and source, those with the most records first.' }),
  count: z.int().meta({ description: 'Records in all.' }),
  other_count: z.int().meta({ description: 'Records of groups that were too many to list.' }),
});
const changesSchema = z.array(z.object({ key: z.string(), change: z.string() }));
const pendingSchema = z
  .array(z.string())
  .meta({ description: 'Settings that come into force with the next start of the engine.' });

const reportSchema = z.object({
  changes: changesSchema,
  pending: pendingSchema,
  records: z
    .object({
      looked_at: z.int(),
      since: z.iso.datetime().optional(),
      is_cut: z
        .boolean()
        .meta({ description: 'Whether the last week has more records than were looked at.' }),
      cut_off: sideSchema,
      admitted: sideSchema,
    })
    .optional()
    .meta({ description: 'The last week under the draft; absent where no records are kept.' }),
  tunnels: z
    .array(
      z.object({
        id: z.string(),
        name: z.string().optional(),
        hostname: z.string().optional(),
        problem: z.string(),
      }),
    )
    .meta({ description: 'Open tunnels that would let nobody in any more.' }),
  connections: z.object({
    items: z.array(
      z.object({
        tunnel_id: z.string(),
        tunnel_name: z.string().optional(),
        address: z.string(),
        code: z.string(),
      }),
    ),
    count: z.int().meta({ description: 'Of what runs now and would be cut, listed or not.' }),
  }),
  yaml: z.string().meta({ description: 'The draft as a section of the configuration file.' }),
});

const iso = (ms: number): string => new Date(ms).toISOString();

const groupFrom = ({ tunnelId, tunnelName, isOpen, firstAt, lastAt, ...rest }: Group) => ({
  tunnel_id: tunnelId,
  tunnel_name: tunnelName,
  is_open: isOpen,
  first_at: iso(firstAt),
  last_at: iso(lastAt),
  ...rest,
});
const sideFrom = ({ groups, count, otherCount }: Side) => ({
  groups: groups.map(groupFrom),
  count,
  other_count: otherCount,
});

type Report = Awaited<ReturnType<PolicyRoutesNeeds['policyDesk']['dryRun']>>;

const reportFrom = ({ changes, pending, records, tunnels, connections, yaml }: Report) => ({
  changes,
  pending,
  yaml,
  ...(records && {
    records: {
      looked_at: records.lookedAt,
      ...(records.since !== undefined && { since: iso(records.since) }),
      is_cut: records.isCut,
      cut_off: sideFrom(records.cutOff),
      admitted: sideFrom(records.admitted),
    },
  }),
  tunnels: tunnels.map(({ tunnel: { id, properties }, problem }) => ({
    id,
    name: properties.name,
    hostname: properties.hostname,
    problem,
  })),
  connections: {
    count: connections.count,
    items: connections.items.map(({ tunnel, connection, error }) => ({
      tunnel_id: tunnel.id,
      tunnel_name: tunnel.properties.name ?? tunnel.properties.hostname,
      address: connection.remoteAddress,
      code: error.code,
    })),
  },
});

/** As the configuration has it: what is not set is absent there. */
const draftFrom = ({ tls_min_version, ...rest }: z.output<typeof policySchema>): Draft => ({
  ...rest,
  ...(tls_min_version && { tls_min_version }),
});

export const policyRoutes = ({ policyDesk }: PolicyRoutesNeeds): readonly AdminRoute[] => [
  route({
    method: 'GET',
    path: '/policy',
    operationId: 'getPolicy',
    summary:
      'The rules for every published tunnel that are in force, and whether they can be changed from here.',
    access: 'viewer',
    answers: viewSchema,
    answer: () => {
      const { policy, hasGeoipDatabase, hasRecords, writeProblem, hash, ...rest } = policyDesk.view();
      return {
        policy: { ...policy, tls_min_version: policy.tls_min_version ?? null },
        has_geoip_database: hasGeoipDatabase,
        has_records: hasRecords,
        write_problem: writeProblem,
        etag: hash,
        ...rest,
      };
    },
  }),
  route({
    method: 'POST',
    path: '/policy/dry-run',
    operationId: 'tryPolicy',
    summary:
      'What a draft would do to the records of the last week, the open tunnels and what runs now. Changes nothing.',
    access: 'viewer',
    body: policySchema,
    answers: reportSchema,
    answer: async ({ ctx, body }) =>
      reportFrom(await policyDesk.dryRun(draftFrom(body), () => !ctx.res.closed)),
  }),
  route({
    method: 'POST',
    path: '/policy',
    operationId: 'savePolicy',
    summary: 'Write a draft into the configuration file and put it into force, as SIGHUP does.',
    access: 'admin',
    action: 'policy.save',
    isVersioned: true,
    body: policySchema,
    answers: z.object({ changes: changesSchema, pending: pendingSchema }),
    answer: ({ ctx, body }) => policyDesk.save(draftFrom(body), ctx.req.headers['if-match'] ?? ''),
  }),
];
