import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRequestHead } from '../../src/edge/http1/head.ts';
import { requestFrom } from '../../src/edge/request.ts';
import { acceptFor, createChallenge, isMet } from '../../src/edge/websocket.ts';

// The example of RFC 6455 1.3.
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';

const upgrade = (name: string, ...headers: string[]) =>
  requestFrom(
    parseRequestHead(
      ['GET / HTTP/1.1', 'Host: x', 'Connection: Upgrade', `Upgrade: ${name}`, ...headers].join('\r\n'),
    ),
    undefined,
  );

const overHttp2 = (headers: string[], name = 'websocket') =>
  ({ ...upgrade(name), protocol: 'h2', headers }) as const;

test("the accept for an HTTP/1.1 downstream answers its key, however it spelt the protocol's name", () => {
  for (const name of ['websocket', 'WebSocket'])
    assert.deepEqual(acceptFor(upgrade(name, `sec-websocket-KEY: ${KEY}`)), ['Sec-WebSocket-Accept', ACCEPT]);
});

test('there is no accept without a key, and none for another protocol', () => {
  assert.deepEqual(acceptFor(upgrade('websocket')), []);
  assert.deepEqual(acceptFor(upgrade('echo/1', `Sec-WebSocket-Key: ${KEY}`)), []);
});

test('a handshake of HTTP/1.1 on both sides is challenged by its own ends', () => {
  assert.equal(createChallenge(upgrade('websocket', `Sec-WebSocket-Key: ${KEY}`)), undefined);
});

test('another protocol over HTTP/2 has no challenge', () => {
  assert.equal(createChallenge(overHttp2([], 'echo/1')), undefined);
});

test('a WebSocket over HTTP/2 is given a fresh key and the version that it lacks', () => {
  const [one, other] = [createChallenge(overHttp2(['origin', 'https://x'])), createChallenge(overHttp2([]))];
  assert.match(
    (one?.headers ?? []).join(' '),
    /^origin https:\/\/x Sec-WebSocket-Key [\w+/]{22}== Sec-WebSocket-Version 13$/,
  );
  assert.notEqual(one?.accept, other?.accept);
});

test('a version that it has is kept, a key that it has is not', () => {
  const { headers = [] } =
    createChallenge(overHttp2(['sec-websocket-version', '13', 'Sec-WebSocket-Key', KEY])) ?? {};
  assert.deepEqual(headers.slice(0, 3), ['sec-websocket-version', '13', 'Sec-WebSocket-Key']);
  assert.equal(headers.length, 4);
  assert.notEqual(headers[3], KEY);
});

test('a challenge is met by its own accept alone, letter by letter', () => {
  const challenge = createChallenge(overHttp2([]));
  assert.ok(challenge);
  assert.ok(isMet(challenge, ['SEC-WebSocket-Accept', challenge.accept]));
  for (const answered of [
    [],
    ['sec-websocket-accept', ACCEPT],
    ['sec-websocket-accept', challenge.accept.toLowerCase()],
  ])
    assert.ok(!isMet(challenge, answered));
});
