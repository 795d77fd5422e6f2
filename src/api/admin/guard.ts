/**
 * Whether a request was meant for the admin page: by the host that it names, and by the page that it comes from.
 *
 * Invariant: before anything else, on loopback too: a name that somebody else's DNS leads here (rebinding) and a form or script of another
 * site are refused, whatever cookie the browser adds. A browser that changes something or opens a WebSocket must say where it comes from;
 * a program that sends a token says nothing.
 */
import type { Context, Middleware } from 'koa';
import { fail } from '../../base/errors.ts';

const SAFE_METHODS = ['GET', 'HEAD'];

/** @param hosts `host:port` as browsers write them, lower case; asked at each request, as the port is known late */
export const requireKnownHost =
  (hosts: () => ReadonlySet<string>): Middleware =>
  (ctx, next) => {
    const { host: named = [] } = ctx.req.headersDistinct;
    if (named.length !== 1 || !hosts().has(withPort(named[0]!.toLowerCase())))
      throw fail('ADMIN_HOST_UNKNOWN');
    return next();
  };

// The port of https is left out by browsers.
const withPort = (host: string): string => (/:\d+$/.test(host) ? host : `${host}:443`);

/** For the API: a page may ask only if it is ours. */
export const requireOwnOrigin: Middleware = (ctx, next) => {
  const { origin, 'sec-fetch-site': site } = ctx.req.headers;
  const isOwn =
    origin === undefined || origin.toLowerCase() === `https://${ctx.req.headers.host}`.toLowerCase();
  if (!isOwn || (site !== undefined && site !== 'same-origin')) throw fail('ORIGIN_FORBIDDEN');
  return next();
};

/** For whoever is known by a cookie, which browsers add by themselves. */
export const requireOriginOfCookie = (ctx: Context): void => {
  // Scripts of any page may read what a WebSocket brings, but never what a plain GET does.
  const isHarmless = SAFE_METHODS.includes(ctx.method) && ctx.req.headers.upgrade === undefined;
  if (!isHarmless && ctx.req.headers.origin === undefined) throw fail('ORIGIN_FORBIDDEN');
};
