import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { downstreamHeaderText, factsFrom, upstreamHeaderText } from '../../src/edge/headers.ts';

const FORWARDED = { remoteAddress: '192.0.2.7', publicPort: 8443, isTrustedProxy: false };

/** What an upstream sees of these headers, as a list of lines. */
const upstreamLines = (headers: string[], options: { isTrustedProxy?: boolean; upgrade?: string } = {}) => {
  const { upgrade, ...forwarded } = options;
  const text = upstreamHeaderText(
    headers,
    factsFrom(headers),
    'x.test',
    { ...FORWARDED, ...forwarded },
    upgrade,
  );
  return text.split('\r\n').slice(0, -1);
};

const OURS = [
  'X-Forwarded-For: 192.0.2.7',
  'X-Forwarded-Proto: https',
  'X-Forwarded-Host: x.test',
  'X-Forwarded-Port: 8443',
];

describe('towards the upstream', () => {
  test('Host, Origin and everything unknown pass as they were written, in their order', () => {
    const headers = [
      'Host',
      'x.test',
      'oRiGiN',
      'https://y.test',
      'Cookie',
      'a=b',
      'Cookie',
      'c=d',
      'X-Thing',
      '',
    ];
    assert.deepEqual(upstreamLines(headers), [
      'Host: x.test',
      'oRiGiN: https://y.test',
      'Cookie: a=b',
      'Cookie: c=d',
      'X-Thing: ',
      ...OURS,
    ]);
  });

  test('hop-by-hop headers end here, in every spelling', () => {
    const names = ['Connection', 'Keep-Alive', 'Proxy-Connection', 'Upgrade', 'TE', 'HTTP2-Settings'];
    for (const name of names.flatMap((name) => [name, name.toLowerCase(), name.toUpperCase()]))
      assert.deepEqual(upstreamLines([name, 'x-nothing']), OURS, name);
  });

  test('a header that Connection nominates ends here, one that decides about the message does not', () => {
    const headers = [
      'Connection',
      'close, X-Hop , authorization',
      'X-Hop',
      '1',
      'Authorization',
      'Bearer x',
      'Host',
      'x.test',
    ];
    assert.deepEqual(upstreamLines(headers), ['Authorization: Bearer x', 'Host: x.test', ...OURS]);
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

  test('an upgrade is asked for anew', () => {
    const headers = ['Connection', 'keep-alive, Upgrade', 'Upgrade', 'websocket', 'Sec-WebSocket-Key', 'k'];
    assert.deepEqual(upstreamLines(headers, { upgrade: 'websocket' }), [
      'Sec-WebSocket-Key: k',
      ...OURS,
      'Connection: Upgrade',
      'Upgrade: websocket',
    ]);
  });
});

describe('towards the downstream', () => {
  const lines = (headers: string[], keepsFraming: boolean) =>
    downstreamHeaderText(headers, factsFrom(headers), keepsFraming).split('\r\n').slice(0, -1);

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
