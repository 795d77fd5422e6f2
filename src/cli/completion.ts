/**
 * `completion bash|zsh|fish`: a script by which a shell completes commands, flags and their choices.
 *
 * Flow: the shell evaluates the script once, and completes without running the engine again.
 * Invariant: the scripts are made of the program's own tree; where nothing of it fits, the shell completes names of files.
 */
import { Argument, type Command } from 'commander';
import { type CommandNode, eachCommand, type FlagNode, treeOf } from './command-tree.ts';
import type { CliContext } from './context.ts';

/** Adds the command. */
export const registerCompletion = (program: Command, { print }: CliContext): void => {
  program
    .command('completion')
    .description('print the completion script of a shell')
    .addArgument(new Argument('<shell>', 'whose').choices(Object.keys(SCRIPTS)))
    .addHelpText('after', `\n${HINT}`)
    .action((shell: keyof typeof SCRIPTS) => print(SCRIPTS[shell](treeOf(program)).trimEnd()));
};

const HINT = `bash:  source <(rstream-engine-ce completion bash)
zsh:   rstream-engine-ce completion zsh > "\${fpath[1]}/_rstream-engine-ce"
fish:  rstream-engine-ce completion fish > ~/.config/fish/completions/rstream-engine-ce.fish`;

// All three walk the words so far in the same way: `at` is the path of the command that they name.
const pathOf = ({ path }: CommandNode): string => (path === '' ? '' : ` ${path}`);
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
const wordsOf = ({ commands, flags, operandChoices }: CommandNode): string[] => [
  ...operandChoices,
  ...commands.map(({ name }) => name),
  ...flags.flatMap(({ names }) => names),
];
const pathPatterns = (tree: CommandNode): string =>
  eachCommand(tree)
    .filter(({ path }) => path !== '')
    .map((node) => quoted(pathOf(node)))
    .join(' | ');
/** Each flag that takes a value, by the command that it follows. */
const valueFlags = (tree: CommandNode): { readonly at: string; readonly flag: FlagNode }[] =>
  eachCommand(tree).flatMap((node) =>
    node.flags.filter(({ value }) => value !== undefined).map((flag) => ({ at: pathOf(node), flag })),
  );
const flagPatterns = (at: string, { names }: FlagNode): string =>
  names.map((name) => quoted(`${at} ${name}`)).join(' | ');

const bashScript = (tree: CommandNode): string => `# Completion of ${tree.name} for bash.
_rstream_engine_ce() {
  local current=\${COMP_WORDS[COMP_CWORD]} at='' words index
  COMPREPLY=()
  for ((index = 1; index < COMP_CWORD; index++)); do
    case "$at \${COMP_WORDS[index]}" in
      ${pathPatterns(tree)}) at="$at \${COMP_WORDS[index]}" ;;
    esac
  done
  case "$at \${COMP_WORDS[COMP_CWORD - 1]}" in
${valueFlags(tree)
  .map(({ at, flag }) => `    ${flagPatterns(at, flag)}) words=${quoted(flag.choices.join(' '))} ;;`)
  .join('\n')}
    *)
      case "$at" in
${eachCommand(tree)
  .map((node) => `        ${quoted(pathOf(node))}) words=${quoted(wordsOf(node).join(' '))} ;;`)
  .join('\n')}
      esac
      ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -o default -F _rstream_engine_ce ${tree.name}
`;

/** zsh parts a word from its description at the first colon that has no backslash. */
const described = (word: string, text: string): string =>
  quoted(`${word.replaceAll(':', '\\:')}:${text.replaceAll('\\', '\\\\')}`);

const zshScript = (tree: CommandNode): string => `#compdef ${tree.name}
# Completion of ${tree.name} for zsh.
_rstream-engine-ce() {
  local at='' word
  local -a found
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$at $word" in
      ${pathPatterns(tree)}) at="$at $word" ;;
    esac
  done
  case "$at \${words[CURRENT-1]}" in
${valueFlags(tree)
  .map(({ at, flag }) => `    ${flagPatterns(at, flag)}) found=(${flag.choices.map(quoted).join(' ')}) ;;`)
  .join('\n')}
    *)
      case "$at" in
${eachCommand(tree)
  .map((node) => {
    const words = [
      ...node.operandChoices.map(quoted),
      ...node.commands.map(({ name, text }) => described(name, text)),
      ...node.flags.flatMap(({ names, text }) => names.map((name) => described(name, text))),
    ];
    return `        ${quoted(pathOf(node))}) found=(${words.join(' ')}) ;;`;
  })
  .join('\n')}
      esac
      ;;
  esac
  _describe ${quoted(tree.name)} found || _files
}
if [[ $funcstack[1] == _rstream-engine-ce ]]; then
  _rstream-engine-ce "$@"
else
  compdef _rstream-engine-ce ${tree.name}
fi
`;

const fishScript = (tree: CommandNode): string => {
  const line = (at: string, rest: string) =>
    `complete -c ${tree.name} -n "__rstream_engine_ce_at ${quoted(at)}" ${rest}`;
  const flagOf = ({ names, value, choices, text }: FlagNode): string => {
    const shown = names.map((name) =>
      name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`,
    );
    const takes =
      value === undefined ? '' : choices.length > 0 ? ` -x -a ${quoted(choices.join(' '))}` : ' -r';
    return `${shown.join(' ')}${takes} -d ${fishQuoted(text)}`;
  };
  return `# Completion of ${tree.name} for fish.
function __rstream_engine_ce_at
    set -l at ''
    for word in (commandline -opc)[2..-1]
        switch "$at $word"
            case ${pathPatterns(tree).replaceAll(' | ', ' ')}
                set at "$at $word"
        end
    end
    test "$at" = "$argv[1]"
end
${eachCommand(tree)
  .flatMap((node) => [
    ...node.commands.map((child) => line(pathOf(node), `-f -a ${child.name} -d ${fishQuoted(child.text)}`)),
    ...node.operandChoices.map((choice) => line(pathOf(node), `-f -a ${choice}`)),
    ...node.flags.map((flag) => line(pathOf(node), flagOf(flag))),
  ])
  .join('\n')}
`;
};

/** In single quotes fish knows two escapes: of the quote and of the backslash. */
const fishQuoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;
