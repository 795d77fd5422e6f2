/**
 * The plain HTTP listener: it sends everybody to HTTPS and serves nothing.
 *
 * Invariant: it answers only for names of this engine, each read as strictly as a tunnel's, so that it cannot be used to send people
 * elsewhere. The path of ACME challenges (RFC 8555 8.3) is never redirected.
 * Behind a trusted proxy it speaks the PROXY protocol, and its connections count for their source, as those of the TLS listener do.
 * Limits: redirectHeadBytesMax, redirectRequestMsMax, redirectConnectionsMax.
 */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { engineErrorFrom, fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { inBackground } from '../base/time.ts';
import { hostnameFromAuthority } from '../tunnel/address.ts';
import { refusalFrom } from './refusal.ts';

export interface RedirectOptions {
  readonly engineHost: string;
  /** The HTTPS port that downstreams use. */
  publicPort(): number;
  /** Asks who an accepted socket is from before anything is read; nothing when it is not to be served. */
  arrive(socket: Socket): Promise<unknown>;
  readonly log: Logger;
}

// How often Node looks for requests that take too long; its default is half a minute.
const CHECK_MS = 1_000;
// A path and a query as RFC 3986 writes them, and nothing that a Location could be broken by.
const TARGET = /^\/[\x21\x22\x24-\x7e]*$/;
const ACME_PREFIX = '/.well-known/acme-challenge/';

/** A server that is not listening yet. */
export const createRedirect = ({ engineHost, publicPort, arrive, log }: RedirectOptions): Server => {
  /** @throws HOST_UNKNOWN, REQUEST_MALFORMED, CHALLENGE_UNKNOWN */
  const locationFor = ({ url = '', headersDistinct }: IncomingMessage): string => {
    const { host: hosts = [] } = headersDistinct;
    if (hosts.length > 1) throw fail('REQUEST_MALFORMED', { problem: 'more than one Host header' });
    const host = hostnameFromAuthority(hosts[0] ?? '');
    if (host !== engineHost && !host?.endsWith(`.t.${engineHost}`)) throw fail('HOST_UNKNOWN');
    if (!TARGET.test(url))
      throw fail('REQUEST_MALFORMED', { problem: 'a request target that is not a path' });
    if (url.startsWith(ACME_PREFIX)) throw fail('CHALLENGE_UNKNOWN');
    const port = publicPort() === 443 ? '' : `:${publicPort()}`;
    return `https://${host}${port}${url}`;
  };

  const server = createServer({
    maxHeaderSize: LIMITS.redirectHeadBytesMax,
    headersTimeout: LIMITS.redirectRequestMsMax,
    requestTimeout: LIMITS.redirectRequestMsMax,
    keepAliveTimeout: CHECK_MS,
    connectionsCheckingInterval: CHECK_MS,
  });
  server.maxConnections = LIMITS.redirectConnectionsMax;
  serveOnArrival(server, arrive, log);
  return server.on('request', (request, response) => {
    // A connection that is closed while a body still comes would cut off the answer, so the body is read and forgotten instead.
    request.resume();
    try {
      // 308 keeps the method, which a POST needs.
      response.writeHead(308, { location: locationFor(request), 'content-length': 0 }).end();
    } catch (thrown) {
      const { status, headers, body } = refusalFrom(engineErrorFrom(thrown), undefined);
      response.writeHead(status, headers).end(request.method === 'HEAD' ? undefined : body);
    }
  });
};

/** Puts a question before Node's own reader, which is the one listener that a new server has for connections. */
const serveOnArrival = (server: Server, arrive: RedirectOptions['arrive'], log: Logger): void => {
  const [read] = server.listeners('connection');
  const serve = async (socket: Socket): Promise<void> => {
    if (!(await arrive(socket)) || socket.destroyed) return;
    read?.call(server, socket);
    // What was read behind a header is in the socket, which waits.
    socket.resume();
  };
  server.removeAllListeners('connection').on('connection', (socket) => {
    socket.on('error', ignore);
    inBackground(serve(socket), (error) => log.error({ error }, 'a plain connection was not received'));
  });
};

// 'close' follows every error and is what counts.
const ignore = () => {};
