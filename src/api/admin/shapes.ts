/**
 * The JSON shapes of the Admin API, as schemas, and what fills them.
 *
 * Invariant: snake case, times in ISO 8601 and UTC, keys that are not set are left out; no shape here has a place for a secret.
 */

import { z } from 'zod';
import { isoFrom } from '../../base/instant.ts';
import { ADMIN_ROLES, type Admin, type AdminSessionRow, type Login } from '../../store/admins.ts';
import type { AuditEntry } from '../../store/audit.ts';
import type { CredentialRecord } from '../../store/credentials.ts';
import { tunnelSchema } from '../dto.ts';
import { truthSchema } from './truth.ts';

const instant = z.iso.datetime();
const isoOr = (ms: number | undefined): string | undefined => (ms === undefined ? undefined : isoFrom(ms));

export const roleSchema = z.enum(ADMIN_ROLES);

export const adminSchema = z.object({
  id: z.string(),
  name: z.string(),
  role: roleSchema,
  has_password: z.boolean().meta({ description: 'False until the first login by a link.' }),
  has_totp: z.boolean(),
  etag: z.string(),
  created_at: instant,
  last_login_at: instant.optional(),
});

export const adminFromStore = (admin: Admin) => ({
  id: admin.id,
  name: admin.name,
  role: admin.role,
  has_password: admin.hasPassword,
  has_totp: admin.hasTotp,
  etag: String(admin.version),
  created_at: isoFrom(admin.createdAt),
  last_login_at: isoOr(admin.lastLoginAt),
});

export const meSchema = z.object({ admin: adminSchema, session_id: z.string() });

export const meFrom = ({ admin, session }: Login) => ({
  admin: adminFromStore(admin),
  session_id: session.id,
});

export const sessionSchema = z.object({
  id: z.string(),
  admin_id: z.string(),
  admin_name: z.string(),
  address: z.string(),
  agent: z.string(),
  created_at: instant,
  seen_at: instant,
  is_own: z.boolean(),
});

export const sessionFrom = (session: AdminSessionRow, adminName: string, ownId: string | undefined) => ({
  id: session.id,
  admin_id: session.adminId,
  admin_name: adminName,
  address: session.address,
  agent: session.agent,
  created_at: isoFrom(session.createdAt),
  seen_at: isoFrom(session.seenAt),
  is_own: session.id === ownId,
});

export const credentialSchema = z.object({
  id: z.string(),
  name: z.string(),
  state: z.enum(['live', 'expired', 'revoked']),
  permissions: z.array(z.string()).nullable().meta({ description: 'Null: all that agents may do.' }),
  created_at: instant,
  expires_at: instant.optional(),
  revoked_at: instant.optional(),
  agent_count: z.int().meta({ description: 'Agents that are connected by it.' }),
  tunnel_count: z.int().meta({ description: 'Tunnels that these have open.' }),
  stream_count: z.int().meta({ description: 'Open connections that end with it, waiting ones included.' }),
  etag: z.string(),
});
export type CredentialShape = z.output<typeof credentialSchema>;

const stateOf = ({ revokedAt, expiresAt }: CredentialRecord, nowMs: number) => {
  if (revokedAt !== undefined) return 'revoked' as const;
  return expiresAt !== undefined && expiresAt <= nowMs ? ('expired' as const) : ('live' as const);
};

export const credentialFrom = (
  record: CredentialRecord,
  nowMs: number,
  more: Pick<CredentialShape, 'agent_count' | 'tunnel_count' | 'stream_count' | 'etag'>,
) => ({
  id: record.id,
  name: record.name,
  state: stateOf(record, nowMs),
  permissions: record.permissions === null ? null : [...record.permissions],
  created_at: isoFrom(record.createdAt),
  expires_at: isoOr(record.expiresAt),
  revoked_at: isoOr(record.revokedAt),
  ...more,
});

export const auditEntrySchema = z.object({
  number: z.int(),
  at: instant,
  actor: z.string(),
  action: z.string(),
  object: z.string(),
  name: z.string().optional(),
  origin: z.string(),
  result: z.string(),
  hash: z.string(),
});

export const auditEntryFrom = ({ at, ...entry }: AuditEntry) => ({ at: isoFrom(at), ...entry });

export const agentSchema = z.object({
  id: z.string(),
  credential_id: z.string(),
  credential_name: z.string().optional(),
  user_id: z.string().optional(),
  agent: z.string().optional(),
  version: z.string().optional(),
  os: z.string().optional(),
  arch: z.string().optional(),
  protocol_version: z.string().optional(),
  address: z.string(),
  connected_at: instant,
});

export const listedAgentSchema = agentSchema.extend({ tunnel_count: z.int() });

export const liveTunnelSchema = tunnelSchema.extend({
  agent: z.string().optional().meta({ description: 'What the agent calls itself.' }),
  address: z.string().optional().meta({ description: 'Where the agent connects from.' }),
  credential_id: z.string(),
  truth: truthSchema.optional(),
});

export const expirySchema = z.object({ kind: z.string(), name: z.string(), expires_at: instant });

export const overviewSchema = z.object({
  status: z.enum(['ready', 'draining']),
  version: z.string(),
  engine: z.string().meta({ description: 'Where agents connect, as host:port.' }),
  started_at: instant,
  now: instant,
  counts: z.object({
    agents: z.int(),
    tunnels: z.int(),
    downstreams: z.int(),
    connections: z.int(),
    tokens: z.int(),
    applications: z.int(),
    certificates: z.int(),
  }),
  expiries: z.array(expirySchema).meta({ description: 'Within thirty days or past, the nearest first.' }),
});
