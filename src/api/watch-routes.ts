/**
 * The watch endpoints (protocol.md 10.4 to 10.6), each with all that its documentation says.
 *
 * Flow: app.ts mounts them; a request is admitted, its filters are read, and its connection becomes a link of watch.ts.
 */
import type { Context } from 'koa';
import type { z } from 'zod';
import { PERMISSIONS, type Permission, type Principal } from '../base/principal.ts';
import type { WatchLink } from './audience.ts';
import type { RequestConnections } from './connections.ts';
import { paramsFrom, watchParams } from './params.ts';
import { takeLink, takeWebSocket } from './take-link.ts';
import type { Watch } from './watch.ts';
import { openSse, SSE_MEDIA_TYPE } from './watch-sse.ts';
import { requireHandshake } from './watch-websocket.ts';

/** A GET endpoint whose answer goes on for as long as the caller wants; it takes a token in the URL. */
export interface WatchRoute {
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  readonly permission: Permission;
  /** Schema of the query parameter `params`. */
  readonly params: z.ZodType;
  /** Its events begin with this status, and are of this media type. */
  readonly streams: { readonly status: '101' | '200'; readonly mediaType: string };
  /** Makes the caller a watcher. */
  serve(ctx: Context, principal: Principal): void;
}

const COMMON = { permission: PERMISSIONS.readResources, params: watchParams } as const;

export const watchRoutes = (watch: Watch, connections: RequestConnections): readonly WatchRoute[] => {
  const begin = (ctx: Context, principal: Principal, open: () => WatchLink) => {
    const params = paramsFrom(watchParams, ctx.query.params);
    watch.requireRoom();
    const remote = connections.remoteOf(ctx.req);
    watch.add(open(), principal, remote, params);
  };
  return [
    {
      ...COMMON,
      path: '/api/sse',
      operationId: 'watchBySse',
      summary: 'What is connected, and then every change of it, as server-sent events.',
      streams: { status: '200', mediaType: SSE_MEDIA_TYPE },
      serve(ctx, principal) {
        if (ctx.method === 'HEAD') {
          ctx.set('content-type', SSE_MEDIA_TYPE);
          ctx.body = '';
        } else
          begin(ctx, principal, () => takeLink(ctx, connections, (release) => openSse(ctx.res, release)));
      },
    },
    {
      ...COMMON,
      path: '/api/websocket',
      operationId: 'watchByWebSocket',
      summary: 'What is connected, and then every change of it, as text frames of a WebSocket.',
      streams: { status: '101', mediaType: 'application/json' },
      serve(ctx, principal) {
        requireHandshake(ctx.req);
        begin(ctx, principal, () => takeWebSocket(ctx, connections));
      },
    },
  ];
};
