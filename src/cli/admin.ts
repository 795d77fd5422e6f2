/**
 * `admin create|list|passwd|remove|link`: who may log in to the admin page.
 *
 * Invariant: a one-time link goes to standard output once, and nowhere else; a password comes from standard input, never from an argument,
 * which other users of the machine can read.
 */

import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { type Command, Option } from 'commander';
import { fail } from '../base/errors.ts';
import { isoFrom } from '../base/instant.ts';
import { addressWithPort, isLoopbackAddress, splitListenAddress } from '../base/ip.ts';
import { Secret } from '../base/secret.ts';
import { createClock } from '../base/time.ts';
import type { Config } from '../config/schema.ts';
import { ADMIN_ROLES, type Admin, type AdminRole, type Admins, createAdmins } from '../store/admins.ts';
import { type DatabaseOptions, openDatabase } from '../store/database.ts';
import type { CliContext } from './context.ts';
import {
  type AccessFlags,
  actor,
  auditLogOf,
  CONFIG_FLAG,
  configOf,
  printTable,
} from './credential-access.ts';

/** Who logs in first where `init` and `quickstart` make the engine. */
export const FIRST_ADMIN = 'admin';

/** Adds the `admin` commands. */
export const registerAdmin = (program: Command, context: CliContext): void => {
  const command = program.command('admin').description('say who may log in to the admin page');

  command
    .command('create')
    .description('let somebody log in, and print the one-time link of the first login')
    .requiredOption('--name <name>', 'what to log in with: a-z, 0-9, and . _ @ - inside')
    .addOption(
      new Option('--role <role>', 'admin, or viewer, who changes nothing')
        .choices(ADMIN_ROLES)
        .default('admin'),
    )
    .option(...CONFIG_FLAG)
    .action((flags: AccessFlags & { name: string; role: AdminRole }) =>
      withAdmins(flags, 'create', context, (admins, config) =>
        printLink(admins.create(flags), config, context),
      ),
    );

  command
    .command('link')
    .description('print another one-time link: it sets a new password and removes the second factor')
    .argument('[id-or-name]', 'whose; can be left out where there is one admin only')
    .option(...CONFIG_FLAG)
    .action((idOrName: string | undefined, flags: AccessFlags) =>
      withAdmins(flags, 'open', context, (admins, config) =>
        printLink(admins.link(idOrName ?? onlyOne(admins)), config, context),
      ),
    );

  command
    .command('list')
    .description('list who may log in')
    .option('--json', 'print JSON')
    .option(...CONFIG_FLAG)
    .action((flags: AccessFlags) =>
      withAdmins(flags, 'open', context, (admins) => printAdmins(admins.list(), flags, context)),
    );

  command
    .command('passwd')
    .description('set a password, read from standard input; ends the sessions and removes the second factor')
    .argument('<id-or-name>')
    .option(...CONFIG_FLAG)
    .action((idOrName: string, flags: AccessFlags) =>
      withAdmins(flags, 'open', context, async (admins) => {
        const { name } = admins.show(idOrName);
        await admins.setPassword(idOrName, await readPassword(`New password of ${name}: `, context));
        context.tell(`Set the password of ${name}.`);
      }),
    );

  command
    .command('remove')
    .description('remove somebody and end the sessions at once')
    .argument('<id-or-name>')
    .option(...CONFIG_FLAG)
    .action((idOrName: string, flags: AccessFlags) =>
      withAdmins(flags, 'open', context, (admins) =>
        context.tell(`Removed ${admins.remove(idOrName).name}.`),
      ),
    );
};

/** Opens the store, works and closes it; all that is done is in the audit log. */
export const withAdmins = async <Result>(
  flags: AccessFlags,
  mode: DatabaseOptions['mode'],
  context: CliContext,
  work: (admins: Admins, config: Config) => Result | Promise<Result>,
): Promise<Result> => {
  const loaded = configOf(flags, context);
  const clock = createClock();
  const database = openDatabase({ path: loaded.config.store.path, mode });
  const audit = auditLogOf(loaded, clock, context);
  try {
    const admins = createAdmins({
      database,
      clock,
      onEvent: (event) => audit.record({ ...event, actor: actor(), origin: 'local' }),
    });
    return await work(admins, loaded.config);
  } finally {
    database.close();
    audit.close();
  }
};

/**
 * Where a browser on this machine finds the page.
 * @param port the one that is listened on, where the configuration leaves it to the system
 */
export const pageAddress = ({ admin }: Config, port?: number): string => {
  const listen = splitListenAddress(admin.listen_addr) ?? { host: '', port: 0 };
  const isLocal = ['', '::', '0.0.0.0'].includes(listen.host) || isLoopbackAddress(listen.host);
  return `https://${addressWithPort(isLocal ? 'localhost' : listen.host, port ?? listen.port)}/`;
};

/** In the fragment, which stays in the browser. */
export const linkAddress = (config: Config, link: Secret, port?: number): string =>
  `${pageAddress(config, port)}#link=${link.reveal()}`;

const onlyOne = (admins: Admins): string => {
  const [first, ...others] = admins.list();
  if (!first) throw fail('ADMIN_NOT_FOUND', { name: 'yet: `admin create` makes one' });
  if (others.length > 0)
    throw fail('USAGE', { problem: 'There is more than one admin: name whose link it is' });
  return first.id;
};

const printLink = (
  { record, link, expiresAt }: ReturnType<Admins['link']>,
  config: Config,
  { print, tell }: CliContext,
): void => {
  tell(
    `The first login of ${record.name} (${record.role}); the link works once, until ${isoFrom(expiresAt)}:`,
  );
  print(linkAddress(config, link));
  if (!config.admin.enabled)
    tell('The page is not served: set admin.enabled to true and start the engine again.');
};

const printAdmins = (list: readonly Admin[], { json }: AccessFlags, { print, tell }: CliContext): void => {
  const shapes = list.map(({ id, name, role, hasPassword, hasTotp, createdAt, lastLoginAt }) => ({
    id,
    name,
    role,
    has_password: hasPassword,
    has_totp: hasTotp,
    created_at: isoFrom(createdAt),
    ...(lastLoginAt !== undefined && { last_login_at: isoFrom(lastLoginAt) }),
  }));
  if (json) return print(JSON.stringify(shapes, null, 2));
  if (shapes.length === 0) return tell('Nobody may log in yet: `admin create` makes the first login.');
  const rows = shapes.map((shape) => [
    ...[shape.id, shape.name, shape.role, shape.created_at, shape.last_login_at ?? 'never'],
    shape.has_totp ? 'password and code' : shape.has_password ? 'password' : 'link',
  ]);
  printTable(['ID', 'NAME', 'ROLE', 'CREATED', 'LAST LOGIN', 'BY'], rows, print);
};

/** The first line of standard input; a terminal does not show it. */
const readPassword = async (prompt: string, { stdin, tell }: CliContext): Promise<Secret> => {
  const isTerminal = (stdin as Partial<NodeJS.ReadStream>).isTTY === true;
  if (isTerminal) tell(prompt);
  // readline writes what is typed to its output: this one shows nothing.
  const output = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: stdin, output, terminal: isTerminal });
  try {
    for await (const line of lines) return new Secret(line);
    throw fail('USAGE', { problem: 'Standard input holds no password' });
  } finally {
    lines.close();
  }
};
