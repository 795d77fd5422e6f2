/**
 * All commands, each by the module that adds it.
 *
 * Flow: main.ts makes the program for the word that was typed; completion.ts, man.ts and scripts/render-docs.ts look at all of it.
 * Invariant: only what is asked for is loaded: all together take longer than most commands run.
 */
import { Command } from 'commander';
import type { CliContext } from './context.ts';
import { registerVersion, versionLine } from './version.ts';

type Register = (program: Command, context: CliContext) => void;

const COMMANDS: Readonly<Record<string, () => Promise<Register>>> = {
  serve: async () => (await import('./serve.ts')).registerServe,
  init: async () => (await import('./init.ts')).registerInit,
  quickstart: async () => (await import('./quickstart.ts')).registerQuickstart,
  'check-config': async () => (await import('./check-config.ts')).registerCheckConfig,
  config: async () => (await import('./config.ts')).registerConfig,
  token: async () => (await import('./token.ts')).registerToken,
  app: async () => (await import('./app.ts')).registerApp,
  cert: async () => (await import('./cert.ts')).registerCert,
  key: async () => (await import('./key.ts')).registerKey,
  audit: async () => (await import('./audit.ts')).registerAudit,
  admin: async () => (await import('./admin.ts')).registerAdmin,
  doctor: async () => (await import('./doctor.ts')).registerDoctor,
  backup: async () => (await import('./backup.ts')).registerBackup,
  restore: async () => (await import('./restore.ts')).registerRestore,
  forward: async () => (await import('./forward.ts')).registerForward,
  dial: async () => (await import('./dial.ts')).registerDial,
  completion: async () => (await import('./completion.ts')).registerCompletion,
  man: async () => (await import('./man.ts')).registerMan,
  licenses: async () => (await import('./licenses.ts')).registerLicenses,
  version: async () => registerVersion,
};

// What these print is made of all commands.
const LOOK_AT_ALL = ['completion', 'man'];
const VERSION_FLAGS = ['--version', '-V'];

/** The program with the command that a word names; with all of them where it names none, or one that looks at all. */
export const createProgram = async (context: CliContext, word = ''): Promise<Command> => {
  const program = new Command('rstream-engine-ce')
    .description('A self-hosted tunnel engine for rstream agents.')
    .version(versionLine(), '-V, --version', 'print what `version` prints')
    .configureOutput({ outputError: (text) => context.tell(text.trim()) })
    .showHelpAfterError('See `rstream-engine-ce help`.')
    .exitOverride();
  const isOne = Object.hasOwn(COMMANDS, word) && !LOOK_AT_ALL.includes(word);
  const wanted = VERSION_FLAGS.includes(word) ? ['version'] : isOne ? [word] : Object.keys(COMMANDS);
  for (const name of wanted) (await COMMANDS[name]?.())?.(program, context);
  return program;
};
