/** Completion and the manual page are made of the program's own commands; bash itself judges its script. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type CommandNode, eachCommand, treeOf } from '../../src/cli/command-tree.ts';
import { createProgram } from '../../src/cli/commands.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

/** The program as an operator calls it, and what it prints. */
const startProgram = async () => {
  const printed: string[] = [];
  const program = await createProgram({
    env: {},
    print: (line) => printed.push(line),
    tell: () => {},
    stopSignal: new AbortController().signal,
    onHangup: () => {},
    stdin: process.stdin,
    stdout: process.stdout,
  });
  return { program, printed };
};

const printedBy = async (...args: string[]): Promise<string> => {
  const { program, printed } = await startProgram();
  await program.parseAsync(args, { from: 'user' });
  return printed.join('\n');
};

const tree = async (): Promise<CommandNode> => treeOf((await startProgram()).program);

/** What bash offers for the last of these words. */
const completer = async (t: Parameters<typeof makeTemporaryDirectory>[0]) => {
  const script = join(makeTemporaryDirectory(t), 'completion.bash');
  writeFileSync(script, await printedBy('completion', 'bash'));
  return (...words: string[]): string[] => {
    const call = `source "$0"; COMP_WORDS=(rstream-engine-ce "$@"); COMP_CWORD=$#; _rstream_engine_ce; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { status, stdout, stderr } = spawnSync('bash', ['-euc', call, script, ...words], {
      encoding: 'utf8',
    });
    assert.deepEqual([status, stderr], [0, '']);
    return stdout.split('\n').filter((line) => line !== '');
  };
};

describe('completion in bash', () => {
  test('offers commands, flags and choices, at every command of the program', async (t) => {
    const offered = await completer(t);
    assert.deepEqual(offered('to'), ['token']);
    assert.deepEqual(offered('token', 'cre'), ['create']);
    assert.deepEqual(offered('token', 'create', '--kind', ''), ['pat', 'auth']);
    assert.deepEqual(offered('doctor', '-o', 'j'), ['json']);
    for (const { path, commands, flags, operandChoices } of eachCommand(await tree())) {
      const words = path === '' ? [] : path.split(' ');
      const names = [...commands.map(({ name }) => name), ...flags.flatMap((flag) => flag.names)];
      assert.deepEqual(offered(...words, ''), [...operandChoices, ...names], path);
    }
  });

  test('leaves the names of files to the shell', async (t) => {
    const offered = await completer(t);
    assert.deepEqual(offered('serve', '--config', ''), []);
    assert.deepEqual(offered('restore', '/etc/hos'), []);
  });
});

test('the scripts of zsh and fish name every command and flag', async () => {
  for (const shell of ['zsh', 'fish']) {
    const script = await printedBy('completion', shell);
    for (const { path, name, flags } of eachCommand(await tree())) {
      assert.ok(script.includes(name), `${shell}: ${path}`);
      for (const flag of flags.flatMap(({ names }) => names))
        assert.ok(script.includes(flag.replace(/^-+/, '')), `${shell}: ${path} ${flag}`);
    }
  }
});

test('a shell that nobody knows is wrong usage', async () => {
  const { program } = await startProgram();
  program.configureOutput({ writeErr: () => {}, outputError: () => {} });
  for (const command of program.commands) command.copyInheritedSettings(program);
  await assert.rejects(program.parseAsync(['completion', 'tcsh'], { from: 'user' }), {
    code: 'commander.invalidArgument',
  });
});

test('the manual page has a section for each command that does something', async () => {
  const sections = [...(await printedBy('man')).matchAll(/^\.SS (.+)$/gm)].map(([, title = '']) =>
    title.replaceAll('\\-', '-'),
  );
  assert.ok(sections.includes('token create') && sections.includes('backup create <file>'));
  for (const { path, commands } of eachCommand(await tree()))
    if (path !== '' && commands.length === 0)
      assert.ok(
        sections.some((title) => title === path || title.startsWith(`${path} `)),
        path,
      );
});
