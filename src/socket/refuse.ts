/**
 * Says no to a peer that has no TLS yet: a TLS alert, or one HTTP answer for those who spoke HTTP.
 *
 * Invariant: the peer can read the answer. Its own bytes are read and dropped meanwhile, since closing a socket with unread bytes
 * sends a reset, which may overtake the answer.
 * Limits: refusalLingerMsMax, then the socket is destroyed.
 */
import type { Socket } from 'node:net';
import type { EngineError, ErrorCode } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';

/** TLS alert descriptions (RFC 8446 6); a code that is missing here closes the socket without a word. */
const ALERTS: Partial<Record<ErrorCode, number>> = {
  CLIENT_HELLO_MALFORMED: 50, // decode_error
  CLIENT_HELLO_TOO_LARGE: 50,
  TLS_VERSION_UNSUPPORTED: 70, // protocol_version
  // RFC 8446 6.2 has insufficient_security for just this; handshake_failure would leave the client guessing.
  POST_QUANTUM_REQUIRED: 71,
  SERVER_NAME_UNKNOWN: 112, // unrecognized_name
  ALPN_UNSUPPORTED: 120, // no_application_protocol (RFC 7301 3.2)
};

/** Tells the peer as much as its protocol allows, and closes. */
export const refuse = (socket: Socket, clock: Clock, error: EngineError, errorId: string): void => {
  const alert = ALERTS[error.code];
  if (error.code === 'PLAIN_HTTP_ON_TLS_PORT') sendAndClose(socket, clock, httpAnswerFrom(error, errorId));
  else if (alert !== undefined) sendAndClose(socket, clock, alertRecordFrom(alert));
  else socket.destroy();
};

/** A fatal alert in a record of its own (RFC 8446 5.1 and 6). */
const alertRecordFrom = (alert: number): Buffer => Buffer.from([21, 3, 1, 0, 2, 2, alert]);

const httpAnswerFrom = (error: EngineError, errorId: string): Buffer => {
  const body = `${error.message} ${error.row.advice}\n${error.code}, error id ${errorId}\n`;
  const head = [
    'HTTP/1.1 400 Bad Request',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store',
    'Connection: close',
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`);
};

const sendAndClose = (socket: Socket, clock: Clock, answer: Buffer): void => {
  const deadline = clock.after(LIMITS.refusalLingerMsMax, () => socket.destroy());
  socket.once('close', deadline.cancel);
  socket.resume().end(answer);
};
