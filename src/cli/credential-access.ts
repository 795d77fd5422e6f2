/**
 * What the commands about credentials share: the database that the configuration names, the audit log, records and tables for people.
 *
 * Flow: each command opens the store beside a running engine or without one, does one thing and closes it.
 * Invariant: everything that a command does to a credential, or fails to do, is in the audit log.
 */

import { userInfo } from 'node:os';
import { fail } from '../base/errors.ts';
import { isoFrom } from '../base/instant.ts';
import { PERMISSIONS } from '../base/principal.ts';
import { type Clock, createClock } from '../base/time.ts';
import { configPathFrom, type LoadedConfig, loadConfig } from '../config/load.ts';
import { createAuditLog } from '../store/audit.ts';
import {
  type CredentialEvent,
  type CredentialRecord,
  type Credentials,
  createCredentials,
} from '../store/credentials.ts';
import { type DatabaseOptions, openDatabase } from '../store/database.ts';
import type { CliContext } from './context.ts';

/** Flags that every command about credentials has. */
export interface AccessFlags {
  readonly config?: string;
  readonly json?: boolean;
}

export const CONFIG_FLAG = ['-c, --config <path>', 'configuration of the engine'] as const;

export const PERMISSION_FLAG = [
  '--permission <permission>',
  `repeatable; all if none is given: ${Object.values(PERMISSIONS).join(', ')}`,
  (permission: string, earlier: string[] = []): string[] => [...earlier, permission],
] as const;

const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const DAY_MS = UNIT_MS.d;

/** What a command works with. */
export interface Access {
  readonly credentials: Credentials;
  readonly clock: Clock;
  readonly nowMs: number;
  readonly loaded: LoadedConfig;
}

/** The configuration of a command; its warnings are told. */
export const configOf = (flags: AccessFlags, { env, tell }: CliContext): LoadedConfig => {
  const loaded = loadConfig({ path: configPathFrom({ flag: flags.config, env }), env });
  for (const warning of loaded.warnings) tell(warning);
  return loaded;
};

/** The audit log of a configuration; a fault of it is told and stops nothing. */
export const auditLogOf = ({ config: { audit } }: LoadedConfig, clock: Clock, { tell }: CliContext) =>
  createAuditLog(
    { clock, onFault: (error) => tell(`Not in the audit log: ${error.message}`) },
    { path: audit.path, sizeBytesMax: audit.size_bytes, ageMsMax: audit.keep_days * DAY_MS },
  );

/** Opens the store, works and closes it. */
export const withCredentials = async (
  flags: AccessFlags,
  mode: DatabaseOptions['mode'],
  context: CliContext,
  work: (access: Access) => void | Promise<void>,
): Promise<void> => {
  const loaded = configOf(flags, context);
  const { store, engine, auth } = loaded.config;
  const clock = createClock();
  const database = openDatabase({ path: store.path, mode });
  const audit = auditLogOf(loaded, clock, context);
  const onEvent = (event: CredentialEvent) => audit.record({ ...event, actor: actor(), origin: 'local' });
  try {
    const credentials = createCredentials({
      database,
      clock,
      engineHost: engine.host,
      onEvent,
      ...(auth.jwt.token_jwt_secret && { jwtSecret: auth.jwt.token_jwt_secret }),
      ...(store.signing_key && { signingKey: store.signing_key }),
    });
    await work({ credentials, clock, nowMs: clock.now(), loaded });
  } finally {
    database.close();
    audit.close();
  }
};

/** Who works at the command line, as the audit log names them. */
export const actor = (): string => {
  try {
    return `cli:${userInfo().username}`;
  } catch {
    // A user without an entry, as containers have them.
    return 'cli';
  }
};

/** Milliseconds of a duration like 30s, 45m, 12h or 30d. Throws USAGE. */
export const durationFrom = (flag: string, text: string): number => {
  const [, amount, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  if (!amount || !unit) throw fail('USAGE', { problem: `${flag} must be like 30s, 45m, 12h or 30d` });
  return Number(amount) * UNIT_MS[unit as keyof typeof UNIT_MS];
};

/** A duration from now, or the first instant of a day in UTC; milliseconds since 1970. Throws USAGE. */
export const instantFrom = (text: string, nowMs: number): number => {
  if (/^\d{1,6}[mhd]$/.test(text)) return nowMs + durationFrom('--expires', text);
  const midnight = /^\d{4}-\d{2}-\d{2}$/.test(text) ? new Date(`${text}T00:00:00Z`) : undefined;
  // A day that does not exist is no date, or silently another one.
  if (midnight && !Number.isNaN(midnight.getTime()) && midnight.toISOString().startsWith(text))
    return midnight.getTime();
  throw fail('USAGE', { problem: '--expires must be like 30d, 12h, 45m or 2027-01-01' });
};

/** The order that the flags of a new credential make. */
export const orderFrom = (
  flags: { readonly name: string; readonly permission?: string[]; readonly expires?: string },
  nowMs: number,
) => ({
  name: flags.name,
  permissions: flags.permission ?? null,
  ...(flags.expires !== undefined && { expiresAt: instantFrom(flags.expires, nowMs) }),
});

/** The order that the flags of a rotation make. */
export const rotationFrom = (
  flags: { readonly grace?: string; readonly expires?: string },
  nowMs: number,
) => ({
  graceMs: flags.grace === undefined ? 0 : durationFrom('--grace', flags.grace),
  ...(flags.expires !== undefined && { expiresAt: instantFrom(flags.expires, nowMs) }),
});

/** The record in the style of the Engine API: snake case, ISO dates, absent keys left out. */
export const shapeFrom = (record: CredentialRecord, nowMs: number) => ({
  id: record.id,
  name: record.name,
  state: stateOf(record, nowMs),
  permissions: record.permissions,
  created_at: isoFrom(record.createdAt),
  ...(record.expiresAt !== undefined && { expires_at: isoFrom(record.expiresAt) }),
  ...(record.revokedAt !== undefined && { revoked_at: isoFrom(record.revokedAt) }),
});

const stateOf = ({ revokedAt, expiresAt }: CredentialRecord, nowMs: number) => {
  if (revokedAt !== undefined) return 'revoked';
  return expiresAt !== undefined && expiresAt <= nowMs ? 'expired' : 'live';
};

/** The record in a sentence. */
export const describe = ({ id, name, permissions, expiresAt }: CredentialRecord): string => {
  const allowed = permissions === null ? 'all permissions' : permissions.join(', ');
  const end = expiresAt === undefined ? 'no expiry' : `expires ${isoFrom(expiresAt)}`;
  return `"${name}" (${id}; ${allowed}; ${end})`;
};

/** Prints records as a table or JSON; says `whenNone` when there is none. */
export const printRecords = (
  records: readonly CredentialRecord[],
  whenNone: string,
  { json }: AccessFlags,
  nowMs: number,
  { print, tell }: CliContext,
): void => {
  const shapes = records.map((record) => shapeFrom(record, nowMs));
  if (json) return print(JSON.stringify(shapes, null, 2));
  if (shapes.length === 0) return tell(whenNone);
  const rows = shapes.map(({ id, name, state, permissions, created_at, expires_at }) => [
    ...[id, name, state, created_at, expires_at ?? 'never'],
    permissions?.join(' ') ?? 'all',
  ]);
  printTable(['ID', 'NAME', 'STATE', 'CREATED', 'EXPIRES', 'PERMISSIONS'], rows, print);
};

export const printTable = (
  head: readonly string[],
  rows: readonly (readonly string[])[],
  print: (line: string) => void,
): void => {
  const widths = head.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at]!.length)));
  for (const row of [head, ...rows])
    print(
      row
        .map((cell, at) => cell.padEnd(widths[at]!))
        .join('  ')
        .trimEnd(),
    );
};
