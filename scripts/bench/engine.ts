/**
 * The engine under test: one process of its own, published to by the built-in agent in another, both from the bundle of `runtime.ts`.
 *
 * It goes through the same commands as an operator does (init, token create, serve, forward), so what is measured is the product's default set-up.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Agent, type AgentEvent, type AgentOptions, createAgent } from '../../src/agent/agent.ts';
import { createLogger } from '../../src/base/log.ts';
import { Secret } from '../../src/base/secret.ts';
import { createClock } from '../../src/base/time.ts';
import type { CertificatePaths } from './nginx.ts';
import { freePort, type Running, start, untilReady } from './process.ts';
import type { Runtime } from './runtime.ts';
import type { Subject } from './subject.ts';

/** A running engine with one published tunnel. */
export interface Engine extends Running, Subject {
  /** The engine's own certificate, for the reference to serve too. */
  certificate: CertificatePaths;
}

/**
 * Opens tunnels of agents of their own. These live in the bench's process, where their code is warm: a new process would be timed instead.
 */
const createTunnelOpener = (target: Pick<AgentOptions, 'engine' | 'token'>, upstreamPort: number) => {
  let count = 0;
  return async (): Promise<{ host: string; close(): Promise<void> }> => {
    const hostname = `cold-${++count}`;
    const upstream = { host: '127.0.0.1', port: upstreamPort };
    const options = { ...target, tunnels: [{ properties: { publish: true, hostname }, upstream }] };
    const needs = { clock: createClock(), log: createLogger('silent') };
    let agent: Agent | undefined;
    await new Promise<void>((resolve, reject) => {
      const onEvent = ({ kind }: AgentEvent): void => {
        if (kind === 'online') resolve();
      };
      agent = createAgent({ ...needs, onEvent }, options);
      agent.run().then(resolve, reject);
    });
    return { host: `${hostname}.t.localhost`, close: async () => agent?.stop() };
  };
};

/**
 * Starts engine and agent and waits until the upstream answers through them.
 *
 * @param dir an absent or empty folder for the engine's data
 * @param nodeFlags flags of Node for the engine's process, not for the agent's
 */
export const startEngine = async (
  dir: string,
  runtime: Runtime,
  upstreamPort: number,
  nodeFlags: string[],
): Promise<Engine> => {
  const port = await freePort();
  const config = join(dir, 'config.yaml');
  const run = (...args: string[]): string =>
    execFileSync(runtime.execPath, [runtime.enginePath, ...args], { encoding: 'utf8', stdio: 'pipe' });
  run('init', '--dir', dir, '--host', 'localhost', '--listen', `127.0.0.1:${port}`);
  const tokenPath = join(dir, 'bench-token');
  const token = run('token', 'create', '--config', config, '--name', 'bench', '--quiet');
  writeFileSync(tokenPath, token, { mode: 0o600 });

  const serve = [...nodeFlags, runtime.enginePath, 'serve', '--config', config];
  const engine = start('engine', runtime.execPath, serve);
  let agent: Running | undefined;
  const stop = async (): Promise<void> => {
    await agent?.stop();
    await engine.stop();
  };
  try {
    // The engine's own host answers as soon as it listens, with whatever status.
    await untilReady('localhost', port, '/', () => true);
    const trust = ['--token-file', tokenPath, '--ca-file', join(dir, 'ca.pem')];
    const forward = [`127.0.0.1:${upstreamPort}`, '--engine', `localhost:${port}`, '--hostname', 'bench'];
    agent = start('agent', runtime.execPath, [runtime.enginePath, 'forward', ...forward, ...trust]);
    const host = 'bench.t.localhost';
    await untilReady(host, port, '/');
    const certificate = { certificate: join(dir, 'server.pem'), key: join(dir, 'server-key.pem') };
    const target = { host: 'localhost', port, ca: readFileSync(join(dir, 'ca.pem')) };
    const openTunnel = createTunnelOpener({ engine: target, token: new Secret(token.trim()) }, upstreamPort);
    return { host, port, certificate, openTunnel, pid: engine.pid, stop };
  } catch (error) {
    await stop();
    throw error;
  }
};
