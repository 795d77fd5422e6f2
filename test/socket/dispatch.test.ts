import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClientHello } from '../../src/socket/client-hello.ts';
import { type DispatchFacts, destinationFrom } from '../../src/socket/dispatch.ts';

const TLS_1_1 = 0x0302;
const TLS_1_2 = 0x0303;
const TLS_1_3 = 0x0304;
const DTLS_1_2 = 0xfefd;
const BOTH = [TLS_1_3, TLS_1_2];

const FACTS: DispatchFacts = {
  engineHost: 'edge.example.test',
  versionMin: 'TLSv1.2',
  publishedMode: (serverName) => (serverName === 'app.t.edge.example.test' ? 'http' : 'unknown'),
};

const helloOf = (
  serverName: string | undefined,
  alpnProtocols: string[],
  versions: number[],
): ClientHello => ({
  ...(serverName !== undefined && { serverName }),
  alpnProtocols,
  versions,
  groups: [],
  ciphers: [],
  bytes: 0,
});

const engine = 'edge.example.test';
const app = 'app.t.edge.example.test';
const AGENT = ['rstrm/1'];
const WEB = ['h2', 'http/1.1'];

const CASES: [
  title: string,
  name: string | undefined,
  alpn: string[],
  versions: number[],
  expected: string,
][] = [
  ['an agent that names the engine', engine, AGENT, [TLS_1_3], 'agent'],
  ['an agent that came by IP address', undefined, AGENT, [TLS_1_3], 'agent'],
  ['an agent that names something foreign', 'localhost', AGENT, [TLS_1_3], 'agent'],
  ['an agent among other protocols', engine, ['http/1.1', 'rstrm/1'], BOTH, 'agent'],
  ['an agent without TLS 1.3', engine, AGENT, [TLS_1_2], 'TLS_VERSION_UNSUPPORTED'],
  ['an agent with DTLS only', engine, AGENT, [DTLS_1_2], 'TLS_VERSION_UNSUPPORTED'],
  ['an agent with no version at all', engine, AGENT, [], 'TLS_VERSION_UNSUPPORTED'],
  ['rstrm/1 to a published host', app, AGENT, [TLS_1_3], 'published'],
  ['the Engine API by name', engine, WEB, BOTH, 'api'],
  ['the Engine API without a name', undefined, WEB, BOTH, 'api'],
  ['the Engine API without ALPN', engine, [], [TLS_1_2], 'api'],
  ['the Engine API in TLS 1.1', engine, [], [TLS_1_1], 'TLS_VERSION_UNSUPPORTED'],
  ['a published host', app, WEB, BOTH, 'published'],
  ['a published host without ALPN', app, [], [TLS_1_2], 'published'],
  ['a published host in TLS 1.1', app, WEB, [TLS_1_1], 'TLS_VERSION_UNSUPPORTED'],
  ['a name below the engine that nobody has', 'gone.t.edge.example.test', WEB, BOTH, 'SERVER_NAME_UNKNOWN'],
  ['a foreign name', 'example.org', WEB, BOTH, 'SERVER_NAME_UNKNOWN'],
  ['a foreign name in TLS 1.1', 'example.org', [], [TLS_1_1], 'SERVER_NAME_UNKNOWN'],
];

for (const [title, serverName, alpnProtocols, versions, expected] of CASES)
  test(`${title}: ${expected}`, () => {
    const destination = destinationFrom(helloOf(serverName, alpnProtocols, versions), FACTS);
    assert.equal(destination.kind === 'refuse' ? destination.code : destination.kind, expected);
  });

test('a minimum of TLS 1.3 binds the Engine API and published hosts', () => {
  const strict: DispatchFacts = { ...FACTS, versionMin: 'TLSv1.3' };
  for (const serverName of [engine, app]) {
    const refused = destinationFrom(helloOf(serverName, WEB, [TLS_1_2]), strict);
    assert.deepEqual(refused, { kind: 'refuse', code: 'TLS_VERSION_UNSUPPORTED' });
    assert.notEqual(destinationFrom(helloOf(serverName, WEB, BOTH), strict).kind, 'refuse');
  }
});
