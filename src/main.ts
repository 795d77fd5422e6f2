/**
 * The process: arguments to a command, its outcome to an exit code, signals to a graceful end. Nothing else.
 *
 * Exit codes: 0 done, 1 failed, 2 wrong usage.
 */
import { Command, CommanderError } from 'commander';
import { EngineError } from './base/errors.ts';
import type { CliContext } from './cli/context.ts';
import { VERSION } from './version.ts';

/** Each command by the module that adds it. Only the one that is asked for is loaded: all together take longer than most commands run. */
const COMMANDS: Readonly<Record<string, () => Promise<(program: Command, context: CliContext) => void>>> = {
  serve: async () => (await import('./cli/serve.ts')).registerServe,
  init: async () => (await import('./cli/init.ts')).registerInit,
  quickstart: async () => (await import('./cli/quickstart.ts')).registerQuickstart,
  'check-config': async () => (await import('./cli/check-config.ts')).registerCheckConfig,
  token: async () => (await import('./cli/token.ts')).registerToken,
  app: async () => (await import('./cli/app.ts')).registerApp,
  cert: async () => (await import('./cli/cert.ts')).registerCert,
  key: async () => (await import('./cli/key.ts')).registerKey,
  audit: async () => (await import('./cli/audit.ts')).registerAudit,
  admin: async () => (await import('./cli/admin.ts')).registerAdmin,
  doctor: async () => (await import('./cli/doctor.ts')).registerDoctor,
  backup: async () => (await import('./cli/backup.ts')).registerBackup,
  restore: async () => (await import('./cli/restore.ts')).registerRestore,
  forward: async () => (await import('./cli/forward.ts')).registerForward,
  dial: async () => (await import('./cli/dial.ts')).registerDial,
  licenses: async () => (await import('./cli/licenses.ts')).registerLicenses,
};
const VERSION_WORDS = ['version', '--version', '-V'];

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

const run = async (word = ''): Promise<void> => {
  const program = new Command('rstream-engine-ce')
    .description('A self-hosted tunnel engine for rstream agents.')
    .version(VERSION, '-V, --version')
    .configureOutput({ outputError: (text) => context.tell(text.trim()) })
    .showHelpAfterError('See `rstream-engine-ce help`.')
    .exitOverride();
  const wanted = Object.hasOwn(COMMANDS, word) ? [word] : Object.keys(COMMANDS);
  if (!VERSION_WORDS.includes(word))
    for (const name of wanted) (await COMMANDS[name]?.())?.(program, context);
  program
    .command('version')
    .description('print the version')
    .action(() => context.print(VERSION));
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
