/**
 * `man`: the manual page, in the language of man(7).
 *
 * Flow: install.sh installs what the binary prints; docs/man/rstream-engine-ce.1 is rendered from it.
 * Invariant: made of the program's own tree, without dates or versions: the same program gives the same page.
 */
import type { Command } from 'commander';
import { type CommandNode, eachCommand, type FlagNode, treeOf } from './command-tree.ts';
import type { CliContext } from './context.ts';

/** Adds the command. */
export const registerMan = (program: Command, { print }: CliContext): void => {
  program
    .command('man')
    .description('print the manual page, for man(1)')
    .action(() => print(manualOf(treeOf(program)).trimEnd()));
};

/** The page of a program. */
export const manualOf = (tree: CommandNode): string => {
  const name = tree.name;
  return `${[
    `.TH ${name.toUpperCase().replaceAll('-', '\\-')} 1`,
    '.SH NAME',
    `${escaped(name)} \\- ${escaped(tree.text.replace(/^A /, 'a ').replace(/\.$/, ''))}`,
    '.SH SYNOPSIS',
    `.B ${escaped(name)}`,
    '[\\fIcommand\\fR] [\\fIoption\\fR ...]',
    '.SH DESCRIPTION',
    escaped(
      'Agents connect outbound to the engine, which publishes the services behind them, or hands them to other agents by name. Without a command it runs the engine, as serve does.',
    ),
    '.SH OPTIONS',
    ...tree.flags.flatMap(flagLines),
    '.SH COMMANDS',
    ...eachCommand(tree)
      // Those that hold others do nothing themselves.
      .filter(({ path, commands }) => path !== '' && commands.length === 0)
      .flatMap(commandLines),
    ...ENDING,
  ].join('\n')}\n`;
};

const commandLines = ({ path, text, operands, flags }: CommandNode): string[] => [
  `.SS ${escaped([path, ...operands].join(' '))}`,
  escaped(`${text}.`),
  ...flags.filter(({ names }) => !names.includes('--help')).flatMap(flagLines),
];

const flagLines = ({ names, value, choices, text, defaultValue }: FlagNode): string[] => {
  const shown = names.map((name) => `\\fB${escaped(name)}\\fR`).join(', ');
  const notes = [
    ...(choices.length > 0 ? [`one of ${choices.join(', ')}`] : []),
    ...(typeof defaultValue === 'string' ? [`default: ${defaultValue}`] : []),
  ];
  return [
    '.TP',
    `${shown}${value === undefined ? '' : ` \\fI${escaped(value)}\\fR`}`,
    escaped(`${text}${notes.length > 0 ? ` (${notes.join('; ')})` : ''}`),
  ];
};

/** What would mean something to roff: backslashes, minus signs, and lines that begin as a request. */
const escaped = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^(?=[.'])/, '\\&');

const ENDING = [
  '.SH ENVIRONMENT',
  '.TP',
  '.B RSTREAM_ENGINE_CONFIG',
  'The configuration file where no \\fB\\-\\-config\\fR names one.',
  '.TP',
  '.B RSTREAM_ENGINE_SECTION__SETTING',
  'Takes the place of a setting of the file; \\fBconfig show\\fR tells which do.',
  '.TP',
  '.B RSTREAM_ENGINE\\fR, \\fBRSTREAM_AUTHENTICATION_TOKEN',
  'Where the built\\-in agent connects to, and its token.',
  '.SH EXIT STATUS',
  '0 when done, 1 when it failed, 2 when it was used wrongly.',
  '.SH FILES',
  '.TP',
  '.I /var/lib/rstream\\-engine/config.yaml',
  'The configuration that install.sh makes; certificates, keys and databases lie beside it.',
];
