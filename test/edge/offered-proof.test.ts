/** The one proof of a request: where it is read, that two are none, and that exactly what was read is taken away. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EdgeConnection } from '../../src/edge/connection.ts';
import { offeredProof, withoutTokens } from '../../src/edge/offered-proof.ts';
import { createRandom } from '../fuzz/random.ts';

const BOTH = { token: true, certificate: true };
const PLAIN: EdgeConnection = { remoteAddress: '192.0.2.1', remotePort: 1 };
const CERTIFIED: EdgeConnection = { ...PLAIN, certificateFingerprint: 'f00' };

const offer = (target: string, headers: string[] = [], connection = PLAIN, methods = BOTH) =>
  offeredProof(methods, connection, { target, headers });

describe('what is offered', () => {
  const CASES: [string, string[], unknown][] = [
    ['/', [], { kind: 'none' }],
    ['/', ['Authorization', 'Bearer t'], { kind: 'token', token: 't' }],
    ['/', ['aUTHORIZATION', 'bEARER t'], { kind: 'token', token: 't' }],
    ['/', ['Authorization', 'Basic t'], { kind: 'none' }],
    ['/', ['Authorization', 'Bearer'], { kind: 'token', token: '' }],
    ['/', ['Authorization', 'Bearer t', 'Authorization', 'Bearer t'], { kind: 'several' }],
    ['/?rstream.token=t', [], { kind: 'token', token: 't' }],
    ['/?a&rstream.token=a%2Eb&b', [], { kind: 'token', token: 'a.b' }],
    ['/?rstream%2etoken=t', [], { kind: 'token', token: 't' }],
    ['/?rstream.token', [], { kind: 'token', token: '' }],
    ['/?rstream.token=a=b', [], { kind: 'token', token: 'a=b' }],
    ['/?rstream.token=%zz', [], { kind: 'token', token: '%zz' }],
    ['/?RSTREAM.TOKEN=t', [], { kind: 'none' }],
    ['/rstream.token=t', [], { kind: 'none' }],
    ['/?rstream.token=t&rstream.token=t', [], { kind: 'several' }],
    ['/?rstream.token=t', ['Authorization', 'Bearer t'], { kind: 'several' }],
    ['/?rstream.token=t', ['Authorization', 'Basic t'], { kind: 'token', token: 't' }],
    ['db:5432', ['Authorization', 'Bearer t'], { kind: 'token', token: 't' }],
  ];
  for (const [target, headers, expected] of CASES)
    test(`by ${target} ${headers.join(': ')}`, () => assert.deepEqual(offer(target, headers), expected));

  test('by a certificate, where one is taken and nothing stands beside it', () => {
    const certificate = { kind: 'certificate', fingerprint: 'f00' };
    assert.deepEqual(offer('/', [], CERTIFIED), certificate);
    assert.deepEqual(offeredProof(BOTH, CERTIFIED, undefined), certificate);
    assert.deepEqual(offer('/', ['Cookie', 'rstream_authx=1; xrstream_auth=2'], CERTIFIED), certificate);
    assert.deepEqual(offer('/', ['Authorization', 'Basic YTpi'], CERTIFIED), certificate);
    for (const methods of [BOTH, { token: false, certificate: true }])
      for (const [target, ...headers] of [
        ['/?rstream.token=t'],
        ['/', 'Authorization', 'Bearer t'],
        ['/', 'cookie', 'a=1', 'cookie', 'b=2; rstream_auth=x'],
      ] as [string, ...string[]][])
        assert.deepEqual(offer(target, headers, CERTIFIED, methods), { kind: 'several' });
    assert.deepEqual(offer('/', [], CERTIFIED, { token: true, certificate: false }), { kind: 'none' });
  });

  test('by a token only where tokens are taken', () =>
    assert.deepEqual(offer('/?rstream.token=t', [], PLAIN, { token: false, certificate: true }), {
      kind: 'none',
    }));
});

describe('what the upstream may see', () => {
  test('has no bearer, and every other header as it was', () =>
    assert.deepEqual(
      withoutTokens({
        target: '/',
        headers: ['A', '1', 'authorization', 'Bearer t', 'Authorization', 'Basic t'],
      }),
      { target: '/', headers: ['A', '1', 'Authorization', 'Basic t'] },
    ));

  test('has no token in its target, however it was written, and every other byte as it was', () => {
    const random = createRandom(0x70cc);
    const parts = [
      'a=1',
      '',
      'b',
      '%72stream.token=T',
      'rstream.token=T',
      'rstream.token',
      'x=%2B+y',
      'rstream.tokens=1',
    ];
    for (let round = 0; round < 2_000; round += 1) {
      const chosen = Array.from({ length: 1 + random.below(5) }, () => random.pick(parts));
      const own = chosen.filter((part) => !/^(?:%72|r)stream\.token(?:=|$)/.test(part));
      const isTouched = own.length < chosen.length;
      const target = `/p?${chosen.join('&')}`;
      const expected = isTouched && own.length === 0 ? '/p' : `/p?${own.join('&')}`;
      const { target: seen } = withoutTokens({ target, headers: [] });
      assert.equal(seen, expected, target);
      assert.deepEqual(offer(seen), { kind: 'none' });
    }
  });
});
