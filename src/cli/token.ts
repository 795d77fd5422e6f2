/**
 * `token create|rotate|list|revoke`: tokens on the command line, beside a running engine or without one.
 *
 * Invariant: a token goes to standard output once, when it is made, and nowhere else.
 */

import { type Command, Option } from 'commander';
import { fail } from '../base/errors.ts';
import { isoFrom } from '../base/instant.ts';
import type { CliContext } from './context.ts';
import {
  type Access,
  type AccessFlags,
  CONFIG_FLAG,
  describe,
  durationFrom,
  orderFrom,
  PERMISSION_FLAG,
  rotationFrom,
  shapeFrom,
  withCredentials,
} from './credential-access.ts';
import {
  addCommonCommands,
  graceFlag,
  type KindOfCredential,
  NEW_EXPIRY_FLAG,
} from './credential-commands.ts';

interface CreateFlags extends AccessFlags {
  readonly kind: 'pat' | 'auth';
  readonly name?: string;
  readonly source?: string;
  readonly permission?: string[];
  readonly listOnly?: boolean;
  readonly expires?: string;
  readonly quiet?: boolean;
}

interface RotateFlags extends AccessFlags {
  readonly grace?: string;
  readonly expires?: string;
  readonly quiet?: boolean;
}

const quietFlag = (): Option => new Option('--quiet', 'print the token and nothing else').conflicts('json');

/** What an auth token carries so that it may list and watch, and do nothing else (protocol.md 9.2). */
const LIST_ONLY = { tunnels: { scopes: { tunnels: { list: true } } } };
const AUTH_LIFE = '60s';

const TOKEN: KindOfCredential = { kind: 'pat', one: 'a token', many: 'tokens', maker: 'token create' };

/** Adds the `token` commands. */
export const registerToken = (program: Command, context: CliContext): void => {
  const command = program.command('token').description('make, rotate, list and revoke tokens');

  command
    .command('create')
    .description('make a token and print it, this once')
    .addOption(
      new Option('--kind <kind>', 'pat: kept until it is revoked; auth: for an hour at most, kept nowhere')
        .choices(['pat', 'auth'])
        .default('pat'),
    )
    .option('--name <name>', 'what it is for; unique among live tokens (pat)')
    .option('--source <id-or-name>', 'the credential on whose behalf it acts, and with which it ends (auth)')
    .option('--list-only', 'limit it to listing and watching, as browsers need it (auth)')
    .option(...PERMISSION_FLAG)
    .option(
      '--expires <when>',
      `30d, 12h, 45m or a date like 2027-01-01 (UTC); never if not given (auth: ${AUTH_LIFE}, 1h at most)`,
    )
    .addOption(quietFlag())
    .option('--json', 'print the token and its record as JSON')
    .option(...CONFIG_FLAG)
    .action((flags: CreateFlags) => (flags.kind === 'auth' ? mintToken : createToken)(flags, context));

  command
    .command('rotate')
    .description('replace a token: same record, name and permissions, new token')
    .argument('<id-or-name>')
    .option(...graceFlag('token'))
    .option(...NEW_EXPIRY_FLAG)
    .addOption(quietFlag())
    .option('--json', 'print the token and its record as JSON')
    .option(...CONFIG_FLAG)
    .action((idOrName: string, flags: RotateFlags) => rotateToken(idOrName, flags, context));

  addCommonCommands(command, TOKEN, context);
};

const createToken = (flags: CreateFlags, context: CliContext): Promise<void> => {
  const { name } = flags;
  if (name === undefined) throw fail('USAGE', { problem: '--name is required: what the token is for' });
  if (flags.source !== undefined || flags.listOnly)
    throw fail('USAGE', { problem: '--source and --list-only are for --kind auth' });
  return withCredentials(flags, 'create', context, async (access) => {
    const made = await access.credentials.createToken(orderFrom({ ...flags, name }, access.nowMs));
    printToken('Created', made, flags, access, context);
  });
};

const mintToken = (flags: CreateFlags, context: CliContext): Promise<void> => {
  const { source, expires = AUTH_LIFE } = flags;
  if (source === undefined)
    throw fail('USAGE', { problem: '--source is required: the credential that the auth token acts for' });
  if (flags.name !== undefined)
    throw fail('USAGE', { problem: 'An auth token is kept nowhere and has no --name' });
  const expiresInSeconds = durationFrom('--expires', expires) / 1_000;
  return withCredentials(flags, 'open', context, async ({ credentials }) => {
    const { token, expiresAt } = await credentials.mintAuthToken({
      source: credentials.principalOf(source),
      permissions: flags.permission ?? null,
      ...(flags.listOnly && { resources: LIST_ONLY }),
      expiresInSeconds,
    });
    if (flags.json) return context.print(JSON.stringify({ expires_at: isoFrom(expiresAt), token }, null, 2));
    if (!flags.quiet) context.tell(`Made an auth token for "${source}" until ${isoFrom(expiresAt)}:`);
    context.print(token);
  });
};

const rotateToken = (idOrName: string, flags: RotateFlags, context: CliContext): Promise<void> =>
  withCredentials(flags, 'open', context, async (access) => {
    const order = rotationFrom(flags, access.nowMs);
    printToken('Rotated', await access.credentials.rotateToken(idOrName, order), flags, access, context);
  });

const printToken = (
  done: string,
  { record, token }: Awaited<ReturnType<Access['credentials']['createToken']>>,
  { json, quiet }: { readonly json?: boolean; readonly quiet?: boolean },
  { nowMs }: Access,
  { print, tell }: CliContext,
): void => {
  if (json) return print(JSON.stringify({ ...shapeFrom(record, nowMs), token }, null, 2));
  // The token is the result, what is said about it is not: a pipe gets the token in any case.
  if (!quiet) tell(`${done} ${describe(record)}. The token is shown only now:`);
  print(token);
};
