import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EngineError } from '../../../src/base/errors.ts';
import { LIMITS } from '../../../src/base/limits.ts';
import { HeadReader, parseRequestHead, parseResponseHead } from '../../../src/edge/http1/head.ts';

const REQUEST = 'GET /a?b=c HTTP/1.1\r\nHost: x.test\r\nAccept:  */*  \r\nEmpty:\r\n\r\n';
const TEXT = REQUEST.slice(0, -4);

describe('HeadReader', () => {
  test('gives a head that lies in one chunk and says where it ends', () => {
    const reader = new HeadReader(1_000);
    const chunk = Buffer.from(`${REQUEST}body`);
    assert.equal(reader.push(chunk, 0), REQUEST.length);
    assert.equal(reader.text, TEXT);
    assert.equal(reader.isPartial, false);
  });

  test('gives the same head for every split into two chunks, and byte by byte', () => {
    for (let at = 1; at < REQUEST.length; at += 1) {
      const reader = new HeadReader(1_000);
      assert.equal(reader.push(Buffer.from(REQUEST.slice(0, at)), 0), -1);
      assert.equal(reader.isPartial, true);
      const end = reader.push(Buffer.from(`${REQUEST.slice(at)}rest`), 0);
      assert.equal(end, REQUEST.length - at);
      assert.equal(reader.text, TEXT);
    }
    const reader = new HeadReader(1_000);
    const ends = [...REQUEST].map((byte) => reader.push(Buffer.from(byte), 0));
    assert.deepEqual([...new Set(ends.slice(0, -1))], [-1]);
    assert.equal(ends.at(-1), 1);
    assert.equal(reader.text, TEXT);
  });

  test('reads a second head behind the first from the offset it is given', () => {
    const reader = new HeadReader(1_000);
    const chunk = Buffer.from(REQUEST + REQUEST.replace('/a', '/second'));
    const offset = reader.push(chunk, 0);
    assert.equal(reader.push(chunk, offset), chunk.length);
    assert.match(reader.text, /^GET \/second/);
  });

  test('ignores one empty line before a request, also when it is split', () => {
    for (const chunks of [[`\r\n${REQUEST}`], ['\r', `\n${REQUEST}`], ['\r\n', REQUEST]]) {
      const reader = new HeadReader(1_000);
      for (const chunk of chunks) reader.push(Buffer.from(chunk), 0);
      assert.equal(reader.text, TEXT, JSON.stringify(chunks));
    }
  });

  test('refuses a head over the limit, whole or in parts', () => {
    const long = `GET / HTTP/1.1\r\nA: ${'x'.repeat(100)}\r\n`;
    assert.throws(() => new HeadReader(50).push(Buffer.from(`${long}\r\n`), 0), RangeError);
    assert.throws(() => new HeadReader(50).push(Buffer.from(long), 0), RangeError);
    const reader = new HeadReader(50);
    reader.push(Buffer.from(long.slice(0, 40)), 0);
    assert.throws(() => reader.push(Buffer.from(long.slice(40)), 0), RangeError);
  });

  test('refuses bare line feeds at once instead of waiting for an end that never comes', () => {
    assert.throws(
      () => new HeadReader(1_000).push(Buffer.from('GET / HTTP/1.1\nHost: x\n\n'), 0),
      SyntaxError,
    );
  });
});

describe('parseRequestHead', () => {
  test('gives start line and headers with the white space around values gone', () => {
    assert.deepEqual(parseRequestHead(TEXT), {
      method: 'GET',
      target: '/a?b=c',
      minorVersion: 1,
      headers: ['Host', 'x.test', 'Accept', '*/*', 'Empty', ''],
    });
  });

  test('keeps bytes above 127 of values as latin1', () => {
    assert.deepEqual(parseRequestHead('GET / HTTP/1.0\r\nA: \xe9').headers, ['A', '\xe9']);
  });

  const refused: Record<string, string> = {
    'no request line': 'hello',
    'two spaces': 'GET  / HTTP/1.1',
    'white space in the target': 'GET /a b HTTP/1.1',
    'a lower-case version': 'GET / http/1.1',
    'a control character in the target': 'GET /\x01 HTTP/1.1',
    'a bare carriage return in a value': 'GET / HTTP/1.1\r\nA: b\rc',
    'a bare line feed in a value': 'GET / HTTP/1.1\r\nA: b\nHost: c',
    'a NUL in a value': 'GET / HTTP/1.1\r\nA: b\0c',
    'a DEL in a value': 'GET / HTTP/1.1\r\nA: b\x7f',
    'white space before the colon': 'GET / HTTP/1.1\r\nHost : x',
    'an empty name': 'GET / HTTP/1.1\r\n: x',
    'a name with a bracket': 'GET / HTTP/1.1\r\nA[]: x',
    'a line without a colon': 'GET / HTTP/1.1\r\nHost',
    'a folded line': 'GET / HTTP/1.1\r\nA: b\r\n c: d',
    'a first line that is folded': 'GET / HTTP/1.1\r\n A: b',
    'an endless method': `${'A'.repeat(33)} / HTTP/1.1`,
  };
  for (const [what, text] of Object.entries(refused))
    test(`refuses ${what}`, () => assert.throws(() => parseRequestHead(text), SyntaxError));

  test('refuses other versions of HTTP with their own code', () => {
    for (const version of ['HTTP/2.0', 'HTTP/3', 'HTTP/1.2', 'HTTP/0.9'])
      assert.throws(
        () => parseRequestHead(`GET / ${version}`),
        (error) => error instanceof EngineError && error.code === 'HTTP_VERSION_UNSUPPORTED',
        version,
      );
  });

  test('refuses more header lines than the limit', () => {
    const lines = Array.from({ length: LIMITS.headerLinesMax + 1 }, (_, i) => `H${i}: v`);
    assert.throws(() => parseRequestHead(['GET / HTTP/1.1', ...lines].join('\r\n')), RangeError);
    assert.equal(
      parseRequestHead(['GET / HTTP/1.1', ...lines.slice(1)].join('\r\n')).headers.length,
      2 * LIMITS.headerLinesMax,
    );
  });
});

describe('parseResponseHead', () => {
  test('gives status, reason and headers', () => {
    assert.deepEqual(parseResponseHead('HTTP/1.0 404 Not Found\r\nA: b'), {
      status: 404,
      reason: 'Not Found',
      minorVersion: 0,
      headers: ['A', 'b'],
    });
  });

  test('accepts a reason that is empty or absent', () => {
    assert.equal(parseResponseHead('HTTP/1.1 200 ').reason, '');
    assert.equal(parseResponseHead('HTTP/1.1 200').reason, '');
  });

  for (const text of ['HTTP/2 200', 'HTTP/1.1 20', 'HTTP/1.1 099 x', 'ICY 200 OK', 'HTTP/1.1 200 a\rb'])
    test(`refuses ${JSON.stringify(text)}`, () => assert.throws(() => parseResponseHead(text), SyntaxError));
});
