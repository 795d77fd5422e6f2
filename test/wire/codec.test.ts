import { strict as assert } from 'node:assert';
import { describe, test } from 'node:test';
import { EngineError } from '../../src/base/errors.ts';
import { decodeMessage, encodeMessage } from '../../src/wire/codec.ts';
import type { Message } from '../../src/wire/message.ts';
import { EDGE_MESSAGES, EVERY_MESSAGE } from './every-message.ts';

const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(' ', ''), 'hex');
const hexOf = (message: Message): string => Buffer.from(encodeMessage(message)).toString('hex');
const malformed = (error: unknown) => error instanceof EngineError && error.code === 'FRAME_MALFORMED';

describe('round trip', () => {
  for (const message of Object.values(EVERY_MESSAGE))
    test(`${message.kind} keeps every field`, () => {
      assert.deepEqual(decodeMessage(encodeMessage(message)), message);
    });

  test('unset, empty and largest values stay apart', () => {
    for (const message of EDGE_MESSAGES) assert.deepEqual(decodeMessage(encodeMessage(message)), message);
  });
});

// Written by hand from the field numbers of protocol.md 2.4, not by running the encoder.
const FIXTURES: [name: string, hex: string, message: Message][] = [
  ['an empty legacy heartbeat', '7a 00', { kind: 'heartbeat', sequence: 0n, acknowledgement: 0n }],
  ['a numbered heartbeat', '7a 02 08 05', { kind: 'heartbeat', sequence: 5n, acknowledgement: 0n }],
  ['an acknowledgement', '7a 02 10 05', { kind: 'heartbeat', sequence: 0n, acknowledgement: 5n }],
  ['a goodbye', '1a 00', { kind: 'close-channel' }],
  ['its answer', '22 00', { kind: 'channel-closed' }],
  [
    'an opening with token, version and interval',
    '0a 13 0a 0c 32 03 0a 01 74 3a 05 0a 03 312e34 12 03 08 8827',
    {
      kind: 'open-channel',
      details: { token: 't', protocolVersion: '1.4' },
      liveness: { heartbeatIntervalMs: 5_000, heartbeatTimeoutMs: 0 },
    },
  ],
  [
    'a refused opening',
    '12 0a 12 08 08 e807 12 03 0a 01 78',
    { kind: 'channel-refused', error: { code: 1_000, message: 'x' } },
  ],
  [
    'a tunnel with a name, explicit false, a label and a port',
    '2a 1e 0a 01 72 12 19 1a 04 0a 02 6869 2a 00 3a 06 0a 01 6b 12 01 76 ba01 03 08 fb41 a201 00',
    {
      kind: 'open-tunnel',
      requestId: 'r',
      properties: { name: 'hi', publish: false, labels: { k: 'v' }, port: 8_443, rstreamAuth: false },
    },
  ],
  [
    'a dial request from 127.0.0.1, whose number is 0x7f000001 in little-endian order',
    '4a 14 0a 01 74 12 01 73 1a 03 0a 01 71 22 05 0d 0100007f 2a 00',
    {
      kind: 'dial-request',
      tunnelId: 't',
      streamId: 's',
      secret: 'q',
      sourceIp: Uint8Array.of(127, 0, 0, 1),
      endpoint: '',
    },
  ],
  [
    'a dial-back without zero-RTT left out, as C++ sends it',
    '5a 0c 0a 05 32 03 0a 01 71 12 03 616263',
    { kind: 'dial-back', details: { token: 'q' }, streamId: 'abc', zeroRtt: false },
  ],
  [
    'a private dial with zero-RTT',
    '6a 07 12 01 6e 1a 02 08 01',
    { kind: 'private-dial', details: {}, target: 'n', zeroRtt: true, datagramChannel: false },
  ],
  ['an accepted private dial', '72 03 0a 01 73', { kind: 'private-dial-accepted', streamId: 's' }],
];

describe('bytes of the public protocol', () => {
  for (const [name, hex, message] of FIXTURES)
    test(`decodes ${name}`, () => assert.deepEqual(decodeMessage(bytes(hex)), message));

  test('encodes a numbered heartbeat as every client does', () => {
    assert.equal(hexOf({ kind: 'heartbeat', sequence: 5n, acknowledgement: 0n }), '7a020805');
  });

  test('ignores a field of a newer protocol at any depth', () => {
    // Field 99 in Message, in the request and in its details.
    const message = decodeMessage(bytes('9a06 01 78 0a 0d 0a 08 32 03 0a 01 74 9806 01 9a06 00'));
    assert.deepEqual(message, { kind: 'open-channel', details: { token: 't' } });
  });

  test('takes a payload of a newer protocol for an unknown message', () => {
    assert.deepEqual(decodeMessage(bytes('9a01 00')), { kind: 'unknown' });
    assert.deepEqual(decodeMessage(bytes('')), { kind: 'unknown' });
  });

  test('keeps an error code of a newer protocol', () => {
    assert.deepEqual(decodeMessage(bytes('12 05 12 03 08 e457')), {
      kind: 'channel-refused',
      error: { code: 11_236 },
    });
  });
});

describe('bytes that are no message', () => {
  const CASES: [name: string, hex: string][] = [
    ['a cut varint', '7a 02 08 ff'],
    ['a length beyond the end', '7a 7f'],
    ['an illegal wire type', '7f'],
    ['field number zero', '00'],
    ['a group that ends without a beginning', '7c'],
    ['ten thousand nested groups', '9b06'.repeat(10_000)],
    ['text that is not UTF-8', '32 03 0a 01 ff'],
    ['an opening answered with neither yes nor no', '12 00'],
    ['a tunnel answered with neither yes nor no', '32 03 0a 01 72'],
    ['a private dial answered with neither yes nor no', '72 00'],
    ['a time that no calendar has', '2a 0e 12 0c 12 0a 08 ffffffffffffffff7f'],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n').toString('hex')],
  ];
  for (const [name, hex] of CASES)
    test(`refuses ${name}`, () => assert.throws(() => decodeMessage(bytes(hex)), malformed));
});

test('a source address of a strange size is left out, because it is only shown', () => {
  const request = decodeMessage(bytes('4a 07 22 05 12 03 010203'));
  assert.deepEqual(request, { kind: 'dial-request', tunnelId: '', streamId: '' });
});

test('a label named __proto__ changes no prototype', () => {
  const message = decodeMessage(bytes('2a 12 12 10 3a 0e 0a 09 5f5f70726f746f5f5f 12 01 78'));
  assert.ok(message.kind === 'open-tunnel');
  assert.equal(Object.getPrototypeOf(message.properties.labels ?? {}), Object.prototype);
  assert.equal(({} as { x?: string }).x, undefined);
});
