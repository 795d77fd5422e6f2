/** The checks of `doctor` that talk to the engine that runs: a handshake as an agent makes it, and a stream through it. */
import { existsSync, readFileSync } from 'node:fs';
import { createAgent } from '../agent/agent.ts';
import { createConnector, type EngineTarget } from '../agent/connection.ts';
import { createDialer } from '../agent/dialer.ts';
import { randomText } from '../base/ids.ts';
import { splitListenAddress } from '../base/ip.ts';
import { LIMITS } from '../base/limits.ts';
import { createLogger } from '../base/log.ts';
import { Secret } from '../base/secret.ts';
import { inBackground } from '../base/time.ts';
import { VERSION } from '../version.ts';
import { withCredentials } from './credential-access.ts';
import { type Check, type CheckNeeds, fault, ok, type Result } from './finding.ts';
import { instanceFiles } from './instance.ts';
import { serveSamplePage } from './sample-page.ts';

const TOKEN_MS = 60_000;

/** Where the engine listens, seen from this machine, and the authority that `init` made, if its certificate may be of it. */
const targetOf = ({ config, dir }: CheckNeeds): EngineTarget => {
  const { host = '', port = 0 } = splitListenAddress(config.tls.listen_addr) ?? {};
  const isAny = host === '' || host === '0.0.0.0' || host === '::';
  const { caCertificate } = instanceFiles(dir);
  return {
    host: isAny ? 'localhost' : host,
    port,
    serverName: config.engine.host,
    ...(existsSync(caCertificate) && { ca: readFileSync(caCertificate) }),
  };
};

/** TLS with the engine's own name, trust included. */
export const checkEngine: Check = async (needs) => {
  const connector = createConnector(needs, targetOf(needs));
  try {
    const connection = await connector.connect();
    connection.destroy();
    return [ok(`${connector.address} answers agents, with a certificate that they can trust`)];
  } finally {
    connector.destroy();
  }
};

/** A token, an agent with a private tunnel to a page of our own, and a dial to it: both doors of an agent, and a dial-back. */
export const checkRoundTrip: Check = async (needs) => {
  const results: Result[] = [];
  // What the configuration warns of was told already.
  const context = { ...needs.context, tell: () => {} };
  await withCredentials({ config: needs.path }, 'open', context, async ({ credentials, nowMs }) => {
    const name = `doctor-${randomText(8)}`;
    const order = { name, permissions: null, expiresAt: nowMs + TOKEN_MS };
    const { token } = await credentials.createToken(order);
    try {
      results.push(await roundTrip(needs, name, new Secret(token)));
    } finally {
      credentials.revoke('pat', name);
    }
  });
  return results;
};

const roundTrip = async (needs: CheckNeeds, name: string, token: Secret): Promise<Result> => {
  const { clock } = needs;
  const page = await serveSamplePage();
  const options = { engine: targetOf(needs), token, version: VERSION };
  const dialer = createDialer({ clock }, options);
  const startMs = clock.elapsed();
  const late = clock.after(LIMITS.engineConnectMsMax, () => inBackground(stop(), () => {}));
  const upstream = { host: '127.0.0.1', port: page.port };
  let tellOnline = () => {};
  const online = new Promise<void>((resolve) => {
    tellOnline = resolve;
  });
  const agent = createAgent(
    { clock, log: createLogger('silent'), onEvent: ({ kind }) => kind === 'online' && tellOnline() },
    { ...options, tunnels: [{ properties: { name, publish: false }, upstream }] },
  );
  const stop = async () => {
    dialer.destroy();
    await agent.stop();
  };
  try {
    const run = agent.run();
    await Promise.race([online, run]);
    const { stream } = await dialer.dial(name);
    stream.write('GET / HTTP/1.1\r\nhost: doctor\r\nconnection: close\r\n\r\n');
    let answer = '';
    for await (const bytes of stream) answer += bytes;
    const ms = Math.round(clock.elapsed() - startMs);
    return answer.startsWith('HTTP/1.1 200')
      ? ok(`an agent connected, and a stream came through it, in ${ms} ms`)
      : fault('a stream came through an agent, but not what was sent into it');
  } finally {
    late.cancel();
    await stop();
    page.server.close();
    page.server.closeAllConnections();
  }
};
