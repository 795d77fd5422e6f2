/**
 * The command line as a process of its own: what an operator types, and what comes out.
 *
 * Every process that is started here is gone when its test ends.
 */
import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { atEnd } from '../support/at-end.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const { RSTREAM_TEST_EXECUTABLE: EXECUTABLE } = process.env;
/** What runs the command line: the binary, where the tests are run for it; otherwise the source. */
export const COMMAND: readonly [string, ...string[]] =
  EXECUTABLE === undefined
    ? [process.execPath, '--import', import.meta.resolve('tsx'), MAIN]
    : [resolve(EXECUTABLE)];
// A start costs about a second of CPU, and several of them share a busy machine.
const WAIT_MS_MAX = 30_000;

export interface CommandOptions {
  /** Added to PATH, which is all that the process gets of our environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** A program that runs the command, with its arguments: `unshare -m`. */
  readonly within?: readonly string[];
}

export interface RunningCommand {
  readonly child: ChildProcessWithoutNullStreams;
  /** So far. */
  readonly stdout: string;
  readonly stderr: string;
  /** The first match in everything that the process has said or will say; fails when it ends without. */
  says(pattern: RegExp): Promise<RegExpExecArray>;
  /** Code or signal by which it ended. */
  readonly ended: Promise<number | string>;
  /** Signals it and waits for its end. */
  kill(signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL'): Promise<number | string>;
}

/** Starts `rstream-engine-ce` with these arguments. */
export const startCommand = (
  t: TestContext,
  args: readonly string[],
  { env = {}, cwd, within: runner = [] }: CommandOptions = {},
): RunningCommand => {
  const [program = '', ...words] = [...runner, ...COMMAND, ...args];
  const child = spawn(program, words, {
    env: { PATH: process.env.PATH ?? '', ...env },
    ...(cwd !== undefined && { cwd }),
  });
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      said[name] += text;
      child.emit('said');
    });
  // A command that ends does not read what is written to it.
  child.stdin.on('error', () => {});
  let isOver = false;
  const ended = once(child, 'close').then(([code, signal]) => {
    isOver = true;
    child.emit('said');
    return (code ?? signal) as number | string;
  });
  const kill = (signal: NodeJS.Signals) => {
    child.kill(signal);
    return inTime(ended, `the end of ${args[0]}`);
  };
  atEnd(t, () => kill('SIGKILL'));

  const transcript = () => `${said.stdout}\n${said.stderr}`;
  return {
    child,
    get stdout() {
      return said.stdout;
    },
    get stderr() {
      return said.stderr;
    },
    ended,
    async says(pattern) {
      for (;;) {
        const match = pattern.exec(transcript());
        if (match) return match;
        assert.ok(!isOver, `${args[0]} ended and never said ${pattern}, but:${transcript()}`);
        await inTime(once(child, 'said'), `${args[0]} to say ${pattern}; it said:${transcript()}`);
      }
    },
    kill,
  };
};

/** Runs a command to its end. */
export const runCommand = async (t: TestContext, args: readonly string[], options?: CommandOptions) => {
  const command = startCommand(t, args, options);
  command.child.stdin.end();
  const code = await inTime(command.ended, `the end of ${args[0]}`);
  return { code, stdout: command.stdout, stderr: command.stderr };
};

const inTime = async <T>(promise: Promise<T>, what: string): Promise<T> => {
  let timeout: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_, reject) => {
    timeout = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), WAIT_MS_MAX);
  });
  try {
    return await Promise.race([promise, expired]);
  } finally {
    clearTimeout(timeout);
  }
};
