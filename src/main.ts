/**
 * The process: arguments to a command, its outcome to an exit code, signals to a graceful end. Nothing else.
 *
 * Exit codes: 0 done, 1 failed, 2 wrong usage.
 */
import { CommanderError } from 'commander';
import { EngineError } from './base/errors.ts';
import { createProgram } from './cli/commands.ts';
import type { CliContext } from './cli/context.ts';

const stop = new AbortController();
const onSignal = () => {
  // Whoever asks twice does not want to wait for the drain.
  if (stop.signal.aborted) process.exit(1);
  stop.abort();
};
process.on('SIGINT', onSignal);
process.on('SIGTERM', onSignal);

// `| head` has read enough: that is no fault, and the command that prints to it goes on to its end.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

const context: CliContext = {
  env: process.env,
  print: (line) => process.stdout.write(`${line}\n`),
  tell: (line) => process.stderr.write(`${line}\n`),
  stopSignal: stop.signal,
  onHangup: (listener) => process.on('SIGHUP', listener),
  stdin: process.stdin,
  stdout: process.stdout,
};

const run = async (word?: string): Promise<void> => {
  const program = await createProgram(context, word);
  await program.parseAsync();
};

const codeFrom = (thrown: unknown): number => {
  // Help and version end this way too; commander has said all there is to say.
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
  if (!(thrown instanceof EngineError)) {
    context.tell(thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown));
    return 1;
  }
  context.tell(`${thrown.message}\n${thrown.row.advice}`);
  return thrown.code === 'USAGE' ? 2 : 1;
};

/** Resolves when a reader has, or will never have, all that was printed: what a pipe has not taken yet, an exit throws away. */
const flushed = (stream: NodeJS.WriteStream) =>
  new Promise<void>((resolve) => stream.write('', () => resolve()));

// Always an exit: whatever a library may have left open, the command is over.
const exit = async (code: number): Promise<void> => {
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  process.exit(code);
};

// Not awaited: the binary's bundle is CommonJS, which cannot.
run(process.argv[2]).then(
  () => exit(0),
  (thrown) => exit(codeFrom(thrown)),
);
