/**
 * Processes that the bench starts: waiting until they answer, reading their CPU time, stopping them by id.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const STOP_MS_MAX = 10_000;
const READY_MS_MAX = 30_000;

/** A process of the bench. */
export interface Running {
  pid: number;
  /** SIGTERM, then SIGKILL after ten seconds; resolves when it is gone. */
  stop(): Promise<void>;
}

// USER_HZ: Linux shows times to user space in hundredths of a second on every machine that Node runs on.
const TICKS_PER_SECOND = 100;

/** User and system CPU seconds out of a `/proc/PID/stat`, in steps of a clock tick (10 ms). See proc_pid_stat(5). */
export const cpuSecondsFromStat = (stat: string): number => {
  // The command's name, in parentheses, may hold spaces and parentheses: count the fields after it. utime and stime are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
};

/** CPU seconds that a process has spent so far, all of its threads together. */
export const cpuSeconds = (pid: number): number =>
  cpuSecondsFromStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));

/** Starts a process and keeps the last of what it prints, for the error if it ends too early. */
export const start = (name: string, command: string, args: string[]): Running => {
  const child: ChildProcess = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let tail = '';
  let isStopping = false;
  const keep = (chunk: Buffer): void => {
    tail = (tail + chunk.toString()).slice(-2000);
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  const ended = once(child, 'exit');
  child.on('exit', (code, signal) => {
    if (!isStopping) console.error(`bench: ${name} ended by itself (${signal ?? code}):\n${tail}`);
  });
  if (child.pid === undefined) throw new Error(`${name}: ${command} does not start`);
  return {
    pid: child.pid,
    stop: async () => {
      isStopping = true;
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      const late = new AbortController();
      sleep(STOP_MS_MAX, undefined, { signal: late.signal }).then(
        () => child.kill('SIGKILL'),
        () => {},
      );
      await ended;
      late.abort();
    },
  };
};

/** A loopback port that was free a moment ago. */
export const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
};

const fetchStatus = (host: string, port: number, path: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path, servername: host, headers: { host: `${host}:${port}` } };
    const sent = request({ ...options, agent: false, rejectUnauthorized: false }, (answer) => {
      answer.resume();
      answer.on('end', () => resolve(answer.statusCode ?? 0));
    });
    sent.setTimeout(2000, () => sent.destroy(new Error('no answer within 2 s')));
    sent.on('error', reject);
    sent.end();
  });

/** Waits until `https://host:port/path`, on loopback, answers as wanted: 200 unless told. Throws with the last fault after 30 s. */
export const untilReady = async (
  host: string,
  port: number,
  path: string,
  isWanted = (status: number): boolean => status === 200,
): Promise<void> => {
  const deadline = Date.now() + READY_MS_MAX;
  for (;;) {
    const fault = await fetchStatus(host, port, path).then(
      (status) => (isWanted(status) ? undefined : `status ${status}`),
      (error: Error) => error.message,
    );
    if (fault === undefined) return;
    if (Date.now() > deadline) throw new Error(`https://${host}:${port}${path} does not answer: ${fault}`);
    await sleep(100);
  }
};
