/**
 * The metrics listener: one path, read by scrapers.
 *
 * Invariant: it answers GET of that path alone, and with a bearer token set nobody without it, whatever the path; it serves plain HTTP, so off
 * loopback it belongs on a private network or behind a proxy that speaks TLS.
 * Limits: metricsConnectionsMax, metricsHeadBytesMax, metricsRequestMsMax, metricsIdleMsMax.
 */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Secret } from '../base/secret.ts';
import { inBackground } from '../base/time.ts';

export interface MetricsServerNeeds {
  readonly log: Logger;
  readonly metrics: { render(): Promise<string>; readonly contentType: string };
}

export interface MetricsServerOptions {
  readonly path: string;
  /** What scrapers must send; undefined lets everybody in. */
  readonly bearerToken?: Secret | undefined;
}

// How often Node looks for requests that take too long; its default is half a minute.
const CHECK_MS = 1_000;

/** A server that is not listening yet. */
export const createMetricsServer = (
  { log, metrics }: MetricsServerNeeds,
  { path, bearerToken }: MetricsServerOptions,
): Server => {
  const server = createServer({
    maxHeaderSize: LIMITS.metricsHeadBytesMax,
    headersTimeout: LIMITS.metricsRequestMsMax,
    requestTimeout: LIMITS.metricsRequestMsMax,
    keepAliveTimeout: LIMITS.metricsIdleMsMax,
    connectionsCheckingInterval: CHECK_MS,
  });
  server.maxConnections = LIMITS.metricsConnectionsMax;
  server.on('request', (request, response) => {
    // A body is of no use here, and a connection that is closed while one comes would cut off the answer.
    request.resume();
    response.setHeader('cache-control', 'no-store');
    const refusal = refusalOf(request, path, bearerToken);
    if (refusal) {
      const { status, ...headers } = refusal;
      return void response.writeHead(status, { ...headers, 'content-length': 0 }).end();
    }
    inBackground(
      metrics.render().then((text) => response.setHeader('content-type', metrics.contentType).end(text)),
      (error) => {
        log.error({ error }, 'metrics were not rendered');
        response.writeHead(500).end();
      },
    );
  });
  return server;
};

/** Undefined for a request that is answered. */
const refusalOf = (
  { method, url = '', headers: { authorization } }: IncomingMessage,
  path: string,
  bearerToken: Secret | undefined,
): ({ readonly status: number } & Readonly<Record<string, string | number>>) | undefined => {
  if (bearerToken && !bearerToken.equals(/^bearer +(.+)$/i.exec(authorization ?? '')?.[1] ?? ''))
    return { status: 401, 'www-authenticate': 'Bearer' };
  if (url.split('?', 1)[0] !== path) return { status: 404 };
  return method === 'GET' ? undefined : { status: 405, allow: 'GET' };
};
