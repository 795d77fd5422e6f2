/**
 * What the tools are pointed at: an engine and an agent, started from source with the commands of the README, and our upstream
 * behind them.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT, runCommand } from '../interop/command.ts';
import { type ConformanceUpstream, startUpstream } from './upstream.ts';

const START_MS_MAX = 60_000;
// What is printed for an HTTP tunnel, and for one of raw bytes.
const URL_PRINTED = /https:\/\/\S+(?=\s)/;
const RAW_PRINTED = /\S+:\d+(?= \((?:tcp|tls)\)\s)/;
const STOP_MS_MAX = 15_000;
const OUTPUT_CHARS_KEPT = 4_000;

/** The one address of this machine whose connections begin with a PROXY header. */
export const PROXY_ADDRESS = '127.0.0.9';

/** A tunnel that is online. */
export interface Published {
  /** The published name; few resolvers know names below localhost, so tools are told the address: 127.0.0.1. */
  readonly host: string;
  readonly port: number;
  readonly caFile: string;
  readonly certificateFile: string;
  /** A directory that is gone after the run. */
  readonly directory: string;
  readonly upstream: ConformanceUpstream;
  /** A token that a page may have in a URL: it can list and watch, for a minute. */
  createWatchToken(): Promise<string>;
  /** Publishes one more service, with flags of `forward`; returns the address that it prints. */
  forward(service: string, ...flags: string[]): Promise<string>;
  /** Ends everything; throws when the engine or the agent did not live, or end, as it should. */
  stop(): Promise<void>;
}

/** A command of ours, running. */
interface Running {
  readonly child: ChildProcess;
  readonly name: string;
  tail(): string;
}

const startCommand = (args: readonly string[]): Running => {
  const child = spawn(process.execPath, ['--import', 'tsx', 'src/main.ts', ...args], {
    cwd: ROOT,
    env: { ...process.env, RSTREAM_ENGINE_PROXY_PROTOCOL__TRUSTED: PROXY_ADDRESS },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-OUTPUT_CHARS_KEPT);
    });
  return { child, name: args[0] ?? '', tail: () => output };
};

/** Waits until a command prints its forwarding address, which it does when its tunnel is online. */
const addressFrom = async ({ child, name, tail }: Running, pattern: RegExp): Promise<string> => {
  const deadline = performance.now() + START_MS_MAX;
  while (performance.now() < deadline && child.exitCode === null) {
    const [address] = pattern.exec(tail()) ?? [];
    if (address !== undefined) return address;
    await sleep(20);
  }
  throw new Error(`\`${name}\` did not publish anything; it said:\n${tail()}`);
};

const stopCommand = async ({ child, name, tail }: Running): Promise<void> => {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
    await once(child, 'exit');
    clearTimeout(timer);
  }
  if (child.exitCode !== 0)
    throw new Error(`\`${name}\` ended with ${child.signalCode ?? child.exitCode}; it said:\n${tail()}`);
};

/** Makes one with the command line, as operators do. */
const createWatchToken = async (directory: string): Promise<string> => {
  const flags = ['--kind', 'auth', '--source', 'quickstart', '--list-only', '--quiet'];
  const permission = ['--permission', 'tunnels.resources.read-only'];
  const config = ['--config', join(directory, 'config.yaml')];
  const { code, output } = await runCommand(
    process.execPath,
    ['--import', 'tsx', 'src/main.ts', 'token', 'create', ...flags, ...permission, ...config],
    { cwd: ROOT, timeoutMs: START_MS_MAX, output: 'keep' },
  );
  if (code !== 0) throw new Error(`\`token create\` ended with ${code}`);
  return output.trim();
};

/** Starts everything. */
export const publish = async (): Promise<Published> => {
  const directory = mkdtempSync(join(tmpdir(), 'rstream-conformance-'));
  const upstream = await startUpstream();
  const running: Running[] = [];
  // Whoever ends this process by a signal means its children too.
  const kill = () => {
    for (const { child } of running) child.kill('SIGKILL');
  };
  process.once('exit', kill);
  const stop = async () => {
    try {
      for (const command of running.reverse()) await stopCommand(command);
    } finally {
      kill();
      upstream.stop();
      rmSync(directory, { recursive: true, force: true });
    }
  };
  const start = (pattern: RegExp, ...args: string[]): Promise<string> => {
    const command = startCommand(args);
    running.push(command);
    return addressFrom(command, pattern);
  };
  const data = join(directory, 'data');
  const caFile = join(data, 'ca.pem');
  try {
    const { port } = new URL(
      await start(URL_PRINTED, 'quickstart', '--dir', data, '--listen', '127.0.0.1:0'),
    );
    const engine = ['--engine', `localhost:${port}`, '--ca-file', caFile];
    const token = ['--token-file', join(data, 'agent-token')];
    const service = `127.0.0.1:${upstream.port}`;
    const forward = (pattern: RegExp, ...args: string[]) =>
      start(pattern, 'forward', ...args, ...engine, ...token);
    const { hostname } = new URL(await forward(URL_PRINTED, service, '--hostname', 'conformance'));
    return {
      host: hostname,
      port: Number(port),
      caFile,
      certificateFile: join(data, 'server.pem'),
      directory,
      upstream,
      createWatchToken: () => createWatchToken(data),
      forward: (...args) => forward(RAW_PRINTED, ...args),
      stop,
    };
  } catch (error) {
    await stop().catch(() => {});
    throw error;
  }
};
