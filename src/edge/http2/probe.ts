/**
 * Ends an HTTP/2 connection on which nothing can move any more.
 *
 * Why: when a peer breaks the rules, node:http2 of Node 20 says GOAWAY, stops reading and tells nobody, so that not even the end of the
 * connection is noticed; that a PING does not leave shows it. So it does of a peer that takes nothing at all.
 * Limits: http2QuietMsMax, twice.
 */
import type { Http2Session } from 'node:http2';
import type { Duplex } from 'node:stream';
import { LIMITS } from '../../base/limits.ts';
import type { Swept } from '../../base/time.ts';

/** Looks after a session as long as it is looked at; whoever has streams on it does so once per sweep. */
export const createProbe = (session: Http2Session, socket: Duplex): Swept => {
  let movedCount = -1;
  let movedAtMs = 0;
  let isAsked = false;
  let answerCount = 0;
  return {
    checkDeadline(nowMs) {
      const count = bytesOf(socket) + answerCount;
      if (count !== movedCount) {
        movedCount = count;
        movedAtMs = nowMs;
        isAsked = false;
      } else if (nowMs - movedAtMs > LIMITS.http2QuietMsMax && !session.destroyed) {
        if (isAsked) return void socket.destroy();
        isAsked = true;
        movedAtMs = nowMs;
        session.ping(() => {
          answerCount += 1;
        });
      }
    },
  };
};

/** Bytes that have moved in either direction; sockets count them, connections in memory do not. */
const bytesOf = (socket: Duplex): number => {
  const { bytesRead = 0, bytesWritten = 0 } = socket as { bytesRead?: number; bytesWritten?: number };
  return bytesRead + bytesWritten;
};
