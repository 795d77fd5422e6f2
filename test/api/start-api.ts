/** A running Engine API behind a loopback port, with an inventory that tests fill, and ways to speak to it. */
import { once } from 'node:events';
import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { type Api, type ApiNeeds, createApi } from '../../src/api/app.ts';
import type { AgentView } from '../../src/api/dto.ts';
import { fail } from '../../src/base/errors.ts';
import type { AgentId } from '../../src/base/ids.ts';
import { PERMISSIONS, type Principal } from '../../src/base/principal.ts';
import { createRegistry } from '../../src/tunnel/registry.ts';
import { createFakeClock } from '../support/clock.ts';
import { createLogRecorder } from '../support/log.ts';

export const READER = 'reader-token';
/** What `verifyToken` knows; any other token is invalid. */
const PERMISSIONS_OF: Readonly<Record<string, readonly string[] | null>> = {
  [READER]: [PERMISSIONS.readResources],
  'unrestricted-token': null,
  'agent-token': [PERMISSIONS.manageTunnels],
};

const verifyToken = async (token: string | undefined): Promise<Principal> => {
  if (token === undefined) throw fail('TOKEN_MISSING');
  if (token === 'expired-token') throw fail('TOKEN_EXPIRED');
  if (token === 'boundary-token') throw fail('BOUNDARIES_NOT_ENFORCED');
  if (token === 'broken-store') throw new Error('the disk is on fire');
  const permissions = PERMISSIONS_OF[token];
  if (permissions === undefined) throw fail('TOKEN_INVALID');
  return { credentialId: 'crd_1', kind: 'pat', permissions: permissions && new Set(permissions) };
};

export const AGENTS: readonly AgentView[] = [
  {
    id: 'cli_first',
    credentialId: 'crd_1',
    userId: 'usr_1',
    agent: 'rstream-go',
    version: '1.28.2',
    os: 'linux',
    arch: 'amd64',
    protocolVersion: '1.4.5',
    labels: { zone: 'a', empty: '' },
  },
  { id: 'cli_second', credentialId: 'crd_2', agent: 'rstream-python', labels: { zone: 'b' } },
];

/** The owner of tunnels in the name of one of {@link AGENTS}. */
export const ownerOf = ({ id, credentialId }: AgentView) => ({ agentId: id as AgentId, credentialId });

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Ask {
  readonly method?: string;
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string | string[]>>;
}

/** One turn of the event loop: what is ready to happen on sockets happens. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Turns until the claim holds; a claim that never holds ends in the runner's time-out. */
export const until = async (claim: () => boolean): Promise<void> => {
  while (!claim()) await turn();
};

/** Serves until the test ends, on sockets that a listener accepts as the doorstep would. */
export const startApi = async (t: TestContext, changes: Partial<ApiNeeds> = {}) => {
  const clock = createFakeClock();
  const log = createLogRecorder();
  const registry = createRegistry(
    { clock, admit: () => {} },
    { engineHost: 'localhost', publicPort: () => 8443 },
  );
  const api: Api = createApi({
    clock,
    log,
    registry,
    verifyToken,
    verifyQueryToken: verifyToken,
    listAgents: () => AGENTS,
    findAgent: (id) => AGENTS.find((agent) => agent.id === id),
    onAgent: () => () => {},
    isDraining: () => false,
    ...changes,
  });
  const listener = createServer((socket) => api.accept(socket)).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  const agent = new Agent({ keepAlive: true });
  t.after(() => {
    agent.destroy();
    api.destroy();
    listener.close();
  });

  const ask = async (path: string, { method = 'GET', token, headers = {} }: Ask = {}): Promise<Answer> => {
    const request = httpRequest({ host: '127.0.0.1', port, path, method, agent });
    request.setHeader('host', 'localhost');
    if (token !== undefined) request.setHeader('authorization', `Bearer ${token}`);
    for (const [name, value] of Object.entries(headers)) request.setHeader(name, value);
    request.end();
    const [response] = await once(request, 'response');
    return { status: response.statusCode, headers: response.headers, body: await text(response) };
  };

  /** A connection that says exactly these bytes; `received` resolves with all that came back once it is closed. */
  const say = async (bytes: string): Promise<{ socket: Socket; received: Promise<string> }> => {
    const socket = connect(port, '127.0.0.1').setEncoding('utf8');
    let heard = '';
    socket.on('data', (chunk: string) => {
      heard += chunk;
    });
    // A reset is one of the ways in which the API ends a connection.
    socket.on('error', () => {});
    const received = new Promise<string>((resolve) => socket.once('close', () => resolve(heard)));
    await once(socket, 'connect');
    socket.write(bytes);
    return { socket, received };
  };

  return { api, clock, log, registry, port, ask, say };
};
