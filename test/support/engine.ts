/**
 * A whole engine in this process: real sockets, real TLS, real SQLite, a free port.
 *
 * Every engine that is started here is stopped when its test ends, and must then have nothing left.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Agent, createAgent } from '../../src/agent/agent.ts';
import { Secret } from '../../src/base/secret.ts';
import { type Clock, createClock } from '../../src/base/time.ts';
import type { TunnelProperties } from '../../src/base/tunnel-properties.ts';
import { type ConfigFile, createConfigFile } from '../../src/cli/config-file.ts';
import { configFromObject } from '../../src/config/load.ts';
import { yamlFrom } from '../../src/config/yaml-source.ts';
import { createEngine, type Engine } from '../../src/engine.ts';
import { type Credentials, createCredentials } from '../../src/store/credentials.ts';
import { openDatabase } from '../../src/store/database.ts';
import { createTestPair, type TestPair, testCertificates } from './certificates.ts';
import { connectFakeAgent, type FakeAgent, type FakeAgentOptions } from './fake-agent.ts';
import { createLogRecorder, type LogRecorder } from './log.ts';
import { makeTemporaryDirectory } from './temporary-directory.ts';

type Settings = Readonly<Record<string, unknown>>;

export interface EngineOptions {
  /** Sections of the configuration, laid over the harness's own. */
  readonly settings?: Settings;
  /** Takes the place of an engine that was stopped: same port, same database. */
  readonly successorOf?: TestEngine;
  /** Of the engine, its agents and what makes credentials; the system's by default. */
  readonly clock?: Clock;
  /** What it shows, in place of the pair that all engines of a process share. */
  readonly certificates?: { readonly ca: string; readonly certFile: string; readonly keyFile: string };
  /** Whether its settings stand in a file, which can be reloaded and written. */
  readonly hasConfigFile?: boolean;
}

export interface TestEngine {
  readonly engine: Engine;
  readonly port: number;
  /** Of the admin listener; 0 where the settings have none. */
  readonly adminPort: number;
  /** PEM of the authority that signed the engine's certificate. */
  readonly ca: string;
  readonly directory: string;
  readonly log: LogRecorder;
  /** Where the settings stand, if the options ask for that. */
  readonly configFile: ConfigFile | undefined;
  /** Makes a token over a database connection of its own, as the command line does. */
  createToken(name: string, permissions?: readonly string[] | null): Promise<string>;
  revokeToken(name: string): void;
  /** Works on the credentials over a database connection of its own, as the command line does. */
  withCredentials<Result>(work: (credentials: Credentials) => Result): Promise<Awaited<Result>>;
  /** Registers a client certificate that the test authority has signed, for `connectAgent` and other clients. */
  createClientCertificate(name: string, permissions?: readonly string[] | null): Promise<TestPair>;
  /** Opens a control channel that the test scripts. */
  connectAgent(options?: Partial<FakeAgentOptions>): Promise<FakeAgent>;
  /** Publishes an upstream through the built-in agent; resolves when the tunnel is online. */
  publish(
    upstream: { port: number },
    properties: TunnelProperties,
  ): Promise<{ agent: Agent; reply: TunnelProperties }>;
  /** Stops it and checks that nothing is left; done at the end of the test if not before. */
  stop(): Promise<void>;
}

export const startEngine = async (t: TestContext, options: EngineOptions = {}): Promise<TestEngine> => {
  const { settings = {}, successorOf, clock = createClock() } = options;
  const certificates = options.certificates ?? (await testCertificates());
  const directory = successorOf?.directory ?? makeTemporaryDirectory(t);
  const log = createLogRecorder();
  const databasePath = join(directory, 'engine.db');
  const all = {
    engine: { host: 'localhost', log_level: 'debug' },
    tls: { listen_addr: `127.0.0.1:${successorOf?.port ?? 0}` },
    certs: { static: { cert_file: certificates.certFile, key_file: certificates.keyFile } },
    store: { path: databasePath },
    timeouts: { drain_seconds: 1, stream_request_seconds: 5 },
    // A story that scripts its agent, or counts what reaches its upstream, is alone with them.
    probes: { enabled: false },
    ...settings,
  };
  const config = configFromObject(all, { dir: directory });
  const configPath = join(directory, 'config.yaml');
  if (options.hasConfigFile) writeFileSync(configPath, `# of a test\n${yamlFrom(all)}`, { mode: 0o600 });
  const configFile = options.hasConfigFile
    ? createConfigFile({ log, apply: (next) => engine.reload(next) }, { path: configPath, env: {} }, config)
    : undefined;
  const engine = createEngine(config, { clock, log, ...(configFile && { configFile }) });
  const { port, adminPort = 0 } = await engine.start();
  const agents = new Set<Agent>();
  let sharedToken: Promise<string> | undefined;

  const withCredentials = async <Result>(
    work: (credentials: Credentials) => Result,
  ): Promise<Awaited<Result>> => {
    const database = openDatabase({ path: databasePath, mode: 'open' });
    try {
      return await work(createCredentials({ database, clock, engineHost: 'localhost' }));
    } finally {
      database.close();
    }
  };
  const createToken = async (name: string, permissions: readonly string[] | null = null) =>
    (await withCredentials((credentials) => credentials.createToken({ name, permissions }))).token;
  const tokenOrShared = async (token: string | undefined) => {
    if (token !== undefined) return token;
    // The promise is kept, not what comes of it: agents that connect at once share it too.
    sharedToken ??= createToken(`shared-${Date.now()}`);
    return sharedToken;
  };

  let stopping: Promise<void> | undefined;
  const stop = async () => {
    for (const agent of agents) await agent.stop();
    await engine.stop();
    assert.deepEqual(
      Object.entries(engine.counts()).filter(([, count]) => count !== 0),
      [],
      'a stopped engine has nothing left',
    );
  };
  const stopOnce = () => {
    stopping ??= stop();
    return stopping;
  };
  t.after(stopOnce);

  return {
    engine,
    port,
    adminPort,
    ca: certificates.ca,
    directory,
    log,
    configFile,
    createToken,
    withCredentials,
    createClientCertificate: async (name, permissions = null) => {
      const pair = await createTestPair(name);
      await withCredentials((credentials) =>
        credentials.addCertificate({ name, permissions, pem: pair.cert }),
      );
      return pair;
    },
    revokeToken: (name) => {
      void withCredentials((credentials) => credentials.revokeToken(name));
    },
    connectAgent: async ({ token, ...rest } = {}) => {
      const agent = await connectFakeAgent({
        port,
        ca: certificates.ca,
        ...(rest.clientCertificate === undefined && { token: await tokenOrShared(token) }),
        ...(token !== undefined && { token }),
        ...rest,
      });
      t.after(() => agent.kill());
      return agent;
    },
    publish: async (upstream, properties) => {
      const token = new Secret(await tokenOrShared(undefined));
      return new Promise((resolve, reject) => {
        const agent = createAgent(
          {
            clock,
            log,
            onEvent: (event) => {
              const reply = event.kind === 'online' ? event.tunnels[0]?.properties : undefined;
              if (reply) resolve({ agent, reply });
            },
          },
          {
            engine: { host: 'localhost', port, ca: certificates.ca },
            token,
            tunnels: [{ properties, upstream: { host: '127.0.0.1', port: upstream.port } }],
          },
        );
        agents.add(agent);
        agent.run().catch(reject);
      });
    },
    stop: stopOnce,
  };
};

const listenOn = async (t: TestContext, server: Server): Promise<{ port: number }> => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return { port: (server.address() as AddressInfo).port };
};

/** A real HTTP server on a free port. */
export const startHttpUpstream = async (t: TestContext, onRequest: RequestListener) => {
  const server = createHttpServer(onRequest);
  const address = await listenOn(t, server);
  t.after(() => server.closeAllConnections());
  return { ...address, server };
};

/** A TCP server that does with each connection what the test says: for upstreams that break the rules. */
export const startTcpUpstream = async (t: TestContext, onConnection: (socket: Socket) => void) => {
  const sockets = new Set<Socket>();
  const server = createTcpServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).once('close', () => sockets.delete(socket));
    onConnection(socket);
  });
  const address = await listenOn(t, server);
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  return { ...address, server };
};
