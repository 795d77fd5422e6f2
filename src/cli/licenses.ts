/** `licenses`: the licences of everything that is inside the binary. */
import { getAsset, isSea } from 'node:sea';
import type { Command } from 'commander';
import type { CliContext } from './context.ts';

/** Adds the command. */
export const registerLicenses = (program: Command, { print }: CliContext): void => {
  program
    .command('licenses')
    .description('print the licences of this program and of what it contains')
    .action(() =>
      print(
        isSea()
          ? getAsset('licenses.txt', 'utf8').trimEnd()
          : 'The engine: Apache-2.0, see LICENSE. Each package in node_modules carries its own licence.',
      ),
    );
};
