/**
 * The connection of an admitted request, to be used for as long as its peer wants.
 *
 * Invariant: from the moment that it is taken the answer is not koa's, and its deadlines are those of whoever uses the link.
 */
import type { Context } from 'koa';
import { fail } from '../base/errors.ts';
import type { WatchLink } from './audience.ts';
import type { ApiResponse, RequestConnections } from './connections.ts';
import { openWebSocket } from './watch-websocket.ts';

/**
 * @param open makes the link; what it is given sets a deadline again, in milliseconds
 * @throws REQUEST_ABORTED when the peer has gone, and what `open` throws
 */
export const takeLink = (
  ctx: Context,
  connections: RequestConnections,
  open: (release: (ms: number) => void) => WatchLink,
): WatchLink => {
  if (hasGone(ctx.res)) throw fail('REQUEST_ABORTED');
  const release = connections.hold(ctx.req);
  ctx.respond = false;
  return open(release);
};

/** The same over WebSocket; requireHandshake() comes first. Throws REQUEST_ABORTED and UPGRADE_REQUIRED. */
export const takeWebSocket = (ctx: Context, connections: RequestConnections): WatchLink =>
  takeLink(ctx, connections, (release) => {
    const upgrade = connections.takeUpgrade(ctx.req);
    if (!upgrade) throw fail('UPGRADE_REQUIRED');
    return openWebSocket(ctx.req, upgrade, release);
  });

const hasGone = (response: ApiResponse): boolean =>
  'stream' in response ? response.stream.destroyed : response.destroyed;
