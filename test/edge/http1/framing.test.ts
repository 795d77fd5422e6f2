import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LIMITS } from '../../../src/base/limits.ts';
import { createBodyReader, requestFraming, responseFraming } from '../../../src/edge/http1/framing.ts';

const lengths = (contentLength?: string, transferEncoding?: string) => ({ contentLength, transferEncoding });

describe('requestFraming', () => {
  test('reads length, chunked coding and none', () => {
    assert.deepEqual(requestFraming(lengths(), 1), { kind: 'none' });
    assert.deepEqual(requestFraming(lengths('0'), 1), { kind: 'none' });
    assert.deepEqual(requestFraming(lengths('12'), 0), { kind: 'length', length: 12 });
    assert.deepEqual(requestFraming(lengths(undefined, 'Chunked'), 1), { kind: 'chunked' });
  });

  const refused: Record<string, [string | undefined, string | undefined, number]> = {
    'Content-Length with Transfer-Encoding': ['5', 'chunked', 1],
    'Transfer-Encoding in HTTP/1.0': [undefined, 'chunked', 0],
    'a coding before chunked': [undefined, 'gzip, chunked', 1],
    'chunked twice': [undefined, 'chunked, chunked', 1],
    'chunked in two headers': [undefined, 'chunked,identity', 1],
    'a disguised chunked': [undefined, 'chunked\x0b', 1],
    identity: [undefined, 'identity', 1],
    'an empty length': ['', undefined, 1],
    'a signed length': ['+5', undefined, 1],
    'a negative length': ['-5', undefined, 1],
    'a hex length': ['0x5', undefined, 1],
    'a list of lengths': ['5, 5', undefined, 1],
    'a length with white space': ['5 5', undefined, 1],
    'a length beyond exact numbers': ['9'.repeat(16), undefined, 1],
  };
  for (const [what, [contentLength, transferEncoding, minorVersion]] of Object.entries(refused))
    test(`refuses ${what}`, () =>
      assert.throws(
        () => requestFraming(lengths(contentLength, transferEncoding), minorVersion),
        SyntaxError,
      ));
});

describe('responseFraming', () => {
  test('has no body after HEAD, 1xx, 204 and 304, whatever the headers say', () => {
    for (const [status, method] of [
      [200, 'HEAD'],
      [100, 'GET'],
      [204, 'GET'],
      [304, 'GET'],
    ] as const)
      assert.deepEqual(responseFraming(lengths('5'), status, method), { kind: 'none' });
  });

  test('refuses lengths that are in doubt also where no body follows, because they pass on', () => {
    for (const [status, method] of [
      [200, 'HEAD'],
      [204, 'GET'],
      [304, 'GET'],
    ] as const) {
      assert.throws(() => responseFraming(lengths('5x'), status, method), SyntaxError);
      assert.throws(() => responseFraming(lengths('5', 'chunked'), status, method), SyntaxError);
    }
  });

  test('ends with the connection when nothing is said', () => {
    assert.deepEqual(responseFraming(lengths(), 200, 'GET'), { kind: 'close' });
  });

  test('refuses what requests refuse', () => {
    assert.throws(() => responseFraming(lengths('5', 'chunked'), 200, 'GET'), SyntaxError);
    assert.throws(() => responseFraming(lengths(undefined, 'gzip'), 200, 'GET'), SyntaxError);
    assert.throws(() => responseFraming(lengths('5,5'), 200, 'GET'), SyntaxError);
  });
});

/** Feeds pieces and gives where the body ended in the last one, and its payload. */
const read = (kind: Parameters<typeof createBodyReader>[0], pieces: string[]) => {
  const reader = createBodyReader(kind);
  let payload = '';
  let end = 0;
  for (const piece of pieces)
    end = reader.take(Buffer.from(piece, 'latin1'), 0, (chunk, from, to) => {
      payload += chunk.toString('latin1', from, to);
    });
  return { end, payload, isDone: reader.isDone };
};

describe('a body with a length', () => {
  test('ends where its length is reached and leaves the rest', () => {
    assert.deepEqual(read({ kind: 'length', length: 5 }, ['ab', 'cdeNEXT']), {
      end: 3,
      payload: 'abcde',
      isDone: true,
    });
  });

  test('is not done before', () => {
    assert.deepEqual(read({ kind: 'length', length: 5 }, ['ab']), { end: 2, payload: 'ab', isDone: false });
  });
});

test('a body that ends with the connection takes everything and is never done', () => {
  assert.deepEqual(read({ kind: 'close' }, ['ab', 'cd']), { end: 2, payload: 'abcd', isDone: false });
});

describe('a chunked body', () => {
  const BODY = '5;name=value\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\n';
  const CHUNKED = { kind: 'chunked' } as const;

  test('gives its payload and the offset behind its trailers', () => {
    assert.deepEqual(read(CHUNKED, [`${BODY}GET /`]), { end: BODY.length, payload: 'hello!', isDone: true });
  });

  test('reads the same at every split and byte by byte', () => {
    for (let at = 1; at < BODY.length; at += 1)
      assert.deepEqual(read(CHUNKED, [BODY.slice(0, at), BODY.slice(at)]), {
        end: BODY.length - at,
        payload: 'hello!',
        isDone: true,
      });
    assert.deepEqual(read(CHUNKED, [...BODY]), { end: 1, payload: 'hello!', isDone: true });
  });

  const refused: Record<string, string> = {
    'a size that is not hex': 'g\r\n',
    'an empty size': '\r\n',
    'a signed size': '-1\r\n',
    'a size with 0x': '0x5\r\nhello\r\n',
    'white space before the size': ' 5\r\nhello\r\n',
    'white space after the size': '5 \r\nhello\r\n',
    'a size that overflows': 'fffffffffffffffff\r\n',
    'a size line with a bare line feed': '5\nhello\r\n',
    'a bare carriage return in an extension': '5;a\rb\r\nhello\r\n',
    'data longer than its size': '5\r\nhello!\r\n',
    'data without a line end': '5\r\nhelloX\r\n',
    'a data end with a bare line feed': '5\r\nhello\n0\r\n\r\n',
    'a trailer without a colon': '0\r\nabc\r\n\r\n',
    'a folded trailer': '0\r\nA: b\r\n c\r\n\r\n',
    'a NUL in a trailer': '0\r\nA: \0\r\n\r\n',
    'an extension with bad white space': '5;a =b\r\nhello\r\n',
    'an extension with an open quote': '5;a="b\r\nhello\r\n',
    'a trailer that frames': '0\r\nTransfer-Encoding: chunked\r\n\r\n',
    'a trailer that identifies': '0\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n',
    'an endless extension': `5;${'x'.repeat(LIMITS.chunkLineBytesMax)}`,
    'endless trailers': `0\r\n${`A: ${'x'.repeat(500)}\r\n`.repeat(20)}`,
  };
  for (const [what, text] of Object.entries(refused))
    test(`refuses ${what}`, () => {
      assert.throws(() => read(CHUNKED, [text]), SyntaxError);
      assert.throws(() => read(CHUNKED, [...text]), SyntaxError);
    });
});
