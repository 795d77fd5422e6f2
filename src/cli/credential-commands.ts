/** The commands that every kind of credential has: `list`, `show` and `revoke`. */
import type { Command } from 'commander';
import type { CredentialRecord } from '../store/credentials.ts';
import type { CliContext } from './context.ts';
import {
  type AccessFlags,
  CONFIG_FLAG,
  describe,
  printRecords,
  shapeFrom,
  withCredentials,
} from './credential-access.ts';

/** A kind of credential, and how it is spoken of. */
export interface KindOfCredential {
  readonly kind: CredentialRecord['kind'];
  /** With its article, and in the plural. */
  readonly one: string;
  readonly many: string;
  /** The command that makes one. */
  readonly maker: string;
  /** What `show` prints beside the record; there is no `show` without. */
  readonly shown?: {
    readonly description: string;
    detailsFrom(proofs: readonly string[]): Readonly<Record<string, unknown>>;
  };
}

/** Flags of `rotate`, by what is replaced. */
export const graceFlag = (what: string) =>
  [
    '--grace <duration>',
    `how long the old ${what} stays valid, like 10m; it ends at once if not given`,
  ] as const;
export const NEW_EXPIRY_FLAG = [
  '--expires <when>',
  'a new expiry; the old one is kept if not given',
] as const;

/** Adds them to the command of a kind. */
export const addCommonCommands = (
  command: Command,
  { kind, one, many, maker, shown }: KindOfCredential,
  context: CliContext,
): void => {
  command
    .command('list')
    .description(`list all ${many}, also revoked and expired ones`)
    .option('--json', 'print JSON')
    .option(...CONFIG_FLAG)
    .action((flags: AccessFlags) =>
      withCredentials(flags, 'open', context, ({ credentials, nowMs }) => {
        const whenNone = `There are no ${many} yet: \`${maker}\` makes one.`;
        printRecords(credentials.list(kind), whenNone, flags, nowMs, context);
      }),
    );

  if (shown)
    command
      .command('show')
      .description(shown.description)
      .argument('<id-or-name>')
      .option(...CONFIG_FLAG)
      .action((idOrName: string, flags: AccessFlags) =>
        withCredentials(flags, 'open', context, ({ credentials, nowMs }) => {
          const { record, proofs } = credentials.show(kind, idOrName);
          const shape = { ...shapeFrom(record, nowMs), ...shown.detailsFrom(proofs) };
          context.print(JSON.stringify(shape, null, 2));
        }),
      );

  command
    .command('revoke')
    .description(`revoke ${one}; a running engine ends what it opened within a second`)
    .argument('<id-or-name>')
    .option(...CONFIG_FLAG)
    .action((idOrName: string, flags: AccessFlags) =>
      withCredentials(flags, 'open', context, ({ credentials }) =>
        context.tell(`Revoked ${describe(credentials.revoke(kind, idOrName))}.`),
      ),
    );
};
