/** Requests that two readers could read in two ways are refused, and nothing of them reaches the upstream. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { exchangeRaw } from '../support/downstream.ts';
import {
  answerText,
  countOf,
  HOSTNAME,
  requestText,
  startPublished,
  startScriptedUpstream,
} from './http-upstream.ts';

const HOST = `Host: ${HOSTNAME}`;
const SMUGGLED = `GET /smuggled HTTP/1.1\r\n${HOST}\r\n\r\n`;

const start = async (t: TestContext) => {
  const upstream = await startScriptedUpstream(t, (_head, socket) => socket.write(answerText('ok')));
  const engine = await startPublished(t, upstream);
  return { engine, seen: () => upstream.connections.map(({ text }) => text).join('') };
};

/** Lines of a request head; a string alone is sent as it is. */
const REFUSED: [what: string, status: number, text: string | string[]][] = [
  [
    'a length and a coding',
    400,
    ['POST / HTTP/1.1', HOST, 'Content-Length: 5', 'Transfer-Encoding: chunked'],
  ],
  [
    'a coding and a length',
    400,
    ['POST / HTTP/1.1', HOST, 'Transfer-Encoding: chunked', 'Content-Length: 0'],
  ],
  ['two different lengths', 400, ['POST / HTTP/1.1', HOST, 'Content-Length: 5', 'Content-Length: 6']],
  ['two equal lengths', 400, ['POST / HTTP/1.1', HOST, 'Content-Length: 5', 'Content-Length: 5']],
  ['a list of lengths', 400, ['POST / HTTP/1.1', HOST, 'Content-Length: 5, 5']],
  ...['+5', '-5', '0x5', '5 5', '5e1', '', '99999999999999999999'].map(
    (length): [string, number, string[]] => [
      `a length of "${length}"`,
      400,
      ['POST / HTTP/1.1', HOST, `Content-Length: ${length}`],
    ],
  ),
  ...['xchunked', 'chunked, identity', 'gzip, chunked', 'chunked, chunked', '"chunked"', 'identity', ''].map(
    (coding): [string, number, string[]] => [
      `the coding "${coding}"`,
      400,
      ['POST / HTTP/1.1', HOST, `Transfer-Encoding: ${coding}`],
    ],
  ),
  ['two codings', 400, ['POST / HTTP/1.1', HOST, 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked']],
  ['a coding in HTTP/1.0', 400, ['POST / HTTP/1.0', HOST, 'Transfer-Encoding: chunked']],
  ['a vertical tab before the coding', 400, ['POST / HTTP/1.1', HOST, 'Transfer-Encoding: \x0bchunked']],
  ['a blank before the colon', 400, ['POST / HTTP/1.1', HOST, 'Transfer-Encoding : chunked']],
  ['a folded coding', 400, ['POST / HTTP/1.1', HOST, 'Transfer-Encoding:', ' chunked']],
  ['a folded header', 400, ['GET / HTTP/1.1', HOST, 'X: a', '\tb']],
  ['a header before the first', 400, ['GET / HTTP/1.1', ' X: a', HOST]],
  ['a line without a colon', 400, ['GET / HTTP/1.1', HOST, 'nonsense']],
  ['a header without a name', 400, ['GET / HTTP/1.1', HOST, ': a']],
  ['a header name with a bracket', 400, ['GET / HTTP/1.1', HOST, 'X(a): b']],
  ['a header name with a byte above ASCII', 400, ['GET / HTTP/1.1', HOST, 'X\xe9: b']],
  ['a NUL in a header', 400, ['GET / HTTP/1.1', HOST, 'X: a\0b']],
  ['a NUL in the target', 400, ['GET /\0 HTTP/1.1', HOST]],
  ['a control character in a header', 400, ['GET / HTTP/1.1', HOST, 'X: a\x01']],
  ['a bare LF behind the request line', 400, `GET / HTTP/1.1\n${HOST}\r\n\r\n`],
  ['a bare LF behind a header', 400, `GET / HTTP/1.1\r\n${HOST}\nX: a\r\n\r\n`],
  ['bare LFs alone', 400, `GET / HTTP/1.1\n${HOST}\n\n`],
  ['a bare CR in a header', 400, ['GET / HTTP/1.1', HOST, 'X: a\rY: b']],
  ['no Host', 400, ['GET / HTTP/1.1', 'X: a']],
  ['two Hosts', 400, ['GET / HTTP/1.1', HOST, HOST]],
  ['a Host with user info', 400, ['GET / HTTP/1.1', `Host: evil@${HOSTNAME}`]],
  ['a Host with a path', 400, ['GET / HTTP/1.1', `Host: ${HOSTNAME}/a`]],
  ['a Host with a blank', 400, ['GET / HTTP/1.1', `Host: ${HOSTNAME} x`]],
  ['an absolute target for another host', 400, ['GET https://evil.test/ HTTP/1.1', HOST]],
  ['an absolute target with user info', 400, [`GET https://u@${HOSTNAME}/ HTTP/1.1`, HOST]],
  ['an absolute target of another scheme', 400, [`GET ftp://${HOSTNAME}/ HTTP/1.1`, HOST]],
  ['a target that is no path', 400, ['GET a HTTP/1.1', HOST]],
  ['a target with a blank', 400, ['GET /a b HTTP/1.1', HOST]],
  ['a request line without a version', 400, ['GET /', HOST]],
  ['a blank before the method', 400, [' GET / HTTP/1.1', HOST]],
  ['a method with a bracket', 400, ['G[T / HTTP/1.1', HOST]],
  ['a request line in lower case', 400, ['GET / http/1.1', HOST]],
  ['HTTP/2.0 in clear text', 505, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['HTTP/1.2', 505, ['GET / HTTP/1.2', HOST]],
  ['an expectation that nobody knows', 417, ['GET / HTTP/1.1', HOST, 'Expect: miracles']],
  ['a head over the limit', 431, ['GET / HTTP/1.1', HOST, `X: ${'x'.repeat(LIMITS.requestHeadBytesMax)}`]],
  ['too many lines', 431, ['GET / HTTP/1.1', HOST, ...Array(LIMITS.headerLinesMax).fill('X: a')]],
];

describe('refused, with what comes behind', () => {
  for (const [what, status, text] of REFUSED)
    test(`${status}: ${what}`, async (t) => {
      const { engine, seen } = await start(t);
      const request = typeof text === 'string' ? text : `${text.join('\r\n')}\r\n\r\n`;
      const answer = await exchangeRaw(engine, HOSTNAME, `${request}5\r\n${SMUGGLED}${SMUGGLED}`);
      assert.match(answer, new RegExp(`^HTTP/1.1 ${status} [^]*\r\nconnection: close\r\n`));
      assert.equal(answer.match(/HTTP\/1.1 \d{3}/g)?.length, 1, 'one answer');
      assert.equal(seen(), '', 'the upstream has seen nothing');
    });
});

/** What is wrong shows only after a part has reached the upstream. */
const BROKEN_BODIES: [what: string, body: string][] = [
  ['a chunk size that is no number', 'zz\r\n'],
  ['a chunk size with a sign', '+5\r\nhello\r\n0\r\n\r\n'],
  ['a chunk size in 0x', '0x5\r\nhello\r\n0\r\n\r\n'],
  ['a chunk size of 17 digits', `${'0'.repeat(16)}5\r\nhello\r\n0\r\n\r\n`],
  ['a chunk size behind a blank', ' 5\r\nhello\r\n0\r\n\r\n'],
  ['a chunk line that ends in LF', '5\nhello\r\n0\r\n\r\n'],
  ['a chunk that is longer than its size', '5\r\nhelloo\r\n0\r\n\r\n'],
  ['a chunk extension over the limit', `5;${'x'.repeat(LIMITS.chunkLineBytesMax)}\r\nhello\r\n0\r\n\r\n`],
  ['a CR in a chunk extension', '5;a\rb\r\nhello\r\n0\r\n\r\n'],
  ['a trailer without a colon', '0\r\nnonsense\r\n\r\n'],
  ['trailers without end', `0\r\n${'X: a\r\n'.repeat(LIMITS.trailerBytesMax)}\r\n`],
];

describe('a body that breaks the rules ends its exchange and both connections', () => {
  for (const [what, body] of BROKEN_BODIES)
    test(what, async (t) => {
      const upstream = await startScriptedUpstream(t, () => {});
      const engine = await startPublished(t, upstream);
      const head = requestText('POST /', 'Transfer-Encoding: chunked');
      const answer = await exchangeRaw(engine, HOSTNAME, `${head}${body}${SMUGGLED}`);
      assert.match(answer, /^HTTP\/1.1 400 .*REQUEST_MALFORMED/s);
      assert.equal(countOf(answer, 'HTTP/1.1'), 1);
      assert.ok(upstream.connections.every(({ text }) => !text.includes('smuggled')));
      assert.equal(engine.log.withCode('REQUEST_MALFORMED').length, 1);
    });
});

describe('what only looks dangerous is passed on as it was meant', () => {
  const POST = ['POST / HTTP/1.1', HOST];
  const PASSED: [what: string, lines: string[], body: string][] = [
    ['blanks around a length', [...POST, 'Content-Length: \t5 \t'], 'hello'],
    ['a coding in capitals', [...POST, 'transfer-ENCODING: CHUNKED'], '5\r\nhello\r\n0\r\n\r\n'],
    ['a coding under another name', [...POST, 'Transfer_Encoding: chunked', 'Content-Length: 5'], 'hello'],
    [
      'a Connection that takes away the length',
      [...POST, 'Connection: Content-Length', 'Content-Length: 5'],
      'hello',
    ],
    ['an empty line before the request', ['', ...POST, 'Content-Length: 5'], 'hello'],
    [
      'an absolute target for the same host',
      [`POST http://${HOSTNAME}/ HTTP/1.1`, HOST, 'Content-Length: 5'],
      'hello',
    ],
  ];
  for (const [what, lines, body] of PASSED)
    test(what, async (t) => {
      const { engine, seen } = await start(t);
      const text = `${lines.join('\r\n')}\r\n\r\n${body}${requestText('GET /next', 'Connection: close')}`;
      const answer = await exchangeRaw(engine, HOSTNAME, text);
      assert.equal(countOf(answer, 'HTTP/1.1 200 OK'), 2);
      assert.match(seen(), /^POST \/ HTTP\/1.1\r\n/);
      assert.ok(seen().includes(`\r\n\r\n${body}GET /next HTTP/1.1\r\n`));
    });
});
