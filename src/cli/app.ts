/**
 * `app create|rotate|list|show|revoke`: applications, which sign tokens of their own with a client secret.
 *
 * Invariant: a client secret goes to standard output once, when it is made, and nowhere else.
 */
import type { Command } from 'commander';
import type { Secret } from '../base/secret.ts';
import type { CredentialRecord } from '../store/credentials.ts';
import type { CliContext } from './context.ts';
import {
  type AccessFlags,
  CONFIG_FLAG,
  describe,
  orderFrom,
  PERMISSION_FLAG,
  printRecords,
  rotationFrom,
  shapeFrom,
  withCredentials,
} from './credential-access.ts';

interface CreateFlags extends AccessFlags {
  readonly name: string;
  readonly permission?: string[];
  readonly expires?: string;
}

interface RotateFlags extends AccessFlags {
  readonly grace?: string;
  readonly expires?: string;
}

/** Adds the `app` commands. */
export const registerApp = (program: Command, context: CliContext): void => {
  const command = program.command('app').description('make, rotate, list and revoke applications');

  command
    .command('create')
    .description('make an application and print its client id and client secret, this once')
    .requiredOption('--name <name>', 'what it is; unique among live applications')
    .option(...PERMISSION_FLAG)
    .option('--expires <when>', '30d, 12h, 45m or a date like 2027-01-01 (UTC); never if not given')
    .option('--json', 'print JSON')
    .option(...CONFIG_FLAG)
    .action((flags: CreateFlags) =>
      withCredentials(flags, 'create', context, ({ credentials, nowMs }) =>
        printApp('Created', credentials.createApp(orderFrom(flags, nowMs)), flags, nowMs, context),
      ),
    );

  command
    .command('rotate')
    .description('replace the client secret: same client id and permissions')
    .argument('<id-or-name>')
    .option(
      '--grace <duration>',
      'how long the old secret stays valid, like 10m; it ends at once if not given',
    )
    .option('--expires <when>', 'a new expiry; the old one is kept if not given')
    .option('--json', 'print JSON')
    .option(...CONFIG_FLAG)
    .action((idOrName: string, flags: RotateFlags) =>
      withCredentials(flags, 'open', context, ({ credentials, nowMs }) => {
        const made = credentials.rotateApp(idOrName, rotationFrom(flags, nowMs));
        printApp('Rotated', made, flags, nowMs, context);
      }),
    );

  command
    .command('list')
    .description('list all applications, also revoked and expired ones')
    .option('--json', 'print JSON')
    .option(...CONFIG_FLAG)
    .action((flags: AccessFlags) =>
      withCredentials(flags, 'open', context, ({ credentials, nowMs }) =>
        printRecords(
          credentials.list('app'),
          'There are no applications yet: `app create` makes one.',
          flags,
          nowMs,
          context,
        ),
      ),
    );

  command
    .command('show')
    .description('show one application as JSON, with the hashes of its public keys')
    .argument('<id-or-name>')
    .option(...CONFIG_FLAG)
    .action((idOrName: string, flags: AccessFlags) =>
      withCredentials(flags, 'open', context, ({ credentials, nowMs }) => {
        const { record, proofs } = credentials.show('app', idOrName);
        context.print(JSON.stringify({ ...shapeFrom(record, nowMs), public_key_sha256: proofs }, null, 2));
      }),
    );

  command
    .command('revoke')
    .description('revoke an application; a running engine ends what it opened within a second')
    .argument('<id-or-name>')
    .option(...CONFIG_FLAG)
    .action((idOrName: string, flags: AccessFlags) =>
      withCredentials(flags, 'open', context, ({ credentials }) =>
        context.tell(`Revoked ${describe(credentials.revoke('app', idOrName))}.`),
      ),
    );
};

const printApp = (
  done: string,
  { record, clientSecret }: { record: CredentialRecord; clientSecret: Secret },
  { json }: AccessFlags,
  nowMs: number,
  { print, tell }: CliContext,
): void => {
  const secret = { client_id: record.id, client_secret: clientSecret.reveal() };
  if (json) return print(JSON.stringify({ ...shapeFrom(record, nowMs), ...secret }, null, 2));
  tell(`${done} ${describe(record)}. The client secret is shown only now:`);
  for (const [key, value] of Object.entries(secret)) print(`${key}: ${value}`);
};
