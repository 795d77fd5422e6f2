/**
 * The operator's door: the Engine API, and the few pages that say how the engine is.
 *
 * Flow: the doorstep hands over TLS sockets of the engine's own host; connections.ts reads requests; the layers below answer them.
 * Invariant: GET and HEAD only; every refusal leaves by one layer, as JSON with an error id. It reads the inventory and changes nothing.
 */
import Router from '@koa/router';
import Koa, { type Context, type Middleware } from 'koa';
import { engineErrorFrom, fail } from '../base/errors.ts';
import { newErrorId } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import type { Principal } from '../base/principal.ts';
import type { Clock } from '../base/time.ts';
import { hostnameFromAuthority } from '../tunnel/address.ts';
import { admit, challengeFor, type TokenVerifiers } from './auth.ts';
import { type Connections, createConnections, type RequestConnections } from './connections.ts';
import { type EngineRoute, type EngineRoutesNeeds, engineRoutes } from './engine-routes.ts';
import { OPENAPI_MEDIA_TYPE, openApiFrom } from './openapi.ts';
import { type ProblemNeeds, problemFrom, reportProblem } from './problem.ts';
import { createWatch, type WatchNeeds } from './watch.ts';
import { type WatchRoute, watchRoutes } from './watch-routes.ts';

export interface ApiNeeds extends EngineRoutesNeeds, WatchNeeds, TokenVerifiers, ProblemNeeds {
  readonly registry: EngineRoutesNeeds['registry'] & WatchNeeds['registry'];
  readonly clock: Clock;
  isDraining(): boolean;
}

/** Serves the connections that it is given; it listens nowhere. */
export interface Api extends Connections {
  /** Ends the watchers whose credential is not active any more. */
  recheck(isActive: (principal: Principal) => boolean): void;
  /** Takes no more watchers and tells those that there are; everything else goes on. */
  drain(): void;
  readonly watcherCount: number;
  /** Watchers that were cut because they did not read. */
  readonly slowWatcherCount: number;
}

const GREETING = `This is an rstream tunnel engine.

Agents connect to it, and the services that they publish have addresses of their own.
The Engine API is described at /api/openapi.json.
`;

export const createApi = (needs: ApiNeeds): Api => {
  const app = new Koa();
  const connections = createConnections(needs, (request, response) => void answer(request, response));
  const watch = createWatch(needs);
  const routes = engineRoutes(needs);
  const streams = watchRoutes(watch, connections);
  app.use(answerRefusals(needs, connections));
  app.use(openToOtherOrigins(['/api/openapi.json', ...streams.map(({ path }) => path)]));
  app.use(refuseOtherMethods);
  app.use(refuseOtherHosts(connections));
  app.use(engineRouter(needs, connections, routes, streams).routes());
  app.use(systemRouter(needs).routes());
  app.use(() => {
    throw fail('PATH_UNKNOWN');
  });
  // Only what happens after an answer began arrives here, mostly callers that left; koa would print it.
  app.on('error', (error: unknown) => needs.log.debug({ error }, 'api answer broke off'));
  const answer = app.callback();
  return {
    accept: connections.accept,
    recheck: watch.recheck,
    drain: watch.close,
    close() {
      watch.close();
      return connections.close();
    },
    destroy() {
      watch.destroy();
      connections.destroy();
    },
    get connectionCount() {
      return connections.connectionCount;
    },
    get watcherCount() {
      return watch.watcherCount;
    },
    get slowWatcherCount() {
      return watch.slowCount;
    },
  };
};

/** The one exit for refusals, and the headers of every answer. */
const answerRefusals =
  (needs: ProblemNeeds, { remoteOf }: RequestConnections): Middleware =>
  async (ctx, next) => {
    // What is connected changes by the second, and who may see it by the request.
    ctx.set({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
    try {
      await next();
    } catch (thrown) {
      const error = engineErrorFrom(thrown);
      const errorId = newErrorId();
      ctx.status = error.row.status;
      ctx.body = problemFrom(error, errorId);
      if (ctx.status === 401) ctx.set('www-authenticate', challengeFor(error.code));
      const { retrySeconds } = error.details;
      if (retrySeconds !== undefined) ctx.set('retry-after', String(retrySeconds));
      if (ctx.status === 426 && ctx.req.httpVersionMajor < 2) ctx.set('upgrade', 'websocket');
      reportProblem(needs, error, {
        errorId,
        method: ctx.method,
        path: shownPath(ctx),
        remote: remoteOf(ctx.req),
      });
    }
  };

const shownPath = (ctx: Context): string => ctx.path.slice(0, LIMITS.clientDetailCharsMax);

/**
 * Lets pages of other origins read these paths: a page that watches is rarely served by the engine. It gives nothing away, since no
 * cookie or other proof of the browser's own counts here: the page must have been given a token, to put it into the URL.
 */
const openToOtherOrigins =
  (paths: readonly string[]): Middleware =>
  (ctx, next) => {
    if (paths.includes(ctx.path)) ctx.set('access-control-allow-origin', '*');
    return next();
  };

const refuseOtherMethods: Middleware = (ctx, next) => {
  if (ctx.method === 'GET' || ctx.method === 'HEAD') return next();
  ctx.set('allow', 'GET, HEAD');
  // Whatever body follows is not read; HTTP/2 ends the stream by itself.
  if (ctx.req.httpVersionMajor < 2) ctx.set('connection', 'close');
  throw fail('METHOD_NOT_ALLOWED');
};

/** Browsers send requests for a tunnel down an HTTP/2 connection to the engine, as one certificate names both (RFC 9113 9.1.1). */
const refuseOtherHosts =
  ({ serverNameOf }: RequestConnections): Middleware =>
  (ctx, next) => {
    const serverName = ctx.req.httpVersionMajor < 2 ? undefined : serverNameOf(ctx.req);
    if (serverName !== undefined && hostnameFromAuthority(ctx.host) !== serverName)
      throw fail('MISDIRECTED_REQUEST');
    return next();
  };

const createRouter = () => new Router({ strict: true, sensitive: true });

const engineRouter = (
  needs: ApiNeeds,
  { addressOf }: RequestConnections,
  routes: readonly EngineRoute[],
  streams: readonly WatchRoute[],
): Router => {
  const router = createRouter();
  const document = JSON.stringify(openApiFrom(routes, streams));
  router.get('/api/openapi.json', (ctx) => {
    ctx.set('content-type', OPENAPI_MEDIA_TYPE);
    ctx.body = document;
  });
  for (const { path, permission, answer } of routes)
    router.get(path, async (ctx) => {
      await admit(ctx, addressOf(ctx.req), needs, { permission });
      const body = answer(ctx);
      if (body === undefined) ctx.status = 204;
      else ctx.body = body;
    });
  for (const { path, permission, serve } of streams)
    router.get(path, async (ctx) =>
      serve(ctx, await admit(ctx, addressOf(ctx.req), needs, { permission, takesQueryToken: true })),
    );
  return router;
};

const systemRouter = ({ isDraining }: ApiNeeds): Router => {
  const router = createRouter();
  router.get('/', (ctx) => {
    ctx.body = GREETING;
  });
  router.get('/healthz', (ctx) => {
    ctx.body = { status: 'ok' };
  });
  // Below /api in the official SDK's words: `rstream doctor` asks here before all else, and takes any other status for ill.
  router.get('/api/health/live', (ctx) => {
    ctx.body = { status: 'live' };
  });
  router.get(['/readyz', '/api/health/ready'], (ctx) => {
    ctx.status = isDraining() ? 503 : 200;
    ctx.body = { status: isDraining() ? 'draining' : 'ready' };
  });
  return router;
};
