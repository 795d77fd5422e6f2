/**
 * `GET /api/admin/live`: the WebSocket by which the admin page hears of changes.
 *
 * Invariant: it is asked for like everything else of the Admin API: host, origin and role first. Browsers let any page open a WebSocket
 * and add the cookie to it, so who comes with a cookie must say from which page (guard.ts).
 */
import { fail } from '../../base/errors.ts';
import type { RequestConnections } from '../connections.ts';
import { takeWebSocket } from '../take-link.ts';
import { requireHandshake } from '../watch-websocket.ts';
import type { Live } from './live.ts';
import { liveMessageSchema } from './live-shapes.ts';
import { type AdminRoute, route } from './route.ts';

/** @param connectionsOf asked at each request, as the connections are made last */
export const liveSocketRoute = (live: Live, connectionsOf: () => RequestConnections): AdminRoute =>
  route({
    method: 'GET',
    path: '/live',
    operationId: 'watchLive',
    summary: 'What is connected, and then every change of it, as text frames of a WebSocket.',
    access: 'viewer',
    status: 101,
    answers: liveMessageSchema,
    answer: ({ ctx, caller }) => {
      if (!caller) throw fail('LOGIN_REQUIRED');
      requireHandshake(ctx.req);
      live.requireRoom();
      const connections = connectionsOf();
      const remote = connections.remoteOf(ctx.req);
      live.add(takeWebSocket(ctx, connections), caller, remote);
    },
  });
