/**
 * The admin's door: the Admin API and the page that uses it, on a listener of their own.
 *
 * Flow: the lobby hands over TLS sockets of the admin listener; connections.ts reads requests; guard.ts asks whether they are meant for
 * us; serve-route.ts serves the rows of the *-routes.ts files.
 * Invariant: every refusal leaves by one layer, as problem+json with an error id; nothing that is answered is kept by a browser but files
 * whose names hold their hash.
 */
import Router from '@koa/router';
import Koa, { type Context, type Middleware } from 'koa';
import { engineErrorFrom, fail } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Logger } from '../../base/log.ts';
import type { Principal } from '../../base/principal.ts';
import { challengeFor } from '../auth.ts';
import { type Connections, createConnections, type RequestConnections } from '../connections.ts';
import { OPENAPI_MEDIA_TYPE } from '../openapi.ts';
import { reportProblem } from '../problem.ts';
import { authTokenRoutes } from './auth-token-routes.ts';
import { type BackupRoutesNeeds, backupRoutes } from './backup-routes.ts';
import { type CertificateRoutesNeeds, certificateRoutes, type LocalAuthority } from './certificate-routes.ts';
import { credentialRoutes } from './credential-routes.ts';
import { createDownloads, DOWNLOAD_PATH, type Downloads } from './downloads.ts';
import { requireKnownHost, requireOwnOrigin } from './guard.ts';
import { type HistoryRoutesNeeds, historyRoutes } from './history-routes.ts';
import { clearSessionCookie } from './identity.ts';
import { type InspectionDesk, inspectionRoutes } from './inspection-routes.ts';
import { createLive, type LiveNeeds } from './live.ts';
import { type LiveRoutesNeeds, liveRoutes } from './live-routes.ts';
import { liveSocketRoute } from './live-socket.ts';
import { ADMIN_API, adminOpenApiFrom } from './openapi.ts';
import { PAGE_HEADERS, servePage } from './page.ts';
import { type PeopleRoutesNeeds, peopleRoutes } from './people-routes.ts';
import { type PolicyRoutesNeeds, policyRoutes } from './policy-routes.ts';
import { adminProblemFrom, PROBLEM_MEDIA_TYPE } from './problem.ts';
import { type RecordRoutesNeeds, recordRoutes } from './record-routes.ts';
import type { AdminRoute } from './route.ts';
import { type ServeRouteNeeds, serveRoute } from './serve-route.ts';
import { type ServerCertificateRoutesNeeds, serverCertificateRoutes } from './server-certificate-routes.ts';
import { sessionRoutes } from './session-routes.ts';
import { type WebhookRoutesNeeds, webhookRoutes } from './webhook-routes.ts';

export interface AdminApiNeeds
  extends Omit<LiveRoutesNeeds, 'credentials' | 'registry'>,
    Omit<LiveNeeds, 'admins' | 'credentials' | 'registry'>,
    Omit<CertificateRoutesNeeds, 'downloads' | 'registry' | 'listAgents'>,
    Omit<PeopleRoutesNeeds, 'audit'>,
    ServerCertificateRoutesNeeds,
    Omit<ServeRouteNeeds, 'admins' | 'audit'>,
    RecordRoutesNeeds,
    HistoryRoutesNeeds,
    PolicyRoutesNeeds,
    WebhookRoutesNeeds,
    BackupRoutesNeeds {
  readonly log: Logger;
  readonly registry: LiveRoutesNeeds['registry'] & LiveNeeds['registry'];
  readonly inspection: InspectionDesk;
  readonly audit: PeopleRoutesNeeds['audit'] & ServeRouteNeeds['audit'];
  /** `host:port` under which browsers may ask, lower case. */
  hosts(): ReadonlySet<string>;
}

export interface AdminApiOptions {
  readonly version: string;
  readonly engineHost: string;
  readonly authority: LocalAuthority;
  /** The built page, by name; may be empty. */
  readonly pageFiles: ReadonlyMap<string, Buffer>;
}

export interface AdminApi extends Connections {
  /** Ends the watchers whose session or token has ended; to be called twice a second. */
  recheck(isActive: (principal: Principal) => boolean): void;
}

export const createAdminApi = (needs: AdminApiNeeds, options: AdminApiOptions): AdminApi => {
  const downloads = createDownloads(needs);
  const live = createLive(needs);
  const routes: readonly AdminRoute[] = [
    liveSocketRoute(live, () => connections),
    ...sessionRoutes({ ...needs, ...options }),
    ...liveRoutes(needs, options),
    ...inspectionRoutes(needs.inspection),
    ...credentialRoutes(needs),
    ...authTokenRoutes(needs),
    ...certificateRoutes({ ...needs, downloads }, options.authority),
    ...peopleRoutes(needs),
    ...serverCertificateRoutes(needs),
    ...recordRoutes(needs),
    ...historyRoutes(needs),
    ...policyRoutes(needs),
    ...webhookRoutes(needs),
    ...backupRoutes(needs),
  ];
  const app = new Koa();
  app.use(answerRefusals(needs.log, ({ req }) => connections.remoteOf(req)));
  app.use(requireKnownHost(needs.hosts));
  app.use(apiRouter(routes, needs, options.version, ({ req }) => connections.addressOf(req)).routes());
  app.use(serveDownloads(downloads));
  app.use(servePage(options.pageFiles));
  app.use(() => {
    throw fail('ADMIN_PATH_UNKNOWN');
  });
  // Only what happens after an answer began arrives here, mostly callers that left; koa would print it.
  app.on('error', (error: unknown) => needs.log.debug({ error }, 'admin answer broke off'));
  const connections: Connections & RequestConnections = createConnections(needs, app.callback());
  return {
    ...connections,
    recheck: live.recheck,
    destroy() {
      live.destroy();
      connections.destroy();
    },
    get connectionCount() {
      return connections.connectionCount;
    },
  };
};

/** The one exit for refusals, and the headers of every answer. */
const answerRefusals =
  (log: Logger, remoteOf: (ctx: Context) => string): Middleware =>
  async (ctx, next) => {
    ctx.set({ ...PAGE_HEADERS, 'cache-control': 'no-store' });
    try {
      await next();
    } catch (thrown) {
      const error = engineErrorFrom(thrown);
      const problem = adminProblemFrom(error);
      ctx.status = problem.status;
      ctx.body = JSON.stringify(problem);
      ctx.set({ 'content-type': PROBLEM_MEDIA_TYPE, 'cache-control': 'no-store' });
      if (ctx.status === 401) ctx.set('www-authenticate', challengeFor(error.code, 'rstream Admin API'));
      if (ctx.status === 426) ctx.set('upgrade', 'websocket');
      if (error.code === 'SESSION_ENDED') clearSessionCookie(ctx);
      if (problem.retry_after !== undefined) ctx.set('retry-after', String(problem.retry_after));
      // Whatever body follows is not read.
      if (!ctx.req.complete) ctx.set('connection', 'close');
      const path = ctx.path.startsWith(DOWNLOAD_PATH) ? DOWNLOAD_PATH : ctx.path;
      reportProblem({ log }, error, {
        errorId: error.errorId,
        method: ctx.method,
        path: path.slice(0, LIMITS.clientDetailCharsMax),
        remote: remoteOf(ctx),
      });
    }
  };

const apiRouter = (
  routes: readonly AdminRoute[],
  needs: ServeRouteNeeds,
  version: string,
  addressOf: (ctx: Context) => string,
): Router => {
  const router = new Router({ strict: true, sensitive: true, prefix: ADMIN_API });
  const document = JSON.stringify(adminOpenApiFrom(routes, version));
  router.use(requireOwnOrigin);
  router.get('/openapi.json', (ctx) => {
    ctx.set('content-type', OPENAPI_MEDIA_TYPE);
    ctx.body = document;
  });
  const verb = { GET: 'get', POST: 'post', PUT: 'put', PATCH: 'patch', DELETE: 'delete' } as const;
  for (const row of routes)
    router[verb[row.method]](row.path, (ctx) =>
      serveRoute(ctx, idsFrom(ctx.params), addressOf(ctx), row, needs),
    );
  for (const path of new Set(routes.map((row) => row.path)))
    router.all(path, (ctx) => {
      const methods = routes.filter((row) => row.path === path).map(({ method }) => method);
      ctx.set('allow', methods.join(', '));
      throw fail('ADMIN_METHOD_NOT_ALLOWED');
    });
  return router;
};

const idsFrom = ({ id = '', ...rest }: Readonly<Record<string, string>>) => ({
  id,
  subId: Object.values(rest)[0] ?? '',
});

const serveDownloads =
  (downloads: Downloads): Middleware =>
  (ctx, next) => {
    if (!ctx.path.startsWith(DOWNLOAD_PATH)) return next();
    // Only a fetch uses a link up: previews ask with HEAD.
    if (ctx.method !== 'GET') throw fail('ADMIN_METHOD_NOT_ALLOWED');
    const { fileName, mediaType, content } = downloads.take(ctx.path.slice(DOWNLOAD_PATH.length));
    ctx.set({ 'content-type': mediaType, 'content-disposition': `attachment; filename="${fileName}"` });
    ctx.body = content;
  };
