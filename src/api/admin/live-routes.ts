/**
 * What is going on right now: the overview, the tunnels and the agents, and how to end them.
 */
import { fail } from '../../base/errors.ts';
import type { Clock } from '../../base/time.ts';
import type { Truth } from '../../observe/probes.ts';
import type { Credentials } from '../../store/credentials.ts';
import type { TunnelRegistry } from '../../tunnel/registry.ts';
import { type AgentView, dtoFromTunnel } from '../dto.ts';
import { countedBy, listQuery, pageFrom, pageOf } from './listing.ts';
import { type AdminRoute, route } from './route.ts';
import { agentSchema, liveTunnelSchema, overviewSchema } from './shapes.ts';
import { truthFrom } from './truth.ts';

/** An agent session, as the Admin API shows it; provided by control. */
export interface LiveAgent extends AgentView {
  /** Milliseconds since 1970. */
  readonly connectedAt: number;
  readonly remoteAddress: string;
}

export interface LiveRoutesNeeds {
  readonly clock: Clock;
  readonly registry: Pick<TunnelRegistry, 'list' | 'close'>;
  readonly credentials: Pick<Credentials, 'list'>;
  listAgents(): readonly LiveAgent[];
  /** False when there is none of this id. */
  disconnectAgent(id: string): boolean;
  /** Undefined where the tunnel is not probed. */
  truthOf(tunnelId: string): Truth | undefined;
  isDraining(): boolean;
  connectionCounts(): { readonly downstreams: number; readonly connections: number };
  /** Milliseconds since 1970 at which each served certificate ends. */
  certificateEnds(): readonly number[];
  /** `host:port` for agents. */
  engineAddress(): string;
}

export interface LiveRoutesOptions {
  readonly version: string;
}

const DAY_MS = 86_400_000;
const AHEAD_MS = 30 * DAY_MS;
const KINDS = { pat: 'token', app: 'application', certificate: 'client certificate' } as const;
const iso = (ms: number): string => new Date(ms).toISOString();

export const liveRoutes = (needs: LiveRoutesNeeds, options: LiveRoutesOptions): readonly AdminRoute[] => [
  overviewRoute(needs, options),
  ...tunnelRoutes(needs),
  ...agentRoutes(needs),
];

const overviewRoute = (needs: LiveRoutesNeeds, { version }: LiveRoutesOptions): AdminRoute => {
  const { clock, registry, credentials } = needs;
  const startedAt = clock.now();

  const expiries = () => {
    const served = needs.certificateEnds().map((expiresAt) => ({
      kind: 'server certificate',
      name: needs.engineAddress(),
      expiresAt,
    }));
    const issued = Object.entries(KINDS).flatMap(([kind, shown]) =>
      credentials
        .list(kind as keyof typeof KINDS)
        .filter(({ revokedAt, expiresAt }) => revokedAt === undefined && expiresAt !== undefined)
        .map(({ name, expiresAt = 0 }) => ({ kind: shown, name, expiresAt }))
        // What ended longer ago is missed by nobody.
        .filter(({ expiresAt }) => expiresAt > clock.now() - AHEAD_MS),
    );
    return [...served, ...issued]
      .filter(({ expiresAt }) => expiresAt < clock.now() + AHEAD_MS)
      .sort((a, b) => a.expiresAt - b.expiresAt)
      .map(({ expiresAt, ...rest }) => ({ ...rest, expires_at: iso(expiresAt) }));
  };
  const liveCount = (kind: keyof typeof KINDS) =>
    credentials
      .list(kind)
      .filter(({ revokedAt, expiresAt = Infinity }) => revokedAt === undefined && expiresAt > clock.now())
      .length;

  return route({
    method: 'GET',
    path: '/overview',
    operationId: 'getOverview',
    summary: 'How the engine is, what is connected, and what expires soon.',
    access: 'viewer',
    answers: overviewSchema,
    answer: () => ({
      status: needs.isDraining() ? 'draining' : 'ready',
      version,
      engine: needs.engineAddress(),
      started_at: iso(startedAt),
      now: iso(clock.now()),
      counts: {
        agents: needs.listAgents().length,
        tunnels: registry.list().length,
        ...needs.connectionCounts(),
        tokens: liveCount('pat'),
        applications: liveCount('app'),
        certificates: liveCount('certificate'),
      },
      expiries: expiries(),
    }),
  });
};

const tunnelRoutes = ({ registry, listAgents, truthOf }: LiveRoutesNeeds): readonly AdminRoute[] => {
  const shapes = () => {
    const agents = new Map(listAgents().map((agent) => [agent.id, agent]));
    return registry.list().map((tunnel) => {
      const agent = agents.get(tunnel.agentId);
      return {
        ...dtoFromTunnel(tunnel, agent?.userId),
        agent: agent?.agent,
        address: agent?.remoteAddress,
        credential_id: tunnel.credentialId,
        truth: truthFrom(truthOf(tunnel.id)),
      };
    });
  };
  return [
    route({
      method: 'GET',
      path: '/tunnels',
      operationId: 'listTunnels',
      summary: 'The tunnels that are open.',
      access: 'viewer',
      query: listQuery,
      answers: pageOf(liveTunnelSchema),
      answer: ({ query }) => pageFrom(shapes(), ({ creation_date }) => creation_date, query),
    }),
    route({
      method: 'DELETE',
      path: '/tunnels/:id',
      operationId: 'closeTunnel',
      summary: 'Close a tunnel. Its agent stays connected and may open it again.',
      access: 'admin',
      action: 'tunnel.close',
      answer: ({ id }) => {
        if (!registry.close(id)) throw fail('TUNNEL_NOT_FOUND');
      },
    }),
  ];
};

const agentRoutes = (needs: LiveRoutesNeeds): readonly AdminRoute[] => {
  const shapes = () => {
    const { registry, credentials } = needs;
    const names = new Map(
      Object.keys(KINDS).flatMap((kind) =>
        credentials.list(kind as keyof typeof KINDS).map(({ id, name }) => [id as string, name] as const),
      ),
    );
    const counts = countedBy(registry.list(), ({ agentId }) => agentId);
    return needs.listAgents().map((agent) => ({
      id: agent.id,
      credential_id: agent.credentialId,
      credential_name: names.get(agent.credentialId),
      user_id: agent.userId,
      agent: agent.agent,
      version: agent.version,
      os: agent.os,
      arch: agent.arch,
      protocol_version: agent.protocolVersion,
      address: agent.remoteAddress,
      connected_at: iso(agent.connectedAt),
      tunnel_count: counts.get(agent.id) ?? 0,
    }));
  };
  return [
    route({
      method: 'GET',
      path: '/agents',
      operationId: 'listAgents',
      summary: 'The agents that are connected.',
      access: 'viewer',
      query: listQuery,
      answers: pageOf(agentSchema),
      answer: ({ query }) => pageFrom(shapes(), ({ connected_at }) => connected_at, query),
    }),
    route({
      method: 'DELETE',
      path: '/agents/:id',
      operationId: 'disconnectAgent',
      summary:
        'End the control channel of an agent and its tunnels. It may connect again as long as its credential is good.',
      access: 'admin',
      action: 'agent.disconnect',
      answer: ({ id }) => {
        if (!needs.disconnectAgent(id)) throw fail('AGENT_UNKNOWN');
      },
    }),
  ];
};
