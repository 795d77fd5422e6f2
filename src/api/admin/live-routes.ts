/**
 * What is going on right now: the overview, the tunnels and the agents, and how to end them.
 */

import { fail } from '../../base/errors.ts';
import { isoFrom } from '../../base/instant.ts';
import type { Clock } from '../../base/time.ts';
import type { TunnelRegistry } from '../../tunnel/registry.ts';
import {
  CREDENTIAL_KINDS,
  type CredentialKind,
  type InventoryNeeds,
  listAgents,
  listTunnels,
} from './inventory.ts';
import { countedBy, listQuery, pageFrom, pageOf } from './listing.ts';
import { type AdminRoute, route } from './route.ts';
import { listedAgentSchema, liveTunnelSchema, overviewSchema } from './shapes.ts';

export interface LiveRoutesNeeds extends InventoryNeeds {
  readonly clock: Clock;
  readonly registry: Pick<TunnelRegistry, 'list' | 'close'>;
  /** False when there is none of this id. */
  disconnectAgent(id: string): boolean;
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
    const issued = Object.entries(CREDENTIAL_KINDS).flatMap(([kind, shown]) =>
      credentials
        .list(kind as CredentialKind)
        .filter(({ revokedAt, expiresAt }) => revokedAt === undefined && expiresAt !== undefined)
        .map(({ name, expiresAt = 0 }) => ({ kind: shown, name, expiresAt }))
        // What ended longer ago is missed by nobody.
        .filter(({ expiresAt }) => expiresAt > clock.now() - AHEAD_MS),
    );
    return [...served, ...issued]
      .filter(({ expiresAt }) => expiresAt < clock.now() + AHEAD_MS)
      .sort((a, b) => a.expiresAt - b.expiresAt)
      .map(({ expiresAt, ...rest }) => ({ ...rest, expires_at: isoFrom(expiresAt) }));
  };
  const liveCount = (kind: CredentialKind) =>
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
      started_at: isoFrom(startedAt),
      now: isoFrom(clock.now()),
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

const tunnelRoutes = (needs: LiveRoutesNeeds): readonly AdminRoute[] => [
  route({
    method: 'GET',
    path: '/tunnels',
    operationId: 'listTunnels',
    summary: 'The tunnels that are open.',
    access: 'viewer',
    query: listQuery,
    answers: pageOf(liveTunnelSchema),
    answer: ({ query }) => pageFrom(listTunnels(needs), ({ creation_date }) => creation_date, query),
  }),
  route({
    method: 'DELETE',
    path: '/tunnels/:id',
    operationId: 'closeTunnel',
    summary: 'Close a tunnel. Its agent stays connected and may open it again.',
    access: 'admin',
    action: 'tunnel.close',
    answer: ({ id }) => {
      if (!needs.registry.close(id)) throw fail('TUNNEL_NOT_FOUND');
    },
  }),
];

const agentRoutes = (needs: LiveRoutesNeeds): readonly AdminRoute[] => {
  const listed = () => {
    const counts = countedBy(needs.registry.list(), ({ agentId }) => agentId as string);
    return listAgents(needs).map((agent) => ({ ...agent, tunnel_count: counts.get(agent.id) ?? 0 }));
  };
  return [
    route({
      method: 'GET',
      path: '/agents',
      operationId: 'listAgents',
      summary: 'The agents that are connected.',
      access: 'viewer',
      query: listQuery,
      answers: pageOf(listedAgentSchema),
      answer: ({ query }) => pageFrom(listed(), ({ connected_at }) => connected_at, query),
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
