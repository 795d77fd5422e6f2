import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { downstreamHeaders, factsFrom, passableTrailers, upstreamHeaders } from '../../src/edge/headers.ts';

const FORWARDED = { remoteAddress: '192.0.2.7', publicPort: 8443, isTrustedProxy: false };

const linesFrom = (list: string[]): string[] =>
  Array.from({ length: list.length / 2 }, (_, i) => `${list[2 * i]}: ${list[2 * i + 1]}`);

/** What an upstream sees of these headers and a Host, as a list of lines without the Host. */
const upstreamLines = (
  headers: string[],
  options: { isTrustedProxy?: boolean; isHttp2?: boolean; isReplay?: boolean } = {},
) => {
  const { isHttp2 = false, ...forwarded } = options;
  const all = ['Host', 'x.test', ...headers];
  const [host, ...rest] = linesFrom(
    upstreamHeaders(all, factsFrom(all), 'x.test', { ...FORWARDED, ...forwarded }, isHttp2),
  );
  assert.equal(host, 'Host: x.test');
  return rest;
};

const OURS = [
  'X-Forwarded-For: 192.0.2.7',
  'X-Forwarded-Proto: https',
  'X-Forwarded-Host: x.test',
  'X-Forwarded-Port: 8443',
];

describe('towards the upstream', () => {
  test('Host, Origin and everything unknown pass as they were written, in their order', () => {
    const headers = ['oRiGiN', 'https://y.test', 'Cookie', 'a=b', 'Cookie', 'c=d', 'X-Thing', ''];
    const lines = ['oRiGiN: https://y.test', 'Cookie: a=b', 'Cookie: c=d', 'X-Thing: '];
    assert.deepEqual(upstreamLines(headers), [...lines, ...OURS]);
  });

  test('hop-by-hop headers end here, in every spelling', () => {
    const names = ['Connection', 'Keep-Alive', 'Proxy-Connection', 'Upgrade', 'TE', 'HTTP2-Settings'];
    for (const name of names.flatMap((name) => [name, name.toLowerCase(), name.toUpperCase()]))
      assert.deepEqual(upstreamLines([name, 'x-nothing']), OURS, name);
  });

  test('what only the edge says is taken away, from proxies as well, and said where it is true', () => {
    for (const name of ['x-rstream-replay', 'X-Rstream-Replay', 'X_RSTREAM_REPLAY'])
      for (const isTrustedProxy of [false, true])
        assert.deepEqual(upstreamLines([name, '1'], { isTrustedProxy }), OURS, name);
    assert.deepEqual(upstreamLines([], { isReplay: true }), [...OURS, 'x-rstream-replay: 1']);
  });

  test('a header that Connection nominates ends here, one that decides about the message does not', () => {
    const headers = [
      'Connection',
      'close, X-Hop , authorization, host',
      'X-Hop',
      '1',
      'Authorization',
      'Bearer x',
    ];
    assert.deepEqual(upstreamLines(headers), ['Authorization: Bearer x', ...OURS]);
  });

  test('the claims of a downstream about itself are replaced, underscore forms included', () => {
    const names = [
      'X-Forwarded-For',
      'x_forwarded_for',
      'X-FORWARDED-PROTO',
      'x-forwarded-host',
      'X_Forwarded_Port',
      'Forwarded',
      'X-Real-IP',
    ];
    assert.deepEqual(upstreamLines(names.flatMap((name) => [name, 'evil'])), OURS);
  });

  test('hyphens and underscores are one, in every mixture, for what the edge alone says', () => {
    const names = [
      'x-forwarded-for',
      'x-forwarded-proto',
      'x-forwarded-host',
      'x-forwarded-port',
      'x-real-ip',
    ];
    for (const name of [...names, 'x-rstream-replay']) {
      const parts = name.split('-');
      for (let mixture = 0; mixture < 2 ** (parts.length - 1); mixture += 1) {
        const mixed = parts.reduce(
          (left, right, at) => left + ((mixture >> (at - 1)) & 1 ? '_' : '-') + right,
        );
        for (const spelling of [mixed, mixed.toUpperCase()])
          assert.deepEqual(upstreamLines([spelling, 'evil']), OURS, spelling);
        assert.deepEqual(passableTrailers([mixed, 'evil']), [], mixed);
      }
    }
    // An application's own name, and one that frames only where it is written as the RFC has it.
    assert.deepEqual(upstreamLines(['X_Request_Id', '1', 'X-Forwarded', '2', 'Content_Type', '3']), [
      'X_Request_Id: 1',
      'X-Forwarded: 2',
      'Content_Type: 3',
      ...OURS,
    ]);
  });

  test('a trusted proxy keeps its claims and its address is appended', () => {
    const headers = [
      'X-Forwarded-For',
      '203.0.113.1',
      'X-Forwarded-Proto',
      'http',
      'X-Forwarded-For',
      '203.0.113.2',
    ];
    assert.deepEqual(upstreamLines(headers, { isTrustedProxy: true }), [
      'X-Forwarded-Proto: http',
      'X-Forwarded-For: 203.0.113.1, 203.0.113.2, 192.0.2.7',
      'X-Forwarded-Host: x.test',
      'X-Forwarded-Port: 8443',
    ]);
  });

  test('what a downstream got past a trusted proxy in underscores is dropped, and an empty chain is none', () => {
    const headers = ['x_forwarded_for', 'evil', 'X_Real_IP', 'evil', 'X-Forwarded-For', ''];
    assert.deepEqual(upstreamLines(headers, { isTrustedProxy: true }), OURS);
  });

  test('a Connection header takes no claim of a trusted proxy away', () => {
    const headers = ['X-Forwarded-For', '203.0.113.1', 'X-Forwarded-Proto', 'http', 'Connection'];
    const nominated = 'x-forwarded-for, x-forwarded-proto, x-forwarded-host';
    assert.deepEqual(upstreamLines([...headers, nominated], { isTrustedProxy: true }), [
      'X-Forwarded-Proto: http',
      'X-Forwarded-For: 203.0.113.1, 192.0.2.7',
      'X-Forwarded-Host: x.test',
      'X-Forwarded-Port: 8443',
    ]);
  });

  test('TE: trailers and no other TE passes, and only where the upstream speaks HTTP/2', () => {
    assert.deepEqual(upstreamLines(['te', 'trailers'], { isHttp2: true })[0], 'te: trailers');
    assert.deepEqual(upstreamLines(['te', 'gzip'], { isHttp2: true }), OURS);
    assert.deepEqual(upstreamLines(['TE', 'trailers']), OURS);
  });

  test('chunked framing is not mentioned to an upstream that speaks HTTP/2', () => {
    assert.deepEqual(upstreamLines(['Transfer-Encoding', 'chunked'], { isHttp2: true }), OURS);
    assert.deepEqual(upstreamLines(['Transfer-Encoding', 'chunked'])[0], 'Transfer-Encoding: chunked');
  });

  test('a request without Host gets the name that it was routed by', () => {
    const lines = linesFrom(upstreamHeaders([], factsFrom([]), 'x.test', FORWARDED, false));
    assert.deepEqual(lines, ['Host: x.test', ...OURS]);
  });
});

describe('towards the downstream', () => {
  const lines = (headers: string[], keepsFraming: boolean) =>
    linesFrom(downstreamHeaders(headers, factsFrom(headers), keepsFraming));

  test('hop-by-hop headers and nominated ones end here, the rest passes', () => {
    const headers = [
      'Connection',
      'x-hop',
      'X-Hop',
      '1',
      'Keep-Alive',
      'timeout=5',
      'Set-Cookie',
      'a',
      'Set-Cookie',
      'b',
    ];
    assert.deepEqual(lines(headers, true), ['Set-Cookie: a', 'Set-Cookie: b']);
  });

  test('Transfer-Encoding passes only where the framing does', () => {
    assert.deepEqual(lines(['Transfer-Encoding', 'chunked'], true), ['Transfer-Encoding: chunked']);
    assert.deepEqual(lines(['Transfer-Encoding', 'chunked'], false), []);
  });
});

describe('factsFrom', () => {
  test('refuses a second Content-Length, also an equal one', () => {
    assert.throws(() => factsFrom(['Content-Length', '5', 'content-length', '5']), SyntaxError);
  });

  test('joins what may come in several lines', () => {
    const facts = factsFrom([
      'Connection',
      'A',
      'connection',
      'b',
      'Transfer-Encoding',
      'x',
      'transfer-encoding',
      'y',
    ]);
    assert.deepEqual(facts.connection, ['a', 'b']);
    assert.equal(facts.transferEncoding, 'x,y');
  });
});

test('trailers that frame, route or identify do not pass', () => {
  const trailers = [
    'grpc-status',
    '0',
    'Content-Length',
    '5',
    'transfer-encoding',
    'chunked',
    'Host',
    'x',
    'X-Forwarded-For',
    'y',
  ];
  assert.deepEqual(passableTrailers(trailers), ['grpc-status', '0']);
});
