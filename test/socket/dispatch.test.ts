import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ClientHello } from '../../src/socket/client-hello.ts';
import { type DispatchFacts, destinationFrom, type PublishedMode } from '../../src/socket/dispatch.ts';

const TLS_1_1 = 0x0302;
const TLS_1_2 = 0x0303;
const TLS_1_3 = 0x0304;
const DTLS_1_2 = 0xfefd;
const BOTH = [TLS_1_3, TLS_1_2];

const FACTS: DispatchFacts = {
  engineHost: 'edge.example.test',
  versionMin: 'TLSv1.2',
  postQuantum: 'prefer',
  publishedPostQuantum: 'prefer',
  publishedMode: (serverName) => MODES[serverName] ?? { kind: 'unknown' },
};

const DEMANDS = { versionMin: 'TLSv1.2' } as const;

const MODES: Readonly<Record<string, PublishedMode>> = {
  'app.t.edge.example.test': { kind: 'http', demands: DEMANDS },
  'strict.t.edge.example.test': { kind: 'http', demands: { versionMin: 'TLSv1.3' } },
  'mail.t.edge.example.test': { kind: 'terminated', demands: DEMANDS, alpnProtocols: ['imap', 'pop3'] },
  'any.t.edge.example.test': { kind: 'terminated', demands: { versionMin: 'TLSv1.3' }, alpnProtocols: [] },
  'own.t.edge.example.test': { kind: 'passthrough' },
};

const helloOf = (
  serverName: string | undefined,
  alpnProtocols: string[],
  versions: number[],
  groups: number[] = [],
): ClientHello => ({
  ...(serverName !== undefined && { serverName }),
  alpnProtocols,
  versions,
  groups,
  ciphers: [],
  extensions: [],
  signatureAlgorithms: [],
  bytes: 0,
});

const engine = 'edge.example.test';
const app = 'app.t.edge.example.test';
const strictApp = 'strict.t.edge.example.test';
const mail = 'mail.t.edge.example.test';
const any = 'any.t.edge.example.test';
const own = 'own.t.edge.example.test';
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
  ['a published host below its own minimum', strictApp, WEB, [TLS_1_2], 'TLS_VERSION_UNSUPPORTED'],
  ['a published host at its own minimum', strictApp, WEB, BOTH, 'published'],
  ['a TLS tunnel with one of its protocols', mail, ['smtp', 'pop3'], BOTH, 'raw'],
  ['a TLS tunnel with none of its protocols', mail, ['smtp', 'IMAP'], BOTH, 'ALPN_UNSUPPORTED'],
  ['a TLS tunnel that names protocols, without ALPN', mail, [], BOTH, 'ALPN_UNSUPPORTED'],
  ['a TLS tunnel that names none, without ALPN', any, [], BOTH, 'raw'],
  ['a TLS tunnel that names none, with ALPN', any, ['whatever'], BOTH, 'raw'],
  ['a TLS tunnel below its own minimum', any, [], [TLS_1_2], 'TLS_VERSION_UNSUPPORTED'],
  ['rstrm/1 to a TLS tunnel', any, AGENT, BOTH, 'raw'],
  ['a TLS pass-through', own, [], [TLS_1_1], 'passthrough'],
  ['rstrm/1 to a TLS pass-through', own, AGENT, BOTH, 'passthrough'],
  ['a name below the engine that nobody has', 'gone.t.edge.example.test', WEB, BOTH, 'SERVER_NAME_UNKNOWN'],
  ['a foreign name', 'example.org', WEB, BOTH, 'SERVER_NAME_UNKNOWN'],
  ['a foreign name in TLS 1.1', 'example.org', [], [TLS_1_1], 'SERVER_NAME_UNKNOWN'],
];

for (const [title, serverName, alpnProtocols, versions, expected] of CASES)
  test(`${title}: ${expected}`, () => {
    const destination = destinationFrom(helloOf(serverName, alpnProtocols, versions), FACTS);
    assert.equal(destination.kind === 'refuse' ? destination.code : destination.kind, expected);
  });

test('a minimum of TLS 1.3 binds the Engine API', () => {
  const strict: DispatchFacts = { ...FACTS, versionMin: 'TLSv1.3' };
  const refused = destinationFrom(helloOf(engine, WEB, [TLS_1_2]), strict);
  assert.deepEqual(refused, { kind: 'refuse', code: 'TLS_VERSION_UNSUPPORTED' });
  assert.equal(destinationFrom(helloOf(engine, WEB, BOTH), strict).kind, 'api');
});

describe('post-quantum key exchange', () => {
  const X25519 = 0x1d;
  const X25519_MLKEM768 = 0x11ec;
  const EVERYWHERE: readonly [string, string[]][] = [
    [engine, AGENT],
    [engine, WEB],
    [app, WEB],
    [mail, ['imap']],
    [own, []],
  ];
  const outcome = (name: string, alpn: string[], groups: number[], facts: DispatchFacts, versions = BOTH) => {
    const destination = destinationFrom(helloOf(name, alpn, versions, groups), facts);
    return destination.kind === 'refuse' ? destination.code : 'let in';
  };

  for (const postQuantum of ['off', 'prefer', 'require'] as const)
    for (const [name, alpn] of EVERYWHERE)
      test(`${postQuantum} at ${name} with ${alpn[0]}`, () => {
        const facts = { ...FACTS, postQuantum, publishedPostQuantum: postQuantum };
        const classic = postQuantum === 'require' ? 'POST_QUANTUM_REQUIRED' : 'let in';
        assert.equal(outcome(name, alpn, [X25519], facts), classic);
        assert.equal(outcome(name, alpn, [], facts), classic);
        assert.equal(outcome(name, alpn, [X25519, X25519_MLKEM768], facts), 'let in');
      });

  test('what is published may need it where agents and the API do not', () => {
    const facts: DispatchFacts = { ...FACTS, publishedPostQuantum: 'require' };
    for (const [name, alpn] of EVERYWHERE)
      assert.equal(
        outcome(name, alpn, [X25519], facts),
        name === engine ? 'let in' : 'POST_QUANTUM_REQUIRED',
        name,
      );
  });

  test('a group is of no use to a client without TLS 1.3', () => {
    const facts: DispatchFacts = { ...FACTS, publishedPostQuantum: 'require' };
    assert.equal(outcome(app, WEB, [X25519_MLKEM768], facts, [TLS_1_2]), 'TLS_VERSION_UNSUPPORTED');
  });
});
