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
  readonly name: string;
  readonly permission?: string[];
  readonly expires?: string;
}

interface RotateFlags extends AccessFlags {
  readonly grace?: string;
  readonly expires?: string;
}

const APPLICATION: KindOfCredential = {
  kind: 'app',
  one: 'an application',
  many: 'applications',
  maker: 'app create',
  shown: {
    description: 'show one application as JSON, with the hashes of its public keys',
    detailsFrom: (proofs) => ({ public_key_sha256: proofs }),
  },
};

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
    .option(...graceFlag('secret'))
    .option(...NEW_EXPIRY_FLAG)
    .option('--json', 'print JSON')
    .option(...CONFIG_FLAG)
    .action((idOrName: string, flags: RotateFlags) =>
      withCredentials(flags, 'open', context, ({ credentials, nowMs }) => {
        const made = credentials.rotateApp(idOrName, rotationFrom(flags, nowMs));
        printApp('Rotated', made, flags, nowMs, context);
      }),
    );

  addCommonCommands(command, APPLICATION, context);
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
