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
import type { Published } from './published.ts';
import type { TunnelRegistry } from './registry.ts';
import type { Tunnel } from './tunnel.ts';

/**
 * `gone`: the agent was lost a short while ago and will likely be back; `engine`: the engine's own host, which other connections
 * reach; `unknown`: nobody publishes this address.
 */
export type Route =
  | { readonly kind: 'tunnel'; readonly tunnel: Tunnel }
  | { readonly kind: 'gone'; readonly published: Published }
  | { readonly kind: 'engine' }
  | { readonly kind: 'unknown' };

const ENGINE = Object.freeze({ kind: 'engine' } as const);
const UNKNOWN = Object.freeze({ kind: 'unknown' } as const);

export interface Router {
  /** @param authority `host` or `host:port` of a request, as the downstream wrote it; the port is ignored */
  route(authority: string): Route;
  /** How the doorstep serves a connection to this server name; a gone one is served as before, to say that it is gone. */
  publishedMode(serverName: string): Published | typeof UNKNOWN;
}

/** Follows the registry from now on; create it before the first tunnel opens. */
export const createRouter = (
  needs: { registry: TunnelRegistry; clock: Clock },
  { engineHost }: { engineHost: string },
): Router => {
  const routes = new Map<string, Route>([[engineHost, ENGINE]]);
  const gone = createGoneHostnames(needs.clock);

  needs.registry.onOpened((tunnel) => {
    const hostname = routableName(tunnel);
    if (hostname === undefined) return;
    routes.set(hostname, Object.freeze({ kind: 'tunnel', tunnel }));
    gone.forget(hostname);
  });
  needs.registry.onClosed((tunnel, { isLost }) => {
    const hostname = routableName(tunnel);
    const { published } = tunnel;
    if (hostname === undefined) return;
    routes.delete(hostname);
    if (isLost && published) gone.remember(hostname, published);
  });

  const route = (authority: string): Route => routes.get(authority) ?? routeOfVariant(authority);
  const routeOfVariant = (authority: string): Route => {
    const hostname = hostnameFromAuthority(authority);
    if (hostname === undefined) return UNKNOWN;
    return routes.get(hostname) ?? gone.routeOf(hostname) ?? UNKNOWN;
  };

  return {
    route,
    publishedMode(serverName) {
      const found = route(serverName);
      if (found.kind === 'unknown' || found.kind === 'engine') return UNKNOWN;
      return (found.kind === 'gone' ? found.published : found.tunnel.published) ?? UNKNOWN;
    },
  };
};

/** A TCP tunnel is reached by its port; the name that it shows is the engine's own. */
const routableName = ({ properties: { protocol, hostname } }: Tunnel): string | undefined =>
  protocol === 'tcp' ? undefined : hostname;

/** Hostnames of lost agents. Entries expire when they are looked at, and the oldest yields to a new one: no timer is needed. */
const createGoneHostnames = (clock: Clock) => {
  // In the order of insertion, which is the order of expiry.
  const remembered = new Map<string, { readonly route: Route; readonly expiresMs: number }>();
  return {
    remember(hostname: string, published: Published): void {
      remembered.delete(hostname);
      const route: Route = Object.freeze({ kind: 'gone', published });
      remembered.set(hostname, { route, expiresMs: clock.elapsed() + LIMITS.goneHostnameMs });
      if (remembered.size <= LIMITS.goneHostnamesMax) return;
      for (const oldest of remembered.keys()) {
        remembered.delete(oldest);
        break;
      }
    },
    /** Undefined once it is forgotten. */
    routeOf(hostname: string): Route | undefined {
      const entry = remembered.get(hostname);
      return entry && entry.expiresMs > clock.elapsed() ? entry.route : undefined;
    },
    forget: (hostname: string): boolean => remembered.delete(hostname),
  };
};
