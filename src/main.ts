/**
 * The process: arguments to a command, its outcome to an exit code, signals to a graceful end. Nothing else.
 *
 * Exit codes: 0 done, 1 failed, 2 wrong usage.
 */
import { Command, CommanderError } from 'commander';
import { EngineError } from './base/errors.ts';
import { registerAdmin } from './cli/admin.ts';
import { registerApp } from './cli/app.ts';
import { registerAudit } from './cli/audit.ts';
import { registerCert } from './cli/cert.ts';
import { registerCheckConfig } from './cli/check-config.ts';
import type { CliContext } from './cli/context.ts';
import { registerDial } from './cli/dial.ts';
import { registerForward } from './cli/forward.ts';
import { registerInit } from './cli/init.ts';
import { registerKey } from './cli/key.ts';
import { registerQuickstart } from './cli/quickstart.ts';
import { registerServe } from './cli/serve.ts';
import { registerToken } from './cli/token.ts';
import { VERSION } from './version.ts';

const stop = new AbortController();
const onSignal = () => {
  // Whoever asks twice does not want to wait for the drain.
  if (stop.signal.aborted) process.exit(1);
  stop.abort();
};
process.on('SIGINT', onSignal);
process.on('SIGTERM', onSignal);

const context: CliContext = {
  env: process.env,
  print: (line) => process.stdout.write(`${line}\n`),
  tell: (line) => process.stderr.write(`${line}\n`),
  stopSignal: stop.signal,
  stdin: process.stdin,
  stdout: process.stdout,
};

const program = new Command('rstream-engine-ce')
  .description('A self-hosted tunnel engine for rstream agents.')
  .version(VERSION, '-V, --version')
  .configureOutput({ outputError: (text) => context.tell(text.trim()) })
  .showHelpAfterError('See `rstream-engine-ce help`.')
  .exitOverride();

registerServe(program, context);
registerInit(program, context);
registerQuickstart(program, context);
registerCheckConfig(program, context);
registerToken(program, context);
registerApp(program, context);
registerCert(program, context);
registerKey(program, context);
registerAudit(program, context);
registerAdmin(program, context);
registerForward(program, context);
registerDial(program, context);
program
  .command('version')
  .description('print the version')
  .action(() => context.print(VERSION));

try {
  await program.parseAsync();
} catch (thrown) {
  process.exitCode = report(thrown);
}
// Whatever a library may have left open: the command is over.
process.exit();

function report(thrown: unknown): number {
  // Help and version end this way too; commander has said all there is to say.
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
  if (!(thrown instanceof EngineError)) {
    context.tell(thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown));
    return 1;
  }
  context.tell(`${thrown.message}\n${thrown.row.advice}`);
  return thrown.code === 'USAGE' ? 2 : 1;
}
