/**
 * `quickstart`: from nothing to a published page in one command; what `npm start` runs.
 *
 * Flow: make ./data if it is not there, start the engine, publish a sample page through the built-in agent, say what to do next.
 * Invariant: what an earlier start made is used again, so that tokens and the trust in the local CA stay good.
 */
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { isSea } from 'node:sea';
import type { Command } from 'commander';
import { createAgent } from '../agent/agent.ts';
import { forwardingAddress } from '../agent/forwarding-address.ts';
import { createLogger } from '../base/log.ts';
import { Secret } from '../base/secret.ts';
import { type Clock, createClock } from '../base/time.ts';
import type { TunnelProperties } from '../base/tunnel-properties.ts';
import { loadConfig } from '../config/load.ts';
import { createEngine } from '../engine.ts';
import { createCredentials } from '../store/credentials.ts';
import { openDatabase } from '../store/database.ts';
import { VERSION } from '../version.ts';
import { FIRST_ADMIN, linkAddress, pageAddress, withAdmins } from './admin.ts';
import { createConfigFile } from './config-file.ts';
import type { CliContext } from './context.ts';
import { createInstance, type InstanceFiles, instanceFiles } from './instance.ts';
import { serveSamplePage } from './sample-page.ts';

const HOST = 'localhost';
const TOKEN_NAME = 'quickstart';

export const registerQuickstart = (program: Command, context: CliContext): void => {
  program
    .command('quickstart')
    .description('make ./data if needed, start an engine on this machine and publish a sample page')
    .option('--dir <dir>', 'directory of the engine', 'data')
    .option('--listen <address>', 'address of the TLS listener, when the directory is new', '127.0.0.1:8443')
    .action((flags: { dir: string; listen: string }) => run(flags, context));
};

const run = async (flags: { dir: string; listen: string }, context: CliContext): Promise<void> => {
  const clock = createClock();
  const files = existsSync(instanceFiles(flags.dir).config)
    ? instanceFiles(flags.dir)
    : await createInstance({ ...flags, host: HOST }, clock);
  const source = { path: files.config, env: context.env };
  const { config, warnings } = loadConfig(source);
  for (const warning of warnings) context.tell(`warning: ${warning}.`);

  const log = createLogger(config.engine.log_level === 'info' ? 'warn' : config.engine.log_level);
  const configFile = createConfigFile({ log, apply: (next) => engine.reload(next) }, source, config);
  const engine = createEngine(config, { clock, log, configFile });
  const { port, adminPort } = await engine.start();
  const tokenFile = await agentTokenFile(files, config.store.path, config.engine.host, clock);
  const page = await serveSamplePage();
  const pageLine = adminPort === undefined ? '' : await adminLine(files, adminPort, context);

  const agent = createAgent(
    {
      clock,
      log,
      onEvent: (event) => {
        const properties = event.kind === 'online' ? event.tunnels[0]?.properties : undefined;
        if (properties)
          greet(context, files, tokenFile, `${config.engine.host}:${port}`, properties, pageLine);
      },
    },
    {
      engine: { host: config.engine.host, port, ca: readFileSync(files.caCertificate) },
      token: new Secret(readFileSync(tokenFile, 'utf8').trim()),
      version: VERSION,
      tunnels: [
        {
          properties: { name: 'hello', hostname: 'hello' },
          upstream: { host: '127.0.0.1', port: page.port },
        },
      ],
    },
  );
  const stopped = context.stopSignal.aborted ? Promise.resolve() : once(context.stopSignal, 'abort');
  try {
    await Promise.race([stopped, agent.run()]);
  } finally {
    await agent.stop();
    page.server.close();
    await engine.stop();
  }
};

/** The file of a token that is valid on this engine; a new one is made when there is none. */
const agentTokenFile = async (
  files: InstanceFiles,
  databasePath: string,
  engineHost: string,
  clock: Clock,
): Promise<string> => {
  const path = join(files.dir, 'agent-token');
  const database = openDatabase({ path: databasePath, mode: 'open' });
  try {
    const credentials = createCredentials({ database, clock, engineHost });
    const isValid = (token: string) =>
      credentials.verify(token).then(
        () => true,
        () => false,
      );
    if (existsSync(path) && (await isValid(readFileSync(path, 'utf8').trim()))) return path;
    // The name is taken when only the file was lost.
    const old = credentials.listTokens().find(({ name, revokedAt }) => name === TOKEN_NAME && !revokedAt);
    if (old) credentials.revokeToken(old.id);
    const { token } = await credentials.createToken({ name: TOKEN_NAME, permissions: null });
    writeFileSync(path, `${token}\n`, { mode: 0o600 });
    return path;
  } finally {
    database.close();
  }
};

/** Where the admin page is; with a one-time link as long as nobody has logged in. */
const adminLine = (files: InstanceFiles, port: number, context: CliContext): Promise<string> =>
  withAdmins({ config: files.config }, 'open', { ...context, tell: () => {} }, (admins, config) => {
    const [first] = admins.list();
    if (first?.hasPassword) return `The admin page: ${pageAddress(config, port)}`;
    const { link } = first ? admins.link(first.id) : admins.create({ name: FIRST_ADMIN, role: 'admin' });
    const address = linkAddress(config, link, port);
    return `The admin page; this link is good for one login, in the next 15 minutes:\n\n  ${address}`;
  });

const greet = (
  { print }: CliContext,
  files: InstanceFiles,
  tokenFile: string,
  engine: string,
  properties: TunnelProperties,
  pageLine: string,
): void => {
  const shown = (path: string) => {
    const short = relative(process.cwd(), path);
    return short.startsWith('..') ? path : short;
  };
  const url = forwardingAddress(properties);
  // As it was typed: what it can be found by here.
  const self = isSea() ? process.argv0 : 'npm run -s engine --';
  const [ca, token] = [shown(files.caCertificate), shown(tokenFile)];
  print(`
rstream-engine-ce ${VERSION} is running, and publishes a sample page:

  ${url}

  curl --cacert ${ca} ${url}

A browser warns until it trusts the local CA in ${ca}; this says how:

  ${self} cert trust --config ${shown(files.config)}

${pageLine}

Publish a port of yours (here 3000), in another terminal:

  ${self} forward 3000 --engine ${engine} --token-file ${token} --ca-file ${ca} --hostname my-app

The same with the official CLI:

  rstream context create local --engine ${engine} --token-file ${token} --engine-tls-ca-file ${ca} --default --no-api-url
  rstream forward 3000

Ctrl+C stops the engine.`);
};
