/** `key rotate`: a new key for the tokens that the engine signs, with an overlap in which old tokens can be replaced. */

import type { Command } from 'commander';
import { isoFrom } from '../base/instant.ts';
import type { CliContext } from './context.ts';
import { type AccessFlags, CONFIG_FLAG, durationFrom, withCredentials } from './credential-access.ts';

interface Flags extends AccessFlags {
  readonly overlap: string;
}

/** Adds the `key` command. */
export const registerKey = (program: Command, context: CliContext): void => {
  program
    .command('key')
    .description('the key that signs tokens')
    .command('rotate')
    .description('sign new tokens with a new key; tokens of the old one end with the overlap')
    .option('--overlap <duration>', 'how long old tokens stay valid; 0s ends them now', '30d')
    .option(...CONFIG_FLAG)
    .action((flags: Flags) =>
      withCredentials(flags, 'open', context, ({ credentials, nowMs }) => {
        const overlapMs = durationFrom('--overlap', flags.overlap);
        credentials.rotateSigningKey(overlapMs);
        context.tell(
          `New tokens are signed with a new key. Tokens made before now end at ${isoFrom(nowMs + overlapMs)}: replace them by \`token rotate\`. Applications and certificates are not affected.`,
        );
      }),
    );
};
