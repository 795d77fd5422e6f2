/** Mutated streams of frames: whatever comes, the reader gives messages or an EngineError, and keeps within its limit. */
import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { EngineError } from '../../src/base/errors.ts';
import { encodeMessage } from '../../src/wire/codec.ts';
import { createFrameReader } from '../../src/wire/frame-reader.ts';
import { encodeFrame } from '../../src/wire/frame-writer.ts';
import type { Message } from '../../src/wire/message.ts';
import { EVERY_MESSAGE } from './every-message.ts';

const FUZZ_MS = 1_000;

/** A small generator with a seed (mulberry32), so that a failure can be repeated. */
const createRandom = (seed: number) => {
  let state = seed;
  return (below: number): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
};

const mutate = (bytes: Buffer, random: (below: number) => number): Buffer => {
  let mutated = Buffer.from(bytes);
  for (let count = random(4); count >= 0; count -= 1) {
    const at = random(mutated.length + 1);
    const choice = random(5);
    if (choice === 0) mutated = mutated.subarray(0, at);
    else if (choice === 1)
      mutated = Buffer.concat([mutated.subarray(0, at), mutated.subarray(at + random(8))]);
    else if (choice === 2)
      mutated = Buffer.concat([mutated.subarray(0, at), Buffer.of(random(256)), mutated.subarray(at)]);
    else if (mutated.length > 0) mutated[at % mutated.length] = random(256);
  }
  return mutated;
};

/** Half of the time the length is right again, so that the mutation reaches the codec. */
const mutatedFrame = (message: Message, random: (below: number) => number): Buffer => {
  if (random(2) === 0) return mutate(encodeFrame(message), random);
  const body = mutate(Buffer.from(encodeMessage(message)), random);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
};

const feed = (bytes: Buffer, random: (below: number) => number): void => {
  const reader = createFrameReader();
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + random(bytes.length);
    reader.push(bytes.subarray(at, end));
    at = end;
    for (let message = reader.next(); message; message = reader.next())
      assert.ok(message.kind in EVERY_MESSAGE);
  }
};

test('mutated frames give messages or an EngineError, never anything else', (t) => {
  const seed = Date.now() | 0;
  t.diagnostic(`seed ${seed}`);
  const random = createRandom(seed);
  const messages: Message[] = Object.values(EVERY_MESSAGE);
  const endMs = performance.now() + FUZZ_MS;
  const outcomes = { read: 0, refused: 0 };
  while (performance.now() < endMs) {
    const frames = Array.from({ length: 1 + random(3) }, () =>
      mutatedFrame(messages[random(messages.length)] as Message, random),
    );
    try {
      feed(Buffer.concat(frames), random);
      outcomes.read += 1;
    } catch (error) {
      assert.ok(error instanceof EngineError, `seed ${seed}: ${error}`);
      outcomes.refused += 1;
    }
  }
  assert.ok(outcomes.read > 0 && outcomes.refused > 0, `seed ${seed}: ${JSON.stringify(outcomes)}`);
});
