/**
 * Which HTTP version a private dialer speaks: nothing has told, as there is no ALPN inside a private stream.
 *
 * Limits: requestHeadMsMax for the first bytes.
 */
import type { Duplex } from 'node:stream';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';

// RFC 9113 3.4. No method of HTTP/1.1 begins so.
const HTTP2_PREFACE = 'PRI * HTTP/2.0\r\n';

/**
 * Reads the first bytes of a paused connection and puts them back.
 * @returns undefined when it ended, or said too little for too long
 */
export const speaksHttp2 = (socket: Duplex, clock: Clock): Promise<boolean | undefined> =>
  new Promise((resolve) => {
    let first = Buffer.alloc(0);
    const settle = (isHttp2: boolean | undefined) => {
      deadline.cancel();
      socket.off('readable', look).off('end', leave).off('close', leave);
      if (isHttp2 !== undefined) socket.unshift(first);
      resolve(isHttp2);
    };
    const leave = () => settle(undefined);
    const look = () => {
      for (let chunk = socket.read(); chunk !== null; chunk = socket.read())
        first = Buffer.concat([first, chunk as Buffer]);
      const said = first.toString('latin1', 0, HTTP2_PREFACE.length);
      if (!HTTP2_PREFACE.startsWith(said)) settle(false);
      else if (said.length === HTTP2_PREFACE.length) settle(true);
    };
    const deadline = clock.after(LIMITS.requestHeadMsMax, leave);
    socket.on('readable', look).once('end', leave).once('close', leave);
    look();
  });
