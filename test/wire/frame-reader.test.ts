import { strict as assert } from 'node:assert';
import { describe, test } from 'node:test';
import { EngineError } from '../../src/base/errors.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { createFrameReader, type FrameReader } from '../../src/wire/frame-reader.ts';
import { encodeFrame } from '../../src/wire/frame-writer.ts';
import type { Message } from '../../src/wire/message.ts';
import { EVERY_MESSAGE } from './every-message.ts';

const MESSAGES: Message[] = Object.values(EVERY_MESSAGE);
const STREAM = Buffer.concat(MESSAGES.map(encodeFrame));
const HEARTBEAT = Buffer.from('000000027a00', 'hex');

const drain = (reader: FrameReader): Message[] => {
  const messages: Message[] = [];
  for (let message = reader.next(); message; message = reader.next()) messages.push(message);
  return messages;
};

const readAll = (chunks: Buffer[]): Message[] => {
  const reader = createFrameReader();
  return chunks.flatMap((chunk) => {
    reader.push(chunk);
    return drain(reader);
  });
};

const failsWith = (code: string) => (error: unknown) => error instanceof EngineError && error.code === code;

describe('messages come out however the bytes come in', () => {
  test('all at once', () => assert.deepEqual(readAll([STREAM]), MESSAGES));

  test('byte by byte', () => {
    assert.deepEqual(readAll([...STREAM].map((byte) => Buffer.of(byte))), MESSAGES);
  });

  test('split at every point', () => {
    for (let at = 0; at <= STREAM.length; at += 1)
      assert.deepEqual(readAll([STREAM.subarray(0, at), STREAM.subarray(at)]), MESSAGES, `at ${at}`);
  });

  test('pushed long before they are pulled', () => {
    const reader = createFrameReader();
    for (const byte of STREAM) reader.push(Buffer.of(byte));
    assert.deepEqual(drain(reader), MESSAGES);
  });
});

test('an empty frame is an unknown message', () => {
  assert.deepEqual(readAll([Buffer.alloc(4), HEARTBEAT]), [
    { kind: 'unknown' },
    { kind: 'heartbeat', sequence: 0n, acknowledgement: 0n },
  ]);
});

describe('leaving frames', () => {
  test('what follows the first message is given back untouched, even where it looks like a bad frame', () => {
    const payload = Buffer.from('ffffffff00', 'hex');
    for (let at = 0; at <= HEARTBEAT.length + payload.length; at += 1) {
      const reader = createFrameReader();
      const bytes = Buffer.concat([HEARTBEAT, payload]);
      reader.push(bytes.subarray(0, at));
      let read = reader.next();
      const split = read ? at : bytes.length;
      if (!read) {
        reader.push(bytes.subarray(at));
        read = reader.next();
      }
      assert.equal(read?.kind, 'heartbeat');
      assert.deepEqual(reader.rest(), bytes.subarray(HEARTBEAT.length, split));
    }
  });

  test('nothing may follow', () => {
    const reader = createFrameReader();
    assert.equal(reader.rest().length, 0);
    assert.throws(() => reader.push(HEARTBEAT), /rest/);
    assert.throws(() => reader.next(), /rest/);
  });

  test('is not possible in the middle of a body', () => {
    const reader = createFrameReader();
    reader.push(HEARTBEAT.subarray(0, 5));
    assert.equal(reader.next(), undefined);
    assert.throws(() => reader.rest(), /between frames/);
  });
});

describe('the frame limit', () => {
  const largest = (length: number) => Buffer.from([0, length >> 16, (length >> 8) & 255, length & 255]);

  test('a frame of exactly the limit is read', () => {
    // A server message whose text fills the frame: tag and length of the payload and of the text take 9 bytes.
    const text = 'x'.repeat(LIMITS.frameBytesMax - 9);
    const frame = encodeFrame({ kind: 'server-message', text });
    assert.equal(frame.length, 4 + LIMITS.frameBytesMax);
    assert.deepEqual(readAll([frame]), [{ kind: 'server-message', text }]);
  });

  test('one byte more is refused by its length alone, before any of it has come', () => {
    const reader = createFrameReader();
    reader.push(largest(LIMITS.frameBytesMax + 1));
    assert.throws(() => reader.next(), failsWith('FRAME_TOO_LARGE'));
  });

  test('a length of four gigabytes is refused', () => {
    assert.throws(() => readAll([Buffer.from('ffffffff', 'hex')]), failsWith('FRAME_TOO_LARGE'));
  });
});

test('after a fault the reader keeps nothing and repeats the fault', () => {
  const reader = createFrameReader();
  reader.push(Buffer.from('0000000100', 'hex'));
  assert.throws(() => reader.next(), failsWith('FRAME_MALFORMED'));
  reader.push(HEARTBEAT);
  assert.throws(() => reader.next(), failsWith('FRAME_MALFORMED'));
});
