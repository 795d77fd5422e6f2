/**
 * A watcher over server-sent events (protocol.md 10.4), on HTTP/1.1 and HTTP/2.
 *
 * Invariant: data lines and comments, nothing else. The last comment says why the stream ended.
 * Limits: lingerMsMax.
 */
import { LIMITS } from '../base/limits.ts';
import type { WatchLink } from './audience.ts';
import type { ApiResponse } from './connections.ts';

export const SSE_MEDIA_TYPE = 'text/event-stream';

/**
 * @param response whose common headers are set
 * @param release gives the connection a deadline again, in milliseconds
 */
export const openSse = (response: ApiResponse, release: (ms: number) => void): WatchLink => {
  response.statusCode = 200;
  // Written to after its peer has gone it emits an error, ahead of the 'close' that counts.
  response.on('error', ignore);
  response.setHeader('content-type', SSE_MEDIA_TYPE);
  // Proxies such as nginx would otherwise keep events until a buffer is full.
  response.setHeader('x-accel-buffering', 'no');
  return {
    send: ({ stream }, onLeft) => void writeTo(response, stream, onLeft),
    keepAlive: () => void writeTo(response, ':\n\n', ignore),
    end({ code }) {
      release(LIMITS.lingerMsMax);
      response.end(`: ${code}\n\n`);
    },
    onClosed(listener) {
      response.once('close', () => {
        release(LIMITS.apiIdleMsMax);
        listener();
      });
    },
  };
};

/** Both kinds of response take the same three; only their types have no common `write`. */
const writeTo = (response: ApiResponse, bytes: Buffer | string, onLeft: () => void): boolean =>
  (response.write as (bytes: Buffer | string, encoding: 'utf8', onLeft: () => void) => boolean).call(
    response,
    bytes,
    'utf8',
    onLeft,
  );

const ignore = () => {};
