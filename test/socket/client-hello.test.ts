import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { describe, test } from 'node:test';
import { EngineError } from '../../src/base/errors.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { type ClientHello, createClientHelloParser } from '../../src/socket/client-hello.ts';
import {
  alpnExtension,
  extension,
  groupsExtension,
  helloFrom,
  messageFrom,
  numbers,
  readHello,
  recordsFrom,
  serverNameExtension,
  signaturesExtension,
  vector,
  versionsExtension,
} from '../support/client-hello.ts';

const X25519 = 0x1d;
const X25519_MLKEM768 = 0x11ec;

/** What is known of each capture; ciphers and groups only where they matter. */
const FIXTURES: Record<string, Partial<ClientHello>> = {
  'node20-http': {
    serverName: 'hello.t.localhost',
    alpnProtocols: ['h2', 'http/1.1'],
    versions: [0x0304, 0x0303],
  },
  'node20-agent-by-address': { alpnProtocols: ['rstrm/1'], versions: [0x0304] },
  'node20-tls12': { serverName: 'edge.example.test', alpnProtocols: [], versions: [0x0303] },
  'node26-post-quantum': { serverName: 'edge.example.test', alpnProtocols: ['http/1.1'] },
  'go-agent': { serverName: 'edge.example.test', alpnProtocols: ['rstrm/1'], versions: [0x0304] },
};

const parse = (...chunks: Buffer[]): ClientHello | undefined => {
  const parser = createClientHelloParser();
  let hello: ClientHello | undefined;
  for (const chunk of chunks) {
    assert.equal(hello, undefined, 'nothing may follow a complete hello');
    hello = parser.push(chunk);
  }
  assert.deepEqual(parser.received, Buffer.concat(chunks));
  return hello;
};

const bytesOf = (buffer: Buffer): Buffer[] => Array.from(buffer, (byte) => Buffer.from([byte]));

const rejects = (bytes: Buffer, code: string) =>
  assert.throws(
    () => parse(bytes),
    (error) => error instanceof EngineError && error.code === code,
  );

describe('captured hellos', () => {
  for (const [name, expected] of Object.entries(FIXTURES)) {
    const bytes = readHello(name);

    test(`${name} is read whole`, () => {
      const hello = parse(bytes);
      assert.ok(hello);
      for (const [field, value] of Object.entries(expected))
        assert.deepEqual(hello[field as keyof ClientHello], value, field);
      assert.equal(hello.bytes, bytes.length);
      assert.ok(hello.ciphers.length > 0 && hello.groups.length > 0);
      assert.equal('serverName' in hello, 'serverName' in expected);
    });

    test(`${name} is read byte by byte, and cut in two anywhere`, () => {
      const hello = parse(bytes);
      assert.deepEqual(parse(...bytesOf(bytes)), hello);
      for (let at = 0; at <= bytes.length; at += 1)
        assert.deepEqual(
          parse(...[bytes.subarray(0, at), bytes.subarray(at)].filter((part) => part.length > 0)),
          hello,
        );
    });

    test(`${name} is read from records of any size`, () => {
      const hello = parse(bytes);
      const message = bytes.subarray(5);
      for (const fragmentBytes of [1, 2, 3, 4, 5, 7, 64, 255, message.length - 1]) {
        const records = recordsFrom(message, fragmentBytes);
        const expected = { ...hello, bytes: records.length };
        assert.deepEqual(parse(records), expected);
        assert.deepEqual(parse(...bytesOf(records)), expected);
      }
    });
  }

  test('groups tell a post-quantum client', () => {
    assert.ok(parse(readHello('node26-post-quantum'))?.groups.includes(X25519_MLKEM768));
    assert.ok(parse(readHello('go-agent'))?.groups.includes(X25519_MLKEM768));
    assert.ok(!parse(readHello('node20-http'))?.groups.includes(X25519_MLKEM768));
  });
});

describe('what is read', () => {
  test('GREASE is left out, wherever browsers put it', () => {
    const hello = parse(
      helloFrom({
        ciphers: numbers(0x1a1a, 0x1301, 0x1302),
        extensions: [
          extension(0x2a2a, Buffer.alloc(0)),
          versionsExtension(0xfafa, 0x0304, 0x0303),
          groupsExtension(0x0a0a, X25519),
          signaturesExtension(0x5a5a, 0x0804, 0x0403),
          extension(0x3a3a, Buffer.from([0])),
        ],
      }),
    );
    assert.deepEqual(hello?.ciphers, [0x1301, 0x1302]);
    assert.deepEqual(hello?.versions, [0x0304, 0x0303]);
    assert.deepEqual(hello?.groups, [X25519]);
    assert.deepEqual(hello?.signatureAlgorithms, [0x0804, 0x0403]);
    assert.deepEqual(hello?.extensions, [43, 10, 13]);
  });

  test('extensions that nobody here knows are named in the order in which they came', () => {
    const types = [0xff01, 23, 0x4469, 5];
    const extensions = types.map((type) => extension(type, Buffer.from([1, 2])));
    assert.deepEqual(parse(helloFrom({ extensions }))?.extensions, types);
    assert.deepEqual(parse(helloFrom({ extensions: null }))?.extensions, []);
  });

  test('a hello without extensions is one of TLS 1.2 at most', () => {
    assert.deepEqual(parse(helloFrom({ extensions: null }))?.versions, [0x0303]);
    assert.deepEqual(parse(helloFrom({ legacyVersion: 0x0301 }))?.versions, [0x0301]);
    assert.deepEqual(parse(helloFrom({ legacyVersion: 0x0304 }))?.versions, [0x0303]);
  });

  test('server names lose their case and trailing dot', () => {
    const nameOf = (name: string) =>
      parse(helloFrom({ extensions: [serverNameExtension(name)] }))?.serverName;
    assert.equal(nameOf('Hello.T.LocalHost.'), 'hello.t.localhost');
    assert.equal(nameOf('my_app.t.example.test'), 'my_app.t.example.test');
    assert.equal(nameOf(`${'a'.repeat(63)}.test`), `${'a'.repeat(63)}.test`);
  });

  test('bytes behind the hello are kept but not counted', () => {
    const bytes = readHello('node20-http');
    const parser = createClientHelloParser();
    const early = Buffer.concat([bytes, Buffer.from([23, 3, 3, 0, 1, 0])]);
    assert.equal(parser.push(early)?.bytes, bytes.length);
    assert.deepEqual(parser.received, early);
  });
});

describe('what is refused', () => {
  const name = serverNameExtension('a.test');
  const withExtensions = (...extensions: Buffer[]) => helloFrom({ extensions });
  const malformed: Record<string, Buffer> = {
    'a record of another type': Buffer.from([23, 3, 1, 0, 1, 0]),
    'an SSL 2 hello': Buffer.from([0x80, 0x2e, 1, 3, 1]),
    'a record of no TLS version': Buffer.from([22, 2, 0, 0, 4, 1, 0, 0, 0]),
    'an empty record': Buffer.from([22, 3, 1, 0, 0]),
    'another handshake message': Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0]),
    'an empty message': Buffer.from([22, 3, 1, 0, 4, 1, 0, 0, 0]),
    'a second message in the same record': recordsFrom(
      Buffer.concat([messageFrom({}), Buffer.from([1, 0, 0, 0])]),
    ),
    'no cipher suite': helloFrom({ ciphers: Buffer.alloc(0) }),
    'half a cipher suite': helloFrom({ ciphers: Buffer.from([0x13]) }),
    'no compression method': helloFrom({ compression: Buffer.alloc(0) }),
    'a session id that is too long': helloFrom({ sessionId: Buffer.alloc(33) }),
    'bytes behind the extensions': helloFrom({ trailer: Buffer.from([0]) }),
    'an extension that is cut short': withExtensions(Buffer.from([0, 0, 0, 9, 0])),
    'two server names in two extensions': withExtensions(name, serverNameExtension('b.test')),
    'two server names in one extension': withExtensions(
      extension(
        0,
        vector(2, ...['a', 'b'].flatMap((text) => [Buffer.from([0]), vector(2, Buffer.from(text))])),
      ),
    ),
    'a server name of unknown type': withExtensions(
      extension(0, vector(2, Buffer.from([1]), vector(2, Buffer.from('a')))),
    ),
    'an empty server name extension': withExtensions(extension(0, Buffer.alloc(0))),
    'an empty ALPN name': withExtensions(alpnExtension('http/1.1', '')),
    'an empty ALPN list': withExtensions(alpnExtension()),
    'ALPN twice': withExtensions(alpnExtension('h2'), alpnExtension('rstrm/1')),
    'versions twice': withExtensions(versionsExtension(0x0304), versionsExtension(0x0303)),
    'an empty version list': withExtensions(versionsExtension()),
    'groups twice': withExtensions(groupsExtension(X25519), groupsExtension(X25519)),
    'signature algorithms twice': withExtensions(signaturesExtension(0x0403), signaturesExtension(0x0804)),
    'no signature algorithm': withExtensions(signaturesExtension()),
    'half a signature algorithm': withExtensions(extension(13, vector(2, Buffer.from([4])))),
    'bytes behind a list': withExtensions(
      extension(43, Buffer.concat([vector(1, numbers(0x0304)), Buffer.from([0])])),
    ),
    'an SSH client': Buffer.from('SSH-2.0-OpenSSH_9.2\r\n'),
    'letters without end': Buffer.from('A'.repeat(40)),
    'line noise': Buffer.from([0xff, 0, 0x22, 0x13, 0x37]),
  };
  for (const host of ['', '.', 'a..test', '-a.test', 'a b', 'a\0.test', 'a/b', '[::1]', 'ü.test', '*.test'])
    malformed[`the server name ${JSON.stringify(host)}`] = withExtensions(serverNameExtension(host));
  malformed['a label that is too long'] = withExtensions(serverNameExtension('a'.repeat(64)));
  malformed['a name that is too long'] = withExtensions(serverNameExtension(`${'a.'.repeat(127)}a`));

  for (const [what, bytes] of Object.entries(malformed))
    test(what, () => {
      rejects(bytes, 'CLIENT_HELLO_MALFORMED');
      assert.throws(() => parse(...bytesOf(bytes)), { code: 'CLIENT_HELLO_MALFORMED' });
    });

  test('plain HTTP is told from noise, also when it comes byte by byte', () => {
    for (const request of [
      'GET / HTTP/1.1\r\n',
      'OPTIONS * HTTP/1.1\r\n',
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    ]) {
      rejects(Buffer.from(request), 'PLAIN_HTTP_ON_TLS_PORT');
      const [first, ...rest] = bytesOf(Buffer.from(request));
      assert.equal(parse(first as Buffer), undefined);
      assert.throws(() => parse(first as Buffer, ...rest), { code: 'PLAIN_HTTP_ON_TLS_PORT' });
    }
  });

  test('a hello that is too large is refused by its announcement, and one of the largest size is read', () => {
    rejects(Buffer.from([22, 3, 1, 0x40, 0]), 'CLIENT_HELLO_TOO_LARGE');
    rejects(Buffer.from([22, 3, 1, 0, 4, 1, 0, 0x40, 0]), 'CLIENT_HELLO_TOO_LARGE');
    const fillerOf = (bytes: number) => helloFrom({ extensions: [extension(21, Buffer.alloc(bytes))] });
    const spare = LIMITS.clientHelloBytesMax - fillerOf(0).length;
    assert.equal(parse(fillerOf(spare))?.bytes, LIMITS.clientHelloBytesMax);
    rejects(fillerOf(spare + 1), 'CLIENT_HELLO_TOO_LARGE');
  });

  test('records count, so that a hello in tiny ones is too large too', () => {
    const message = messageFrom({ extensions: [extension(21, Buffer.alloc(4_000))] });
    rejects(recordsFrom(message, 1), 'CLIENT_HELLO_TOO_LARGE');
  });
});

test('a seeded second of damage yields hellos and errors of the table, nothing else', () => {
  const seed = randomInt(1, 2 ** 31 - 1);
  let state = seed;
  // Lehmer's generator: small, and the same everywhere.
  const random = (below: number) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
  const originals = Object.keys(FIXTURES).map(readHello);
  const endsAt = performance.now() + 1_000;
  let count = 0;
  while (performance.now() < endsAt) {
    const bytes = Buffer.from(originals[random(originals.length)] as Buffer);
    for (let damages = random(4); damages >= 0; damages -= 1) bytes[random(bytes.length)] = random(256);
    const cut = random(bytes.length);
    const parser = createClientHelloParser();
    try {
      parser.push(bytes.subarray(0, cut)) ?? parser.push(bytes.subarray(cut));
    } catch (error) {
      assert.ok(error instanceof EngineError, `seed ${seed}, round ${count}: ${String(error)}`);
    }
    count += 1;
  }
  assert.ok(count > 100, `only ${count} rounds`);
});
