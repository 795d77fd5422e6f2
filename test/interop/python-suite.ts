/**
 * The Python suite: pytest with the SDK from PyPI, in a virtual environment of its own.
 *
 * Flow: check Python and nginx, make `.venv` when it is missing or its requirements changed, run pytest.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { INTEROP, lastLine, runCommand } from './command.ts';

/** The tests use asyncio.TaskGroup, which came with 3.11; Debian 12 has that version. */
const PYTHON_MINOR_MIN = 11;
const CHECK_MS = 30_000;
const INSTALL_MS = 300_000;
const SUITE_MS = 600_000;

const REQUIREMENTS = join(INTEROP, 'requirements.txt');
const VENV = join(INTEROP, '.venv');
const VENV_PYTHON = join(VENV, 'bin', 'python');
const STAMP = join(VENV, 'interop-stamp');

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

/** Makes the virtual environment; one that was made from the same requirements by the same Python is kept. */
const makeEnvironment = async (pythonVersion: string): Promise<void> => {
  const stamp = createHash('sha256').update(pythonVersion).update(readFileSync(REQUIREMENTS)).digest('hex');
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === stamp) return;
  const steps: [program: string, args: string[]][] = [
    ['python3', ['-m', 'venv', '--clear', VENV]],
    [
      VENV_PYTHON,
      ['-m', 'pip', 'install', '--quiet', '--only-binary', ':all:', '--requirement', REQUIREMENTS],
    ],
  ];
  for (const [program, args] of steps) {
    const { code, output } = await runCommand(program, args, { timeoutMs: INSTALL_MS, output: 'keep' });
    if (code !== 0) throw new Error(`The Python environment could not be made: ${lastLine(output)}`);
  }
  // Written last: an installation that was cut short is done again.
  writeFileSync(STAMP, stamp);
};

/** Runs the Python tests; throws one sentence when they cannot run or do not pass. */
export const runPythonSuite = async (): Promise<void> => {
  const version = await requirePython();
  await requireNginx();
  await makeEnvironment(version);
  const { code } = await runCommand(VENV_PYTHON, ['-m', 'pytest', '-q', '--durations=5'], {
    cwd: join(INTEROP, 'python'),
    env: { INTEROP_NODE: process.execPath, PYTHONDONTWRITEBYTECODE: '1' },
    timeoutMs: SUITE_MS,
    output: 'show',
  });
  if (code === null) throw new Error(`pytest did not end within ${SUITE_MS / 1000} s.`);
  if (code !== 0) throw new Error('tests failed, see above.');
};
