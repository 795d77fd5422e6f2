/**
 * `doctor`: looks an engine over, from its files to a stream through it, and says a verdict a line.
 *
 * Invariant: it changes nothing but for what goes through an agent, for which it makes a short-lived token and revokes it. A check that cannot be made is a
 * verdict too; the exit code is 1 when there is a fault.
 */
import { type Command, Option } from 'commander';
import { fail } from '../base/errors.ts';
import { createClock } from '../base/time.ts';
import type { LoadedConfig } from '../config/load.ts';
import type { CliContext } from './context.ts';
import { CONFIG_FLAG, configOf, printTable } from './credential-access.ts';
import { checkFirstByte, checkUpload, checkWebSocket } from './doctor-deep.ts';
import { checkEngine, checkRoundTrip } from './doctor-engine.ts';
import { checkCertificates, checkClock, checkDatabases, checkPermissions } from './doctor-files.ts';
import { checkDisk, checkDns, checkOpenFiles, checkPostQuantum } from './doctor-system.ts';
import { type Check, type Finding, faultFrom } from './finding.ts';

/** In the order in which they are made: from what all else needs to what needs all else. */
const CHECKS: Readonly<Record<string, Check>> = {
  permissions: checkPermissions,
  clock: checkClock,
  certificates: checkCertificates,
  databases: checkDatabases,
  disk: checkDisk,
  'open-files': checkOpenFiles,
  'post-quantum': checkPostQuantum,
  dns: checkDns,
  engine: checkEngine,
  'round-trip': checkRoundTrip,
};
/** These take a minute and a hundred megabytes of traffic, so somebody must ask for them. */
const DEEP_CHECKS: Readonly<Record<string, Check>> = {
  'first-byte': checkFirstByte,
  upload: checkUpload,
  websocket: checkWebSocket,
};
const ALL_CHECKS = { ...CHECKS, ...DEEP_CHECKS };

interface Flags {
  readonly config?: string;
  readonly output: 'text' | 'json';
  readonly only?: string[];
  readonly deep?: boolean;
}

/** Adds the command. */
export const registerDoctor = (program: Command, context: CliContext): void => {
  program
    .command('doctor')
    .description('check this engine: files, names, certificates, databases, and a stream through it')
    .addOption(new Option('-o, --output <format>', 'text or json').choices(['text', 'json']).default('text'))
    .option(
      '--deep',
      'also send events, an upload of 100 MB and a WebSocket that is silent for a minute through an agent',
    )
    .option(
      '--only <check>',
      `repeatable, instead of all: ${Object.keys(ALL_CHECKS).join(', ')}`,
      (name: string, earlier: string[] = []): string[] => [...earlier, name],
    )
    .option(...CONFIG_FLAG)
    .action((flags: Flags) => examine(flags, context));
};

const examine = async (flags: Flags, context: CliContext): Promise<void> => {
  const names = flags.only ?? Object.keys(flags.deep ? ALL_CHECKS : CHECKS);
  const unknown = names.find((name) => !Object.hasOwn(ALL_CHECKS, name));
  if (unknown !== undefined) throw fail('USAGE', { problem: `There is no check ${unknown}` });
  const loaded = configOf(flags, context);
  const findings = (await findingsOf(names, loaded, context)).flat();
  if (flags.output === 'json') context.print(JSON.stringify(findings, null, 2));
  else {
    const rows = findings.map(({ verdict, check, detail }) => [verdict, check, detail]);
    printTable(['VERDICT', 'CHECK', 'DETAIL'], rows, context.print);
  }
  const faultCount = findings.filter(({ verdict }) => verdict === 'fault').length;
  if (faultCount > 0) throw fail('DOCTOR_FOUND', { count: faultCount });
};

const checkOf = (name: string): Check | undefined => ALL_CHECKS[name as keyof typeof ALL_CHECKS];

const findingsOf = async (
  names: readonly string[],
  loaded: LoadedConfig,
  context: CliContext,
): Promise<Finding[][]> => {
  const clock = createClock();
  const found: Finding[][] = [];
  for (const check of names) {
    const results = await Promise.resolve()
      .then(() => checkOf(check)?.({ ...loaded, clock, context }))
      .catch((thrown: unknown) => [faultFrom(thrown)]);
    found.push((results ?? []).map((result) => ({ check, ...result })));
  }
  return found;
};
