/**
 * An agent for a check of `doctor`: a token, a private tunnel to a port of this machine, and dials to it. Both doors of an agent and the
 * dial-back take part, and nothing is published meanwhile.
 *
 * Invariant: the token is revoked, and agent and dialer are gone, when the check is over, however it ended.
 */
import { existsSync, readFileSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { createAgent } from '../agent/agent.ts';
import type { EngineTarget } from '../agent/connection.ts';
import { createDialer } from '../agent/dialer.ts';
import { randomText } from '../base/ids.ts';
import { splitListenAddress } from '../base/ip.ts';
import { createLogger } from '../base/log.ts';
import { Secret } from '../base/secret.ts';
import { inBackground } from '../base/time.ts';
import { VERSION } from '../version.ts';
import { withCredentials } from './credential-access.ts';
import type { CheckNeeds, Result } from './finding.ts';
import { instanceFiles } from './instance.ts';

/** Opens a stream to the tunnel. */
export type Dial = () => Promise<Duplex>;

export interface DoctorTunnel {
  /** Of the upstream, on 127.0.0.1. */
  readonly port: number;
  /** `http` has the engine read every request, as it does for published tunnels; without it bytes pass. */
  readonly protocol?: 'http';
  /** The whole check has so much time. */
  readonly deadlineMs: number;
}

/** Where the engine listens, seen from this machine, and the authority that `init` made, if its certificate may be of it. */
export const targetOf = ({ config, dir }: CheckNeeds): EngineTarget => {
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

/** Rejects with what the engine refused, or with the break of a stream when the deadline has come. */
export const throughAgent = async (
  needs: CheckNeeds,
  tunnel: DoctorTunnel,
  work: (dial: Dial) => Promise<Result>,
): Promise<Result[]> => {
  const results: Result[] = [];
  // What the configuration warns of was told already.
  const context = { ...needs.context, tell: () => {} };
  await withCredentials({ config: needs.path }, 'open', context, async ({ credentials, nowMs }) => {
    const name = `doctor-${randomText(8)}`;
    const order = { name, permissions: null, expiresAt: nowMs + tunnel.deadlineMs };
    const { token } = await credentials.createToken(order);
    try {
      results.push(await runAgent(needs, name, new Secret(token), tunnel, work));
    } finally {
      credentials.revoke('pat', name);
    }
  });
  return results;
};

const runAgent = async (
  needs: CheckNeeds,
  name: string,
  token: Secret,
  { port, protocol, deadlineMs }: DoctorTunnel,
  work: (dial: Dial) => Promise<Result>,
): Promise<Result> => {
  const { clock } = needs;
  const options = { engine: targetOf(needs), token, version: VERSION };
  const dialer = createDialer({ clock }, options);
  let tellOnline = () => {};
  const online = new Promise<void>((resolve) => {
    tellOnline = resolve;
  });
  const properties = { name, publish: false, ...(protocol && { protocol }) };
  const agent = createAgent(
    { clock, log: createLogger('silent'), onEvent: ({ kind }) => kind === 'online' && tellOnline() },
    { ...options, tunnels: [{ properties, upstream: { host: '127.0.0.1', port } }] },
  );
  const stop = async () => {
    dialer.destroy();
    await agent.stop();
  };
  const late = clock.after(deadlineMs, () => inBackground(stop(), () => {}));
  try {
    await Promise.race([online, agent.run()]);
    return await work(async () => (await dialer.dial(name)).stream);
  } finally {
    late.cancel();
    await stop();
  }
};
