import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { EngineError } from '../../src/base/errors.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { encodeFrame } from '../../src/wire/frame-writer.ts';

test('a frame is the length in network order and the body', () => {
  const frame = encodeFrame({ kind: 'heartbeat', sequence: 0n, acknowledgement: 0n });
  assert.equal(frame.toString('hex'), '000000027a00');
});

test('a message without a payload is four zero bytes', () => {
  assert.equal(encodeFrame({ kind: 'unknown' }).toString('hex'), '00000000');
});

test('a message over the frame limit is never sent', () => {
  assert.throws(
    () => encodeFrame({ kind: 'server-message', text: 'x'.repeat(LIMITS.frameBytesMax) }),
    (error) => error instanceof EngineError && error.code === 'FRAME_TOO_LARGE',
  );
});
