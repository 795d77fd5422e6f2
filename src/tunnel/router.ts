/**
 * From the address that a downstream uses to the tunnel behind it.
 *
 * Flow: the doorstep asks by server name before TLS, edge by authority for every request.
 * Invariant: an authority that is written as the tunnel's hostname costs one Map lookup and allocates nothing.
 * Limits: goneHostnamesMax, goneHostnameMs.
 */
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';
import { hostnameFromAuthority } from './address.ts';
import type { TunnelRegistry } from './registry.ts';
import type { Tunnel } from './tunnel.ts';

/** `gone`: the agent was lost a short while ago and will likely be back; `unknown`: nobody publishes this address. */
export type Route =
  | { readonly kind: 'tunnel'; readonly tunnel: Tunnel }
  | { readonly kind: 'gone' }
  | { readonly kind: 'unknown' };

const GONE: Route = Object.freeze({ kind: 'gone' });
const UNKNOWN: Route = Object.freeze({ kind: 'unknown' });

export interface Router {
  /** @param authority `host` or `host:port` of a request, as the downstream wrote it; the port is ignored */
  route(authority: string): Route;
  /** How the doorstep serves a connection to this server name; a gone one is served too, to say that it is gone. */
  publishedMode(serverName: string): 'http' | 'unknown';
}

/** Follows the registry from now on; create it before the first tunnel opens. */
export const createRouter = (needs: { registry: TunnelRegistry; clock: Clock }): Router => {
  const routes = new Map<string, Route>();
  const gone = createGoneHostnames(needs.clock);

  needs.registry.onOpened((tunnel) => {
    const hostname = routableName(tunnel);
    if (hostname === undefined) return;
    routes.set(hostname, Object.freeze({ kind: 'tunnel', tunnel }));
    gone.forget(hostname);
  });
  needs.registry.onClosed((tunnel, { isLost }) => {
    const hostname = routableName(tunnel);
    if (hostname === undefined) return;
    routes.delete(hostname);
    if (isLost) gone.remember(hostname);
  });

  const route = (authority: string): Route => routes.get(authority) ?? routeOfVariant(authority);
  const routeOfVariant = (authority: string): Route => {
    const hostname = hostnameFromAuthority(authority);
    if (hostname === undefined) return UNKNOWN;
    return routes.get(hostname) ?? (gone.has(hostname) ? GONE : UNKNOWN);
  };

  return {
    route,
    publishedMode: (serverName) => (route(serverName).kind === 'unknown' ? 'unknown' : 'http'),
  };
};

/** A TCP tunnel is reached by its port; the name that it shows is the engine's own. */
const routableName = ({ properties: { protocol, hostname } }: Tunnel): string | undefined =>
  protocol === 'tcp' ? undefined : hostname;

/** Hostnames of lost agents. Entries expire when they are looked at, and the oldest yields to a new one: no timer is needed. */
const createGoneHostnames = (clock: Clock) => {
  // In the order of insertion, which is the order of expiry.
  const expiries = new Map<string, number>();
  return {
    remember(hostname: string): void {
      expiries.delete(hostname);
      expiries.set(hostname, clock.elapsed() + LIMITS.goneHostnameMs);
      if (expiries.size <= LIMITS.goneHostnamesMax) return;
      for (const oldest of expiries.keys()) {
        expiries.delete(oldest);
        break;
      }
    },
    has: (hostname: string): boolean => (expiries.get(hostname) ?? 0) > clock.elapsed(),
    forget: (hostname: string): boolean => expiries.delete(hostname),
  };
};
