import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EngineError } from '../../src/base/errors.ts';
import { parseRequestHead } from '../../src/edge/http1/head.ts';
import { requestFrom } from '../../src/edge/request.ts';

const request = (line: string, ...headers: string[]) =>
  requestFrom(parseRequestHead([line, ...headers].join('\r\n')), 'sni.test');

const HOST = 'Host: x.test:8443';

describe('a request', () => {
  test('is routed by its Host header', () => {
    const { authority, target, wantsClose, protocol } = request('GET /a/?b HTTP/1.1', HOST);
    assert.deepEqual(
      { authority, target, wantsClose, protocol },
      { authority: 'x.test:8443', target: '/a/?b', wantsClose: false, protocol: 'http/1.1' },
    );
  });

  test('of HTTP/1.0 without Host is routed by the server name and closes', () => {
    const { authority, wantsClose } = request('GET / HTTP/1.0');
    assert.deepEqual({ authority, wantsClose }, { authority: 'sni.test', wantsClose: true });
  });

  test('in absolute form becomes origin form when it names the same host', () => {
    assert.equal(request('GET https://X.test:8443/a?b HTTP/1.1', HOST).target, '/a?b');
    assert.equal(request('GET https://x.test:8443?b HTTP/1.1', HOST).target, '/?b');
  });

  test('to CONNECT is routed by the server name and keeps its target', () => {
    const { authority, target, isConnect } = request('CONNECT a.test:443 HTTP/1.1', HOST);
    assert.deepEqual(
      { authority, target, isConnect },
      { authority: 'sni.test', target: 'a.test:443', isConnect: true },
    );
  });

  test('asks for a close by Connection', () => {
    assert.equal(request('GET / HTTP/1.1', HOST, 'Connection: foo, Close').wantsClose, true);
  });

  test('may ask for an upgrade, but never to HTTP or TLS', () => {
    const upgradeOf = (...headers: string[]) => request('GET / HTTP/1.1', HOST, ...headers).upgrade;
    assert.equal(upgradeOf('Connection: Upgrade', 'Upgrade: websocket'), 'websocket');
    assert.equal(upgradeOf('Upgrade: websocket'), undefined);
    for (const protocol of ['h2c', 'H2', 'TLS/1.2', 'HTTP/2.0', 'websocket, h2c'])
      assert.equal(upgradeOf('Connection: Upgrade', `Upgrade: ${protocol}`), undefined, protocol);
    assert.equal(upgradeOf('Connection: Upgrade', 'Upgrade: websocket', 'Content-Length: 3'), undefined);
  });
});

describe('refusals', () => {
  const refused: Record<string, [string, string[]]> = {
    'HTTP/1.1 without Host': ['GET / HTTP/1.1', []],
    'two Host headers': ['GET / HTTP/1.1', [HOST, HOST]],
    'a Host with a path': ['GET / HTTP/1.1', ['Host: x.test/a']],
    'a Host with user info': ['GET / HTTP/1.1', ['Host: u@x.test']],
    'a Host list': ['GET / HTTP/1.1', ['Host: x.test, y.test:1 2']],
    'an absolute target for another host': ['GET https://evil.test/ HTTP/1.1', [HOST]],
    'an absolute target with another scheme': ['GET ftp://x.test:8443/ HTTP/1.1', [HOST]],
    'an asterisk with GET': ['GET * HTTP/1.1', [HOST]],
    'a target without a slash': ['GET a HTTP/1.1', [HOST]],
    'a fragment': ['GET /a#b HTTP/1.1', [HOST]],
  };
  for (const [what, [line, headers]] of Object.entries(refused))
    test(what, () => assert.throws(() => request(line, ...headers), hasCode('REQUEST_MALFORMED')));

  test('a CONNECT target that is not host:port, and a CONNECT with a body', () => {
    for (const target of ['/', 'a.test', 'http://a.test:80', 'a.test:', 'u@a.test:1', '*'])
      assert.throws(() => request(`CONNECT ${target} HTTP/1.1`, HOST), hasCode('REQUEST_MALFORMED'), target);
    assert.throws(
      () => request('CONNECT a.test:1 HTTP/1.1', HOST, 'Content-Length: 1'),
      hasCode('REQUEST_MALFORMED'),
    );
  });

  test('an expectation that nobody knows', () => {
    assert.throws(() => request('GET / HTTP/1.1', HOST, 'Expect: miracles'), hasCode('EXPECTATION_FAILED'));
    assert.equal(request('PUT / HTTP/1.1', HOST, 'Expect: 100-Continue').facts.expect, '100-Continue');
  });
});

const hasCode = (code: string) => (error: unknown) => error instanceof EngineError && error.code === code;
