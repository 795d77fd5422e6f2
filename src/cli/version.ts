/**
 * `version`, `--version`: what runs, for people and for reports of bugs.
 *
 * Invariant: one line; its first word is the version, and what follows is in parentheses.
 */
import type { Command } from 'commander';
import { readCommit } from '../commit.ts';
import { VERSION } from '../version.ts';
import type { CliContext } from './context.ts';

/** Adds the command. */
export const registerVersion = (program: Command, { print }: CliContext): void => {
  program
    .command('version')
    .description('print the version, the commit that it was made of, and the runtime')
    .action(() => print(versionLine()));
};

export const versionLine = (): string => {
  const commit = readCommit();
  const runtime = `Node ${process.versions.node}, OpenSSL ${process.versions.openssl}, ${process.platform} ${process.arch}`;
  return `${VERSION} (${commit === undefined ? '' : `commit ${commit}, `}${runtime})`;
};
