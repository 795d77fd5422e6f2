/**
 * The endpoints of the Engine API (protocol.md 10.1), each with all that its documentation says.
 *
 * Flow: app.ts mounts them; openapi.ts describes them from the same rows, so that neither can drift from the other.
 */
import type { RouterContext } from '@koa/router';
import type { z } from 'zod';
import { fail } from '../base/errors.ts';
import { PERMISSIONS, type Permission } from '../base/principal.ts';
import type { TunnelRegistry } from '../tunnel/registry.ts';
import { type AgentView, clientFromAgent, dtoFromTunnel } from './dto.ts';
import { clientParams, paramsFrom, select, tunnelParams } from './params.ts';

export interface EngineRoutesNeeds {
  readonly registry: Pick<TunnelRegistry, 'list' | 'byId'>;
  listAgents(): readonly AgentView[];
  /** An agent by the id that its tunnels carry. */
  findAgent(id: string): AgentView | undefined;
}

/** A GET endpoint below /api that asks for a token. */
export interface EngineRoute {
  /** With `:name` for a part of the path. */
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  /** Needed by the token; absent: any valid token will do. */
  readonly permission?: Permission;
  /** Schema of the query parameter `params`. */
  readonly params?: z.ZodType;
  /** Absent: 204. */
  readonly answers?: { readonly component: 'Client' | 'Tunnel'; readonly isList: boolean };
  /** The body of the answer; undefined for 204. */
  answer(ctx: RouterContext): unknown;
}

export const engineRoutes = ({
  registry,
  listAgents,
  findAgent,
}: EngineRoutesNeeds): readonly EngineRoute[] => [
  {
    path: '/api/clients',
    operationId: 'listClients',
    summary: 'The agents that are connected.',
    permission: PERMISSIONS.readResources,
    params: clientParams,
    answers: { component: 'Client', isList: true },
    answer: (ctx) => select(listAgents().map(clientFromAgent), paramsFrom(clientParams, ctx.query.params)),
  },
  {
    path: '/api/tunnels',
    operationId: 'listTunnels',
    summary: 'The tunnels that are open.',
    permission: PERMISSIONS.readResources,
    params: tunnelParams,
    answers: { component: 'Tunnel', isList: true },
    answer: (ctx) => {
      const params = paramsFrom(tunnelParams, ctx.query.params);
      const tunnels = registry
        .list()
        .map((tunnel) => dtoFromTunnel(tunnel, findAgent(tunnel.agentId)?.userId));
      return select(tunnels, params);
    },
  },
  {
    path: '/api/tunnels/:id',
    operationId: 'getTunnel',
    summary: 'One open tunnel by its id.',
    permission: PERMISSIONS.readResources,
    answers: { component: 'Tunnel', isList: false },
    answer: (ctx) => {
      const tunnel = registry.byId(ctx.params.id ?? '');
      if (!tunnel) throw fail('TUNNEL_NOT_FOUND');
      return dtoFromTunnel(tunnel, findAgent(tunnel.agentId)?.userId);
    },
  },
  {
    path: '/api/auth',
    operationId: 'checkToken',
    summary: 'Whether the token is valid.',
    answer: () => undefined,
  },
];
