/**
 * `token create|list|revoke`: credentials on the command line, beside a running engine or without one.
 *
 * Flow: main.ts registers it; each command opens the database that the configuration names, does one thing and closes it.
 * Invariant: a token goes to standard output once, when it is made, and nowhere else.
 */
import { type Command, Option } from 'commander';
import { fail } from '../base/errors.ts';
import { PERMISSIONS } from '../base/principal.ts';
import { createClock } from '../base/time.ts';
import { configPathFrom, loadConfig } from '../config/load.ts';
import { type CredentialRecord, type Credentials, createCredentials } from '../store/credentials.ts';
import { type DatabaseOptions, openDatabase } from '../store/database.ts';
import type { CliContext } from './context.ts';

interface CreateFlags {
  readonly name: string;
  readonly permission?: string[];
  readonly expires?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly config?: string;
}

const CONFIG_FLAG = ['-c, --config <path>', 'configuration of the engine'] as const;
const UNIT_MS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Adds the `token` commands. */
export const registerToken = (program: Command, context: CliContext): void => {
  const command = program.command('token').description('make, list and revoke tokens');

  command
    .command('create')
    .description('make a token and print it, this once')
    .requiredOption('--name <name>', 'what it is for; unique among live tokens')
    .option(
      '--permission <permission>',
      `repeatable; all if none is given: ${Object.values(PERMISSIONS).join(', ')}`,
      (permission: string, earlier: string[] = []) => [...earlier, permission],
    )
    .option('--expires <when>', '30d, 12h, 45m or a date like 2027-01-01 (UTC); never if not given')
    .option('--quiet', 'print the token and nothing else')
    .addOption(new Option('--json', 'print the token and its record as JSON').conflicts('quiet'))
    .option(...CONFIG_FLAG)
    .action((flags: CreateFlags) => createToken(flags, context));

  command
    .command('list')
    .description('list all tokens, also revoked and expired ones')
    .option('--json', 'print JSON')
    .option(...CONFIG_FLAG)
    .action((flags: { json?: boolean; config?: string }) => listTokens(flags, context));

  command
    .command('revoke')
    .description('revoke a token; a running engine sees it at once')
    .argument('<id-or-name>')
    .option(...CONFIG_FLAG)
    .action((idOrName: string, flags: { config?: string }) => revokeToken(idOrName, flags, context));
};

const createToken = (flags: CreateFlags, context: CliContext): Promise<void> =>
  withCredentials(flags.config, 'create', context, async (credentials, nowMs) => {
    const { record, token } = await credentials.createToken({
      name: flags.name,
      permissions: flags.permission ?? null,
      ...(flags.expires !== undefined && { expiresAt: instantFrom(flags.expires, nowMs) }),
    });
    if (flags.json) return context.print(JSON.stringify({ ...shapeFrom(record, nowMs), token }, null, 2));
    // The token is the result, what is said about it is not: a pipe gets the token in any case.
    if (!flags.quiet) context.tell(`Created ${describe(record)}. The token is shown only now:`);
    context.print(token);
  });

const listTokens = (flags: { json?: boolean; config?: string }, context: CliContext): Promise<void> =>
  withCredentials(flags.config, 'open', context, (credentials, nowMs) => {
    const shapes = credentials.listTokens().map((record) => shapeFrom(record, nowMs));
    if (flags.json) return context.print(JSON.stringify(shapes, null, 2));
    if (shapes.length === 0) return context.tell('There are no tokens yet: `token create` makes one.');
    const rows = shapes.map(({ id, name, state, permissions, created_at, expires_at }) => [
      ...[id, name, state, created_at, expires_at ?? 'never'],
      permissions?.join(' ') ?? 'all',
    ]);
    for (const line of tableFrom(['ID', 'NAME', 'STATE', 'CREATED', 'EXPIRES', 'PERMISSIONS'], rows))
      context.print(line);
  });

const revokeToken = (idOrName: string, flags: { config?: string }, context: CliContext): Promise<void> =>
  withCredentials(flags.config, 'open', context, (credentials) => {
    context.tell(`Revoked ${describe(credentials.revokeToken(idOrName))}.`);
  });

const withCredentials = async (
  configFlag: string | undefined,
  mode: DatabaseOptions['mode'],
  { env, tell }: CliContext,
  work: (credentials: Credentials, nowMs: number) => void | Promise<void>,
): Promise<void> => {
  const { config, warnings } = loadConfig({ path: configPathFrom({ flag: configFlag, env }), env });
  for (const warning of warnings) tell(warning);
  const clock = createClock();
  const database = openDatabase({ path: config.store.path, mode });
  try {
    await work(createCredentials({ database, clock, engineHost: config.engine.host }), clock.now());
  } finally {
    database.close();
  }
};

/** A duration from now, or the first instant of a day in UTC; milliseconds since 1970. */
const instantFrom = (text: string, nowMs: number): number => {
  const [, amount, unit] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  if (amount && unit) return nowMs + Number(amount) * UNIT_MS[unit as keyof typeof UNIT_MS];
  const midnight = /^\d{4}-\d{2}-\d{2}$/.test(text) ? new Date(`${text}T00:00:00Z`) : undefined;
  // A day that does not exist is no date, or silently another one.
  if (midnight && !Number.isNaN(midnight.getTime()) && midnight.toISOString().startsWith(text))
    return midnight.getTime();
  throw fail('USAGE', { problem: '--expires must be like 30d, 12h, 45m or 2027-01-01' });
};

/** The record in the style of the Engine API: snake case, ISO dates, absent keys left out. */
const shapeFrom = (record: CredentialRecord, nowMs: number) => ({
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

const isoFrom = (ms: number): string => new Date(ms).toISOString();

const describe = ({ id, name, permissions, expiresAt }: CredentialRecord): string => {
  const allowed = permissions === null ? 'all permissions' : permissions.join(', ');
  const end = expiresAt === undefined ? 'no expiry' : `expires ${isoFrom(expiresAt)}`;
  return `"${name}" (${id}; ${allowed}; ${end})`;
};

const tableFrom = (head: readonly string[], rows: readonly (readonly string[])[]): string[] => {
  const widths = head.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at]!.length)));
  return [head, ...rows].map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at]!))
      .join('  ')
      .trimEnd(),
  );
};
