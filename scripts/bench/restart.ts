/**
 * `npm run bench:restart [-- --binary FILE] [--agents 50] [--downstreams 50]`: what a restart of the engine under load costs.
 *
 * Flow: an engine in a process of its own; agents, an upstream and downstreams in this one. While pages are fetched and downloads are under
 * way the engine gets a SIGTERM, as from `systemctl restart`, and is started again when it has ended.
 * Why our own agent: it waits as the official `rstream run` does before it connects again, a random time that doubles from a second, and
 * fifty of them fit into this process.
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Agent as HttpsAgent, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Agent, createAgent } from '../../src/agent/agent.ts';
import { createLogger } from '../../src/base/log.ts';
import { Secret } from '../../src/base/secret.ts';
import { createClock } from '../../src/base/time.ts';
import { freePort, start, untilReady } from './process.ts';

export interface RestartOptions {
  /** What runs the engine: a program and its first arguments. */
  readonly program: readonly [string, ...string[]];
  readonly agentCount: number;
  /** Each fetches one page after the other, and has one download under way when the engine is told to stop. */
  readonly downstreamCount: number;
}

/** Milliseconds from the signal on. */
export interface RestartCost {
  readonly downloads: { readonly wholeCount: number; readonly cutCount: number };
  readonly requests: { readonly answeredCount: number; readonly failedCount: number };
  /** Until the engine had ended, and until the next one listened. */
  readonly endedMs: number;
  readonly listeningMs: number;
  /** Until the first agent was back, and until all were. */
  readonly firstAgentMs: number;
  readonly allAgentsMs: number;
  /** The longest time in which a tunnel did not answer. */
  readonly silenceMs: number;
}

const RETRY_MS = 50;
const DOWNLOAD_MS = 1_000;
const WARM_MS = 1_000;

/** Everything that is started here is gone when it resolves or rejects. */
export const measureRestart = async (options: RestartOptions): Promise<RestartCost> => {
  const dir = mkdtempSync(join(tmpdir(), 'rstream-engine-ce-restart-'));
  const ends: (() => unknown)[] = [() => rmSync(dir, { recursive: true, force: true })];
  try {
    return await measureIn(dir, options, (end) => ends.unshift(end));
  } finally {
    for (const end of ends) await end();
  }
};

const measureIn = async (
  dir: string,
  { program: [command, ...words], agentCount, downstreamCount }: RestartOptions,
  onEnd: (end: () => unknown) => void,
): Promise<RestartCost> => {
  const port = await freePort();
  const config = join(dir, 'engine/config.yaml');
  const run = (...args: string[]): string =>
    execFileSync(command, [...words, ...args], { encoding: 'utf8', stdio: 'pipe' });
  run('init', '--dir', join(dir, 'engine'), '--listen', `127.0.0.1:${port}`);
  const token = new Secret(run('token', 'create', '-c', config, '--name', 'load', '--quiet').trim());
  const ca = readFileSync(join(dir, 'engine/ca.pem'));
  const startEngine = async () => {
    const engine = start('engine', command, [...words, 'serve', '--config', config]);
    onEnd(engine.stop);
    await untilReady('localhost', port, '/', () => true);
    return engine;
  };
  const engine = await startEngine();
  const upstreamPort = await startUpstream(onEnd);
  const agents = startAgents(agentCount, { host: 'localhost', port, ca }, token, upstreamPort);
  onEnd(agents.stop);
  await agents.allOnline();

  const load = startLoad({ port, ca }, agentCount, downstreamCount);
  onEnd(load.stop);
  await sleep(WARM_MS);
  const downloads = await load.startDownloads();
  const startMs = performance.now();
  const since = (ms: number) => ms - startMs;
  await engine.stop();
  const endedMs = since(performance.now());
  await startEngine();
  const listeningMs = since(performance.now());
  await agents.allOnline();
  const allAgentsMs = since(Math.max(...agents.onlineAtMs()));
  const firstAgentMs = since(Math.min(...agents.onlineAtMs()));
  await load.allAnswer();
  await load.stop();
  return {
    downloads: await downloads.over(),
    requests: load.countsSince(startMs),
    ...{ endedMs, listeningMs, firstAgentMs, allAgentsMs },
    silenceMs: load.longestSilenceMs(),
  };
};

/** Pages at once, downloads in two halves. */
const startUpstream = async (onEnd: (end: () => unknown) => void): Promise<number> => {
  const finishLater = (response: ServerResponse) =>
    setTimeout(() => response.end('second half'), DOWNLOAD_MS);
  const server = createServer((request, response) => {
    if (request.url !== '/download') return response.end('page');
    response.write('first half, ');
    return finishLater(response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onEnd(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
};

const startAgents = (
  count: number,
  engine: { host: string; port: number; ca: Buffer },
  token: Secret,
  upstreamPort: number,
) => {
  const clock = createClock();
  const log = createLogger('silent');
  const onlineAtMs = new Map<number, number>();
  const agents: Agent[] = Array.from({ length: count }, (_, index) => {
    const upstream = { host: '127.0.0.1', port: upstreamPort };
    return createAgent(
      {
        clock,
        log,
        onEvent: ({ kind }) => {
          if (kind === 'online') onlineAtMs.set(index, performance.now());
          else if (kind === 'offline') onlineAtMs.delete(index);
        },
      },
      { engine, token, tunnels: [{ properties: { hostname: `load-${index}` }, upstream }] },
    );
  });
  const runs = agents.map((agent) => agent.run());
  return {
    onlineAtMs: () => [...onlineAtMs.values()],
    allOnline: async () => {
      while (onlineAtMs.size < count) await Promise.race([sleep(10), ...runs]);
    },
    stop: () => Promise.all(agents.map((agent) => agent.stop())),
  };
};

interface Answer {
  readonly tunnel: number;
  readonly beganMs: number;
  readonly endedMs: number;
  readonly isGood: boolean;
}

const startLoad = (target: { port: number; ca: Buffer }, tunnelCount: number, downstreamCount: number) => {
  const answers: Answer[] = [];
  let isStopped = false;
  const tunnelOf = (downstream: number) => downstream % tunnelCount;

  const fetchPages = async (downstream: number) => {
    const agent = new HttpsAgent({ keepAlive: true, maxSockets: 1 });
    const tunnel = tunnelOf(downstream);
    while (!isStopped) {
      const beganMs = performance.now();
      const isGood = (await bodyOf(target, tunnel, '/', agent).catch(() => '')) === 'page';
      answers.push({ tunnel, beganMs, endedMs: performance.now(), isGood });
      // As a patient client does, and so that this process has time for its agents.
      await sleep(RETRY_MS);
    }
    agent.destroy();
  };
  const loops = Array.from({ length: downstreamCount }, (_, downstream) => fetchPages(downstream));
  const goodOf = (tunnel: number) => answers.filter((answer) => answer.isGood && answer.tunnel === tunnel);

  return {
    /** Resolves when the first half of each has come. */
    startDownloads: async () => {
      const begun = await Promise.all(
        loops.map(async (_, downstream) => {
          const response = await answerOf(target, tunnelOf(downstream), '/download', new HttpsAgent());
          await once(response, 'readable');
          return response;
        }),
      );
      return {
        over: async () => {
          const bodies = await Promise.all(begun.map((response) => textOf(response).catch(() => '')));
          const wholeCount = bodies.filter((body) => body === 'first half, second half').length;
          return { wholeCount, cutCount: bodies.length - wholeCount };
        },
      };
    },
    /** Resolves when each tunnel that is fetched from has answered what was asked from now on. */
    allAnswer: async () => {
      const fromMs = performance.now();
      const used = Math.min(tunnelCount, downstreamCount);
      const isAnswering = (tunnel: number) => goodOf(tunnel).some(({ beganMs }) => beganMs >= fromMs);
      while (!Array.from({ length: used }, (_, tunnel) => isAnswering(tunnel)).every(Boolean))
        await sleep(RETRY_MS);
    },
    countsSince: (fromMs: number) => {
      const later = answers.filter(({ endedMs }) => endedMs >= fromMs);
      const answeredCount = later.filter(({ isGood }) => isGood).length;
      return { answeredCount, failedCount: later.length - answeredCount };
    },
    longestSilenceMs: () =>
      Math.max(
        ...Array.from({ length: tunnelCount }, (_, tunnel) => {
          const times = goodOf(tunnel).map(({ endedMs }) => endedMs);
          return Math.max(0, ...times.slice(1).map((ms, index) => ms - (times[index] as number)));
        }),
      ),
    stop: async () => {
      isStopped = true;
      await Promise.all(loops);
    },
  };
};

const bodyOf = async (...args: Parameters<typeof answerOf>): Promise<string> => {
  const response = await answerOf(...args);
  const body = await textOf(response);
  return response.statusCode === 200 ? body : '';
};

const answerOf = async (
  { port, ca }: { port: number; ca: Buffer },
  tunnel: number,
  path: string,
  agent: HttpsAgent,
): Promise<IncomingMessage> => {
  const host = `load-${tunnel}.t.localhost`;
  const options = { host: '127.0.0.1', port, ca, path, agent, servername: host, timeout: 10_000 };
  const sent = request({ ...options, headers: { host: `${host}:${port}` } });
  // Of a connection that breaks once its answer has begun, the answer tells.
  sent.on('error', () => {}).on('timeout', () => sent.destroy(new Error('no answer within 10 s')));
  sent.end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return response;
};

const textOf = async (response: IncomingMessage): Promise<string> => {
  let text = '';
  for await (const chunk of response) text += chunk;
  return text;
};

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      binary: { type: 'string' },
      agents: { type: 'string', default: '50' },
      downstreams: { type: 'string', default: '50' },
    },
  });
  const source = fileURLToPath(new URL('../rstream-engine-ce.mjs', import.meta.url));
  const cost = await measureRestart({
    program: values.binary === undefined ? [process.execPath, source] : [resolve(values.binary)],
    agentCount: Number(values.agents),
    downstreamCount: Number(values.downstreams),
  });
  console.log(JSON.stringify(cost, (_, value) => (typeof value === 'number' ? Math.round(value) : value), 2));
};

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
