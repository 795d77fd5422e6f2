/** Runs other programs for the interop suites: bounded in time, ended with this process, never through a shell. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** test/interop and the root of the checkout. */
export const INTEROP = fileURLToPath(new URL('.', import.meta.url));
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface CommandOptions {
  readonly cwd?: string;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** What it reads on standard input; nothing when left out. */
  readonly input?: string;
  readonly timeoutMs: number;
  /** `show` passes the output on as it comes; `keep` returns it. */
  readonly output: 'show' | 'keep';
}

export interface CommandResult {
  /** The exit code, or null when the program could not be started or did not end by itself. */
  readonly code: number | null;
  /** Standard output and standard error as they came; empty for `show`. */
  readonly output: string;
}

/** Runs a program to its end. Does not reject: what the exit code means is the caller's to say. */
export const runCommand = (
  program: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> =>
  new Promise((resolve) => {
    const kept: Buffer[] = [];
    const input = options.input === undefined ? 'ignore' : 'pipe';
    const child = spawn(program, args, {
      cwd: options.cwd ?? INTEROP,
      env: { ...process.env, ...options.env },
      stdio: options.output === 'show' ? [input, 'inherit', 'inherit'] : [input, 'pipe', 'pipe'],
      timeout: options.timeoutMs,
    });
    // A program that leaves before it has read everything has its reasons, which its exit code tells.
    child.stdin?.on('error', () => {}).end(options.input);
    // Whoever ends the runner means its suites too: they stop their engines in their own clean-up. A terminal sends
    // its interrupt to both by itself; the runner only has to outlive the suite.
    const terminate = (): void => void child.kill('SIGTERM');
    const stay = (): void => {};
    process.on('SIGTERM', terminate).on('SIGINT', stay);
    child.stdout?.on('data', (chunk: Buffer) => kept.push(chunk));
    child.stderr?.on('data', (chunk: Buffer) => kept.push(chunk));
    const finish = (code: number | null): void => {
      process.off('SIGTERM', terminate).off('SIGINT', stay);
      resolve({ code, output: Buffer.concat(kept).toString() });
    };
    child.on('error', () => finish(null));
    child.on('close', finish);
  });

/** The last line of a program's output that says something: usually its reason for failing. */
export const lastLine = (output: string): string => output.trim().split('\n').at(-1)?.trim() ?? '';
