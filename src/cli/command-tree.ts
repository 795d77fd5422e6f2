/**
 * The commands and flags as plain data, read from the program itself: what completion and the manual page are made of cannot drift.
 */
import type { Command } from 'commander';

/** A flag of a command. */
export interface FlagNode {
  /** As it is typed: `-c`, `--config`. */
  readonly names: readonly string[];
  /** Whether a value follows, and what it is called: `<path>`. */
  readonly value: string | undefined;
  /** Every value that is allowed; empty where others are. */
  readonly choices: readonly string[];
  readonly text: string;
  readonly defaultValue: unknown;
}

/** A command with what may follow it. */
export interface CommandNode {
  /** Words from the program's name on, that one left out: `token create`; empty for the program. */
  readonly path: string;
  readonly name: string;
  readonly text: string;
  /** As usage shows them: `<id-or-name>`. */
  readonly operands: readonly string[];
  /** Every value that an operand may have, where they are known. */
  readonly operandChoices: readonly string[];
  readonly flags: readonly FlagNode[];
  readonly commands: readonly CommandNode[];
}

/** The tree of a program in which all commands are registered. */
export const treeOf = (command: Command, above: readonly string[] = []): CommandNode => {
  const help = command.createHelp();
  return {
    path: above.join(' '),
    name: command.name(),
    text: command.description(),
    operands: command.registeredArguments.map((operand) =>
      operand.required ? `<${operand.name()}>` : `[${operand.name()}]`,
    ),
    operandChoices: command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []),
    flags: help.visibleOptions(command).map((option) => ({
      names: [option.short, option.long].filter((name) => name !== undefined),
      value: /[<[].*$/.exec(option.flags)?.[0],
      choices: option.argChoices ?? [],
      text: option.description,
      defaultValue: option.defaultValue,
    })),
    // `help` is no command of ours, and says what `--help` says.
    commands: help
      .visibleCommands(command)
      .filter((child) => child.name() !== 'help')
      .map((child) => treeOf(child, [...above, child.name()])),
  };
};

/** A command and all below it, in the order of help. */
export const eachCommand = (node: CommandNode): CommandNode[] => [
  node,
  ...node.commands.flatMap((child) => eachCommand(child)),
];
