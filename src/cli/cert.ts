/**
 * `cert issue-client|add|list|show|revoke`: client certificates, by which agents prove themselves without a token. (`cert trust` and
 * `cert show-server` are in cert-server.ts.)
 *
 * Invariant: a private key is written once, to a file that its owner alone reads, and never registered: the store keeps the fingerprint.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { fail } from '../base/errors.ts';
import { registerCertServer } from './cert-server.ts';
import type { CliContext } from './context.ts';
import {
  type Access,
  type AccessFlags,
  CONFIG_FLAG,
  describe,
  orderFrom,
  PERMISSION_FLAG,
  withCredentials,
} from './credential-access.ts';
import { addCommonCommands, type KindOfCredential } from './credential-commands.ts';

interface IssueFlags extends AccessFlags {
  readonly name: string;
  readonly days: string;
  readonly out: string;
  readonly permission?: string[];
  readonly caCert?: string;
  readonly caKey?: string;
}

interface AddFlags extends AccessFlags {
  readonly name: string;
  readonly file: string;
  readonly permission?: string[];
  readonly expires?: string;
}

const CLIENT_CERTIFICATE: KindOfCredential = {
  kind: 'certificate',
  one: 'a client certificate',
  many: 'client certificates',
  maker: 'cert issue-client',
  shown: {
    description: 'show one client certificate as JSON, with its fingerprint',
    detailsFrom: ([fingerprint]) => ({ fingerprint_sha256: fingerprint }),
  },
};

/** Adds the `cert` commands. */
export const registerCert = (program: Command, context: CliContext): void => {
  const command = program
    .command('cert')
    .description('client certificates, and the certificates of the engine itself');

  command
    .command('issue-client')
    .description(
      'make a key and a certificate from the local CA, register it, and print the password of its .p12',
    )
    .requiredOption('--name <name>', 'whom it is for; unique among live certificates')
    .option('--days <days>', 'how long it is valid', '365')
    .option('--out <dir>', 'where the files go; nothing is overwritten', '.')
    .option(...PERMISSION_FLAG)
    .option('--ca-cert <path>', 'certificate of the local CA; ca.pem beside the configuration if not given')
    .option('--ca-key <path>', 'key of the local CA; ca-key.pem beside the configuration if not given')
    .option(...CONFIG_FLAG)
    .action((flags: IssueFlags) =>
      withCredentials(flags, 'create', context, (access) => issueClient(flags, access, context)),
    );

  command
    .command('add')
    .description('register a certificate that was made elsewhere; no authority is asked')
    .requiredOption('--name <name>', 'whose it is; unique among live certificates')
    .requiredOption('--file <path>', 'PEM file, the certificate itself first')
    .option(...PERMISSION_FLAG)
    .option(
      '--expires <when>',
      '30d, 12h, 45m or a date like 2027-01-01 (UTC), at most that of the certificate',
    )
    .option(...CONFIG_FLAG)
    .action((flags: AddFlags) =>
      withCredentials(flags, 'create', context, ({ credentials, nowMs }) => {
        const record = credentials.addCertificate({
          ...orderFrom(flags, nowMs),
          pem: read(flags.file, '--file'),
        });
        context.tell(`Registered ${describe(record)}.`);
      }),
    );

  addCommonCommands(command, CLIENT_CERTIFICATE, context);
  registerCertServer(command, context);
};

const DAYS_MAX = 3_650;

const issueClient = async (flags: IssueFlags, access: Access, context: CliContext): Promise<void> => {
  const { credentials, clock, loaded, nowMs } = access;
  const days = /^\d{1,4}$/.test(flags.days) ? Number(flags.days) : 0;
  if (days < 1 || days > DAYS_MAX)
    throw fail('USAGE', { problem: `--days must be a whole number from 1 to ${DAYS_MAX}` });
  const authority = {
    caCertificate: read(flags.caCert ?? join(loaded.dir, 'ca.pem'), '--ca-cert'),
    caKey: read(flags.caKey ?? join(loaded.dir, 'ca-key.pem'), '--ca-key'),
  };
  // Loaded here alone: certificates take 200 ms to load, and every other command does without them.
  const { issueClientIdentity } = await import('../store/authority.ts');
  const identity = await issueClientIdentity(authority, { name: flags.name, days, clock });
  const record = credentials.addCertificate({ ...orderFrom(flags, nowMs), pem: identity.clientCertificate });
  const path = join(resolve(flags.out), fileNameFrom(flags.name));
  try {
    mkdirSync(resolve(flags.out), { recursive: true, mode: 0o700 });
    writeNew(`${path}-key.pem`, identity.clientKey, 0o600);
    writeNew(`${path}.pem`, identity.clientCertificate, 0o644);
    writeNew(`${path}.p12`, identity.archive, 0o600);
  } catch (cause) {
    // Without its files nobody can use it, and it would keep the name.
    credentials.revoke('certificate', record.id);
    throw cause;
  }
  context.tell(`Made and registered ${describe(record)}:
  ${path}.pem with ${path}-key.pem   for agents: --cert-file and --key-file
  ${path}.p12   for browsers, phones and keychains; its password is shown only now:`);
  context.print(identity.archivePassword.reveal());
};

/** Nothing that leads elsewhere or hides the file. */
const fileNameFrom = (name: string): string =>
  name.replace(/[^\p{L}\p{N}_-]+/gu, '-').replace(/^-+|-+$/g, '') || 'client';

// wx: nothing is overwritten, and no link is followed.
const writeNew = (path: string, content: string | Buffer, mode: number): void => {
  try {
    writeFileSync(path, content, { mode, flag: 'wx' });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const problem = code === 'EEXIST' ? 'exists already' : `cannot be written (${code})`;
    throw fail('USAGE', { problem: `${path} ${problem}` }, cause);
  }
};

const read = (path: string, flag: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw fail('USAGE', { problem: `${flag} ${path} cannot be read (${code})` }, cause);
  }
};
