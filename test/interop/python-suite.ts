/**
 * The Python suite: pytest with the SDK from PyPI, in virtual environments of its own.
 *
 * Flow: check Python and nginx, make an environment when it is missing or its requirements changed, run pytest; then the core again
 * with versions of the SDK that are still in the field.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { INTEROP, lastLine, runCommand } from './command.ts';

/** The tests use asyncio.TaskGroup, which came with 3.11; Debian 12 has that version. */
const PYTHON_MINOR_MIN = 11;
const CHECK_MS = 30_000;
const INSTALL_MS = 300_000;
const SUITE_MS = 600_000;

const REQUIREMENTS = readFileSync(join(INTEROP, 'requirements.txt'), 'utf8');

/** A virtual environment: where it is, and what is installed in it. */
interface Environment {
  readonly directory: string;
  readonly requirements: string;
}

const CURRENT: Environment = { directory: join(INTEROP, '.venv'), requirements: REQUIREMENTS };

/**
 * The first version, and the last one that dials back inside its read loop, each with the newest protobuf that it takes. They lack
 * what much of the suite is about; publishing and dialling they all can.
 */
const OLDER = [
  { sdk: '0.1.1', protobuf: '6.33.6' },
  { sdk: '0.4.0', protobuf: '6.33.6' },
] as const;
const CORE = ['test_publish.py', 'test_private_dial.py'];

const olderEnvironment = ({ sdk, protobuf }: (typeof OLDER)[number]): Environment => ({
  directory: join(INTEROP, '.cache', `python-${sdk}`),
  requirements: REQUIREMENTS.replace(/^(rstreamlabs-rstream==).*$/m, `$1${sdk}`).replace(
    /^(protobuf==).*$/m,
    `$1${protobuf}`,
  ),
});

const pythonOf = ({ directory }: Environment): string => join(directory, 'bin', 'python');

/** Returns the interpreter's version, or throws a sentence that says what is missing. */
const requirePython = async (): Promise<string> => {
  const program = 'import sys; print("%d.%d.%d" % sys.version_info[:3]); import venv, ensurepip';
  const { code, output } = await runCommand('python3', ['-c', program], {
    timeoutMs: CHECK_MS,
    output: 'keep',
  });
  const version = /^3\.(\d+)\.\d+/.exec(output);
  if (version === null || Number(version[1]) < PYTHON_MINOR_MIN)
    throw new Error(
      `Python 3.${PYTHON_MINOR_MIN} or later is missing (Debian: apt-get install python3 python3-venv).`,
    );
  if (code !== 0) throw new Error('Python lacks venv and pip (Debian: apt-get install python3-venv).');
  return version[0];
};

const requireNginx = async (): Promise<void> => {
  // Debian keeps nginx in a directory that is not on every user's path.
  for (const program of ['nginx', '/usr/sbin/nginx']) {
    const { code } = await runCommand(program, ['-v'], { timeoutMs: CHECK_MS, output: 'keep' });
    if (code === 0) return;
  }
  throw new Error('nginx, one of the published upstreams, is missing (Debian: apt-get install nginx-light).');
};

/** Makes a virtual environment; one that was made from the same requirements by the same Python is kept. */
const makeEnvironment = async (environment: Environment, pythonVersion: string): Promise<void> => {
  const { directory, requirements } = environment;
  const stampFile = join(directory, 'interop-stamp');
  const stamp = createHash('sha256').update(pythonVersion).update(requirements).digest('hex');
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return;
  const listFile = join(directory, 'requirements.txt');
  const run = async (program: string, args: string[]) => {
    const { code, output } = await runCommand(program, args, { timeoutMs: INSTALL_MS, output: 'keep' });
    if (code !== 0) throw new Error(`The Python environment could not be made: ${lastLine(output)}`);
  };
  mkdirSync(directory, { recursive: true });
  await run('python3', ['-m', 'venv', '--clear', directory]);
  writeFileSync(listFile, requirements);
  const install = ['-m', 'pip', 'install', '--quiet', '--only-binary', ':all:', '--requirement', listFile];
  await run(pythonOf(environment), install);
  // Written last: an installation that was cut short is done again.
  writeFileSync(stampFile, stamp);
};

/** Runs pytest in an environment; throws one sentence when it does not pass. */
const runTests = async (environment: Environment, files: readonly string[]): Promise<void> => {
  const { code } = await runCommand(
    pythonOf(environment),
    ['-m', 'pytest', '-q', '--durations=5', ...files],
    {
      cwd: join(INTEROP, 'python'),
      env: { INTEROP_NODE: process.execPath, PYTHONDONTWRITEBYTECODE: '1' },
      timeoutMs: SUITE_MS,
      output: 'show',
    },
  );
  if (code === null) throw new Error(`pytest did not end within ${SUITE_MS / 1000} s.`);
  if (code !== 0) throw new Error('tests failed, see above.');
};

/** Runs the Python tests; throws one sentence when they cannot run or do not pass. */
export const runPythonSuite = async (): Promise<void> => {
  const version = await requirePython();
  await requireNginx();
  await makeEnvironment(CURRENT, version);
  await runTests(CURRENT, []);
  for (const older of OLDER) {
    const environment = olderEnvironment(older);
    await makeEnvironment(environment, version);
    console.log(`\nthe core with version ${older.sdk} of the SDK:`);
    await runTests(environment, CORE);
  }
};
