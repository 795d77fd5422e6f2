/**
 * Ends an HTTP/2 connection on which nothing can move any more.
 *
 * Why: when a peer breaks the rules, node:http2 of Node 20 says GOAWAY, stops reading and tells nobody, so that not even the end of the
 * connection is noticed; that SETTINGS are not acknowledged shows it. So it does of a peer that takes nothing at all. Not PING, which a session
 * that was told to close, as in a drain, does not send.
 * Limits: the quiet time that is given, twice.
 */
import type { Http2Session } from 'node:http2';
import type { Duplex } from 'node:stream';

/** Looks after a session as long as it is looked at; whoever has streams on it does so once per sweep. */
export interface Probe {
  /** @param quietMsMax from the last byte to the question, and from that to the end */
  check(nowMs: number, quietMsMax: number): void;
}

export const createProbe = (session: Http2Session, socket: Duplex): Probe => {
  let movedCount = -1;
  let movedAtMs = 0;
  let isAsked = false;
  let answerCount = 0;
  return {
    check(nowMs, quietMsMax) {
      const count = bytesOf(socket) + answerCount;
      if (count !== movedCount) {
        movedCount = count;
        movedAtMs = nowMs;
        isAsked = false;
      } else if (nowMs - movedAtMs > quietMsMax && !session.destroyed) {
        if (isAsked) return void socket.destroy();
        isAsked = true;
        movedAtMs = nowMs;
        session.settings({}, (error) => {
          if (!error) answerCount += 1;
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
