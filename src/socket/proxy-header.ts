/**
 * Reads the PROXY header that a connection from a trusted proxy begins with, and leaves what follows in the socket.
 *
 * Flow: arrivals.ts calls it, before anything else is read; base/proxy-protocol.ts parses.
 * Invariant: it is called for trusted proxies alone, and a header must then be there: whether there is one is never guessed.
 * Limits: a deadline (handed in), proxyLineBytesMax, proxyHeaderBytesMax.
 */
import type { Socket } from 'node:net';
import { createProxyHeaderParser, type ProxyHeader } from '../base/proxy-protocol.ts';
import type { Clock } from '../base/time.ts';
import { readOpening } from './opening.ts';

/**
 * Waits for a whole PROXY header. The socket is paused afterwards.
 * @param msMax how long to wait
 * @returns undefined when the peer left before its header was complete
 * @throws PROXY_HEADER_MALFORMED, PROXY_HEADER_TIMEOUT
 */
export const readProxyHeader = (
  socket: Socket,
  clock: Clock,
  msMax: number,
): Promise<ProxyHeader | undefined> => {
  const parser = createProxyHeaderParser();
  return readOpening(socket, clock, {
    push: parser.push,
    returned: () => parser.rest,
    msMax,
    lateCode: 'PROXY_HEADER_TIMEOUT',
  });
};
