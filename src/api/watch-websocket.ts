/**
 * A watcher over WebSocket (protocol.md 10.6): one text frame for each event, on HTTP/1.1.
 *
 * Flow: watch-routes.ts and admin/live-socket.ts have admitted the request like any other; here its socket becomes a WebSocket.
 * Invariant: what the peer says is read and forgotten, but for pings, which are answered. Any page may open one of the Engine API (there
 * is no check of Origin): a proof comes in the header or the URL and never in a cookie, so a page can only use a token that it was given.
 * Limits: watchMessageBytesMax, watchSilenceMsMax, writeBufferBytesMax, lingerMsMax.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { type EngineError, fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { WatchLink } from './audience.ts';

const server = new WebSocketServer({
  noServer: true,
  clientTracking: false,
  // Compression costs some 300 KiB a watcher.
  perMessageDeflate: false,
  maxPayload: LIMITS.watchMessageBytesMax,
  // Answered here: a peer that pings and does not read must not fill the memory with answers.
  autoPong: false,
  handleProtocols: () => false,
});

// RFC 6455 7.4.1: going away, policy violation, try again later, internal error.
const CLOSE_CODES: Partial<Record<EngineError['code'], number>> = {
  ENGINE_DRAINING: 1001,
  TOKEN_REVOKED: 1008,
  TOKEN_EXPIRED: 1008,
  SESSION_ENDED: 1008,
  WATCHER_SLOW: 1013,
};
const CLOSE_CODE_OTHERS = 1011;

/** Throws UPGRADE_REQUIRED or REQUEST_MALFORMED unless the request is a handshake that can be completed (RFC 6455 4.2.1). */
export const requireHandshake = ({ headers, httpVersion, method }: IncomingMessage): void => {
  const { upgrade = '', 'sec-websocket-key': key = '', 'sec-websocket-version': version } = headers;
  if (httpVersion !== '1.1' || method !== 'GET' || upgrade.toLowerCase() !== 'websocket')
    throw fail('UPGRADE_REQUIRED');
  if (version !== '13' || !/^[+/0-9a-z]{22}==$/i.test(key))
    throw fail('REQUEST_MALFORMED', { problem: 'its WebSocket handshake is not complete' });
};

/**
 * Completes the handshake.
 * @param head what came behind the request
 * @param release gives the connection a deadline again, in milliseconds
 */
export const openWebSocket = (
  request: IncomingMessage,
  { socket, head }: { socket: Duplex; head: Buffer },
  release: (ms: number) => void,
): WatchLink => {
  let link: WatchLink | undefined;
  // It calls back before it returns, or not at all when the peer has gone or it sees a fault that it answers itself.
  server.handleUpgrade(request, socket, head, (webSocket) => {
    link = linkFrom(webSocket, release);
  });
  if (link) return link;
  release(LIMITS.lingerMsMax);
  throw fail('REQUEST_ABORTED');
};

const linkFrom = (webSocket: WebSocket, release: (ms: number) => void): WatchLink => {
  let hasSpoken = true;
  let silentSinceMs = 0;
  const hear = () => {
    hasSpoken = true;
  };
  webSocket.on('error', ignore).on('message', hear).on('pong', hear);
  webSocket.on('ping', (data) => {
    hear();
    if (webSocket.bufferedAmount < LIMITS.writeBufferBytesMax) webSocket.pong(data, false, ignore);
  });
  return {
    send({ texts }, onLeft) {
      // In the order of their sending, so the last one speaks for all.
      const last = texts.length - 1;
      for (const [i, text] of texts.entries())
        webSocket.send(text, { binary: false }, i === last ? onLeft : ignore);
    },
    keepAlive(nowMs) {
      if (hasSpoken) silentSinceMs = nowMs;
      hasSpoken = false;
      if (nowMs - silentSinceMs > LIMITS.watchSilenceMsMax) webSocket.terminate();
      else webSocket.ping(ignore);
    },
    end({ code }) {
      release(LIMITS.lingerMsMax);
      webSocket.close(CLOSE_CODES[code] ?? CLOSE_CODE_OTHERS, code);
    },
    onClosed: (listener) => void webSocket.once('close', listener),
  };
};

const ignore = () => {};
