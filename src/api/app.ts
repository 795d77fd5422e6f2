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
import type { Clock } from '../base/time.ts';
import { admit, challengeFor, type VerifyToken } from './auth.ts';
import { type Connections, createConnections } from './connections.ts';
import { type EngineRoutesNeeds, engineRoutes } from './engine-routes.ts';
import { OPENAPI_MEDIA_TYPE, openApiFrom } from './openapi.ts';
import { type ProblemNeeds, problemFrom, reportProblem } from './problem.ts';

export interface ApiNeeds extends EngineRoutesNeeds, ProblemNeeds {
  readonly clock: Clock;
  readonly verifyToken: VerifyToken;
  isDraining(): boolean;
}

/** Serves the connections that it is given; it listens nowhere. */
export type Api = Connections;

const GREETING = `This is an rstream tunnel engine.

Agents connect to it, and the services that they publish have addresses of their own.
The Engine API is described at /api/openapi.json.
`;

export const createApi = (needs: ApiNeeds): Api => {
  const app = new Koa();
  app.use(answerRefusals(needs, ({ req }) => connections.remoteOf(req.socket)));
  app.use(refuseOtherMethods);
  app.use(engineRouter(needs).routes());
  app.use(systemRouter(needs).routes());
  app.use(() => {
    throw fail('PATH_UNKNOWN');
  });
  // Only what happens after an answer began arrives here, mostly callers that left; koa would print it.
  app.on('error', (error: unknown) => needs.log.debug({ error }, 'api answer broke off'));
  const connections = createConnections(needs, app.callback());
  return connections;
};

/** The one exit for refusals, and the headers of every answer. */
const answerRefusals =
  (needs: ProblemNeeds, remoteOf: (ctx: Context) => string): Middleware =>
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
      reportProblem(needs, error, {
        errorId,
        method: ctx.method,
        path: shownPath(ctx),
        remote: remoteOf(ctx),
      });
    }
  };

const shownPath = (ctx: Context): string => ctx.path.slice(0, LIMITS.clientDetailCharsMax);

const refuseOtherMethods: Middleware = (ctx, next) => {
  if (ctx.method === 'GET' || ctx.method === 'HEAD') return next();
  // Whatever body follows is not read.
  ctx.set({ allow: 'GET, HEAD', connection: 'close' });
  throw fail('METHOD_NOT_ALLOWED');
};

const createRouter = () => new Router({ strict: true, sensitive: true });

const engineRouter = (needs: ApiNeeds): Router => {
  const router = createRouter();
  const routes = engineRoutes(needs);
  const document = JSON.stringify(openApiFrom(routes));
  router.get('/api/openapi.json', (ctx) => {
    ctx.set('content-type', OPENAPI_MEDIA_TYPE);
    ctx.body = document;
  });
  for (const { path, permission, answer } of routes)
    router.get(path, async (ctx) => {
      await admit(ctx, needs.verifyToken, permission);
      const body = answer(ctx);
      if (body === undefined) ctx.status = 204;
      else ctx.body = body;
    });
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
  router.get('/readyz', (ctx) => {
    ctx.status = isDraining() ? 503 : 200;
    ctx.body = { status: isDraining() ? 'draining' : 'ready' };
  });
  return router;
};
