/**
 * The plain HTTP listener: it sends everybody to HTTPS and serves nothing.
 *
 * Invariant: it answers only for names of this engine, each read as strictly as a tunnel's, so that it cannot be used to send people elsewhere.
 */
import { createServer, type Server } from 'node:http';
import { hostnameFromAuthority } from '../tunnel/address.ts';

export interface RedirectOptions {
  readonly engineHost: string;
  /** The HTTPS port that downstreams use. */
  publicPort(): number;
}

// Long enough for a slow line to send one small request.
const REQUEST_MS_MAX = 10_000;

/** A server that is not listening yet. */
export const createRedirect = ({ engineHost, publicPort }: RedirectOptions): Server => {
  const server = createServer({
    maxHeaderSize: 8_192,
    requestTimeout: REQUEST_MS_MAX,
    headersTimeout: REQUEST_MS_MAX,
  });
  server.on('request', (request, response) => {
    const { host: hosts = [] } = request.headersDistinct;
    const host = hosts.length === 1 ? hostnameFromAuthority(hosts[0] as string) : undefined;
    const isOurs = host !== undefined && (host === engineHost || host.endsWith(`.t.${engineHost}`));
    // 308 keeps the method, which a POST needs; a target that is no path has no place on the other side.
    if (isOurs && request.url?.startsWith('/')) {
      const port = publicPort() === 443 ? '' : `:${publicPort()}`;
      response.writeHead(308, { location: `https://${host}${port}${request.url}`, connection: 'close' });
    } else {
      response.writeHead(404, { connection: 'close' });
    }
    response.end();
  });
  return server;
};
