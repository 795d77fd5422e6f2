/**
 * The checks of `doctor --deep`: what a path of proxies and time-outs breaks first. Each sends HTTP through the engine to a service of our own
 * behind a private tunnel, so that the engine reads and rewrites it as for published tunnels.
 *
 * Limits: doctorUploadBytes, doctorIdleMs, doctorDeepMsMax.
 */
import { randomBytes } from 'node:crypto';
import { type Duplex, Readable } from 'node:stream';
import { LIMITS } from '../base/limits.ts';
import { pause } from '../base/time.ts';
import { throughAgent } from './doctor-agent.ts';
import { FIRST_EVENT, serveDoctorUpstream } from './doctor-upstream.ts';
import { type Check, type CheckNeeds, fault, ok, type Result } from './finding.ts';

const MEGABYTE = 1_000_000;
const PIECE_BYTES = 65_536;

/** A check that talks to the service over a stream of its own. */
const deepCheck =
  (talk: (stream: Duplex, needs: CheckNeeds) => Promise<Result>): Check =>
  async (needs) => {
    const upstream = await serveDoctorUpstream();
    const tunnel = { port: upstream.port, protocol: 'http', deadlineMs: LIMITS.doctorDeepMsMax } as const;
    try {
      return await throughAgent(needs, tunnel, async (dial) => talk(await dial(), needs));
    } finally {
      upstream.close();
    }
  };

/** The first event of an answer that goes on: whatever waits for the end of an answer, or for a full buffer, holds it back. */
export const checkFirstByte = deepCheck(async (stream, { clock }) => {
  const startMs = clock.elapsed();
  stream.write('GET /events HTTP/1.1\r\nHost: doctor\r\nAccept: text/event-stream\r\n\r\n');
  const answer = await readUntil(stream, (text) => text.includes(FIRST_EVENT));
  return answer.includes(FIRST_EVENT)
    ? ok(`the first server-sent event came after ${Math.round(clock.elapsed() - startMs)} ms`)
    : fault(`no server-sent event came: ${shown(answer)}`);
});

/** A large body, or the largest that `limits.request_body_bytes` allows, and what of it arrived. */
export const checkUpload = deepCheck(async (stream, { clock, config }) => {
  const byteCount = Math.min(LIMITS.doctorUploadBytes, config.limits.request_body_bytes ?? Infinity);
  const startMs = clock.elapsed();
  stream.write(
    `POST /upload HTTP/1.1\r\nHost: doctor\r\nContent-Length: ${byteCount}\r\nConnection: close\r\n\r\n`,
  );
  Readable.from(pieces(byteCount)).pipe(stream, { end: false });
  const answer = await readUntil(stream, () => false);
  const seconds = (clock.elapsed() - startMs) / 1_000;
  const megabytes = byteCount / MEGABYTE;
  return answer.endsWith(`\r\n\r\n${byteCount}`)
    ? ok(`${megabytes} MB were uploaded in ${seconds.toFixed(1)} s, ${Math.round(megabytes / seconds)} MB/s`)
    : fault(`${megabytes} MB did not arrive whole: ${shown(answer)}`);
});

/** A WebSocket on which nobody says anything for longer than most time-outs of proxies. */
export const checkWebSocket = deepCheck(async (stream, { clock }) => {
  const key = randomBytes(16).toString('base64');
  stream.write(
    `GET /socket HTTP/1.1\r\nHost: doctor\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
  );
  const answer = await readUntil(stream, (text) => text.includes('\r\n\r\n'));
  if (!answer.startsWith('HTTP/1.1 101')) return fault(`no WebSocket was opened: ${shown(answer)}`);
  await pause(clock, LIMITS.doctorIdleMs);
  // A text of one letter, masked as of a client (RFC 6455 5.2).
  const frame = Buffer.from([0x81, 0x81, ...randomBytes(5)]);
  stream.write(frame);
  // A stream that broke meanwhile has no other verdict than one that ended.
  const echo = await readUntil(stream, (text) => text.length >= frame.length).catch(() => '');
  const seconds = LIMITS.doctorIdleMs / 1_000;
  return echo === frame.toString('latin1')
    ? ok(`a WebSocket that was silent for ${seconds} s still carries what is sent`)
    : fault(`a WebSocket did not outlive ${seconds} s of silence`);
});

function* pieces(byteCount: number): Generator<Buffer> {
  const piece = Buffer.alloc(PIECE_BYTES);
  for (let left = byteCount; left > 0; left -= piece.length) yield piece.subarray(0, left);
}

/** What came until it is enough, or until the end. */
const readUntil = async (stream: Duplex, isEnough: (text: string) => boolean): Promise<string> => {
  let text = '';
  for await (const bytes of stream.iterator({ destroyOnReturn: false })) {
    text += (bytes as Buffer).toString('latin1');
    if (isEnough(text)) break;
  }
  return text;
};

/** The status line of an answer, for a verdict. */
const shown = (answer: string): string => answer.split('\r\n', 1)[0] || 'the stream ended without an answer';
