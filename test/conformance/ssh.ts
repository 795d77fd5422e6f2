/** OpenSSH through a published TCP tunnel: a protocol that speaks first on both sides, with long-lived and bulky sessions. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runCommand } from '../interop/command.ts';
import { freePort } from '../support/free-port.ts';
import type { Published } from './published.ts';
import { runCases } from './tools.ts';

const SSHD = '/usr/sbin/sshd';
// It drops its privileges into this directory, and Debian makes it only when its own service starts.
const PRIVILEGE_SEPARATION = '/run/sshd';
const CASE_MS = 60_000;
const START_MS_MAX = 10_000;
const BULK_BYTES = 32 * 1024 * 1024;

const run = async (program: string, args: readonly string[]): Promise<string> => {
  const { code, output } = await runCommand(program, args, { timeoutMs: CASE_MS, output: 'keep' });
  assert.equal(code, 0, `${program} ended with ${code}: ${output}`);
  return output;
};

const accepts = async (port: number): Promise<boolean> => {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
};

/** A server of this run's own, with keys of its own, that lets in who runs this. */
const startSshd = async (directory: string): Promise<{ port: number; key: string; stop(): void }> => {
  if (!existsSync(SSHD)) throw new Error(`${SSHD} is missing (Debian: apt-get install openssh-server).`);
  const key = join(directory, 'ssh-key');
  await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  if (userInfo().uid === 0) mkdirSync(PRIVILEGE_SEPARATION, { recursive: true, mode: 0o755 });
  const port = await freePort();
  const options = {
    Port: String(port),
    ListenAddress: '127.0.0.1',
    HostKey: key,
    AuthorizedKeysFile: `${key}.pub`,
    StrictModes: 'no',
    UsePAM: 'no',
    PidFile: 'none',
  };
  const flags = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  const child = spawn(SSHD, ['-D', '-e', '-f', '/dev/null', ...flags], { stdio: 'ignore' });
  const deadline = performance.now() + START_MS_MAX;
  while (!(await accepts(port))) {
    if (performance.now() > deadline || child.exitCode !== null) throw new Error('sshd did not start.');
    await sleep(50);
  }
  return { port, key, stop: () => void child.kill('SIGTERM') };
};

/** Runs it; returns what there is to tell, or throws every fault. */
export const runSsh = async ({ directory, forward }: Published): Promise<string> => {
  const server = await startSshd(directory);
  try {
    const address = await forward(`127.0.0.1:${server.port}`, '--protocol', 'tcp');
    const port = address.slice(address.lastIndexOf(':') + 1);
    const options = [
      'StrictHostKeyChecking=no',
      'UserKnownHostsFile=/dev/null',
      'LogLevel=ERROR',
      'BatchMode=yes',
    ];
    const flags = [
      '-F',
      '/dev/null',
      '-i',
      server.key,
      '-p',
      port,
      ...options.flatMap((option) => ['-o', option]),
    ];
    const ssh = (command: string) => run('ssh', [...flags, `${userInfo().username}@127.0.0.1`, command]);
    return await runCases({
      'a command': async () => assert.equal(await ssh('echo over ssh'), 'over ssh\n'),
      'a command that reads to the end of its input': async () =>
        assert.equal(await ssh('cat; echo whole'), 'whole\n'),
      'an exit code': () => assert.rejects(ssh('exit 3'), /ended with 3/),
      'a bulky answer': async () => {
        const output = await ssh(`head -c ${BULK_BYTES} /dev/zero | tr '\\0' x`);
        assert.equal(output.length, BULK_BYTES);
      },
      'eight sessions at once': async () => {
        const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => ssh(`echo ${i}`)));
        assert.deepEqual(
          answers,
          Array.from({ length: 8 }, (_, i) => `${i}\n`),
        );
      },
    });
  } finally {
    server.stop();
  }
};
