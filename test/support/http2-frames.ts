/**
 * HTTP/2 by the frame (RFC 9113 4 and 6), for downstreams that do what node:http2 would not.
 *
 * Headers are written as literals without indexing (RFC 7541 6.2.2), which every peer takes and nobody has to remember.
 */
import type { Duplex } from 'node:stream';
import { eventually } from './eventually.ts';

export const TYPE = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
export const FLAG = { endStream: 1, ack: 1, endHeaders: 4 } as const;
/** RFC 9113 7. */
export const CODE = { noError: 0, protocolError: 1, cancel: 8, enhanceYourCalm: 11 } as const;

const MAGIC = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
export const MAGIC_LENGTH = MAGIC.length;
/** SETTINGS that change nothing. */
export const SETTINGS = Buffer.from([0, 0, 0, TYPE.settings, 0, 0, 0, 0, 0]);
/** What a client says first. */
export const PREFACE = Buffer.concat([MAGIC, SETTINGS]);

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

export const frame = (
  type: number,
  flags: number,
  streamId: number,
  payload: Buffer | string = '',
): Buffer => {
  const body = Buffer.from(payload as string, 'latin1');
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, body]);
};

/** A number of 7 bits or more (RFC 7541 5.1), without the Huffman bit. */
const integer = (value: number): number[] => {
  if (value < 127) return [value];
  const bytes = [127];
  let rest = value - 127;
  for (; rest >= 128; rest >>= 7) bytes.push((rest & 127) | 128);
  return [...bytes, rest];
};

const text = (value: string): Buffer =>
  Buffer.concat([Buffer.from(integer(value.length)), Buffer.from(value, 'latin1')]);

/** Names and values in turn as a header block. */
export const headerBlock = (...fields: string[]): Buffer =>
  Buffer.concat(fields.map((field, i) => (i % 2 ? text(field) : Buffer.concat([Buffer.of(0), text(field)]))));

/** A request in one HEADERS frame; it is whole unless told otherwise. */
export const headersFrame = (
  streamId: number,
  fields: readonly string[],
  flags: number = FLAG.endHeaders | FLAG.endStream,
): Buffer => frame(TYPE.headers, flags, streamId, headerBlock(...fields));

/** The pseudo-headers of a request, changed as the test says; null leaves one out. */
export const pseudoFields = (
  authority: string,
  changes: Readonly<Record<string, string | null>> = {},
): string[] =>
  Object.entries({
    ':method': 'GET',
    ':scheme': 'https',
    ':authority': authority,
    ':path': '/',
    ...changes,
  }).flatMap(([name, value]) => (value === null ? [] : [name, value]));

export const resetFrame = (streamId: number, code: number = CODE.cancel): Buffer => {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(code);
  return frame(TYPE.reset, 0, streamId, payload);
};

/** Gives a peer room to send, on a stream or on the whole connection (0). */
export const windowFrame = (streamId: number, bytes: number): Buffer => {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(bytes);
  return frame(TYPE.windowUpdate, 0, streamId, payload);
};

/** The code in a RST_STREAM or GOAWAY frame. */
export const codeOf = ({ type, payload }: Frame): number =>
  payload.readUInt32BE(type === TYPE.goaway ? 4 : 0);

/** What a peer has sent so far, in frames. */
export interface FrameEnd {
  readonly socket: Duplex;
  readonly frames: readonly Frame[];
  readonly isEnded: boolean;
  /** The first frame of a type, on a stream if one is named; waits for it. */
  next(type: number, streamId?: number): Promise<Frame>;
  /** Waits until the peer has ended the connection. */
  ended(): Promise<void>;
}

/**
 * Reads frames from a connection; SETTINGS and PING are not answered.
 * @param skipLength bytes that are no frame: what a client says first
 */
export const readFrames = (socket: Duplex, skipLength = 0): FrameEnd => {
  const frames: Frame[] = [];
  let rest = Buffer.alloc(0);
  let leftToSkip = skipLength;
  let isEnded = false;
  socket.on('data', (chunk: Buffer) => {
    const skipped = Math.min(leftToSkip, chunk.length);
    leftToSkip -= skipped;
    rest = Buffer.concat([rest, chunk.subarray(skipped)]);
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      const end = 9 + rest.readUIntBE(0, 3);
      frames.push({
        type: rest[3] as number,
        flags: rest[4] as number,
        streamId: rest.readUInt32BE(5),
        payload: rest.subarray(9, end),
      });
      rest = rest.subarray(end);
    }
  });
  for (const event of ['end', 'close', 'error'])
    socket.on(event, () => {
      isEnded = true;
    });
  return {
    socket,
    frames,
    get isEnded() {
      return isEnded;
    },
    async next(type, streamId) {
      const find = () =>
        frames.find((one) => one.type === type && (streamId === undefined || one.streamId === streamId));
      await eventually(() => find() !== undefined || isEnded, `a frame of type ${type}`);
      const found = find();
      if (!found) throw new Error(`the connection ended before a frame of type ${type} came`);
      return found;
    },
    ended: () => eventually(() => isEnded, 'the peer ends the connection'),
  };
};
