/** Texts on both sides of each rule. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  countryProblem,
  headerNameProblem,
  hostProblem,
  isLoopback,
  listenAddressProblem,
  rangeProblem,
  trustedRangeProblem,
} from '../../src/config/text-rules.ts';

type Rule = (text: string) => string | undefined;
const accepts = (rule: Rule, texts: string[]) => {
  for (const text of texts) test(`accepts ${text}`, () => assert.equal(rule(text), undefined));
};
const refuses = (rule: Rule, cases: [text: string, problem: RegExp][]) => {
  for (const [text, problem] of cases)
    test(`refuses ${text.slice(0, 40)}`, () => {
      assert.match(rule(text) ?? '', problem);
      assert.ok(text.length < 8 || !rule(text)?.includes(text), 'the problem repeats the text');
    });
};

const longest = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(59)}`;

describe('a base host', () => {
  accepts(hostProblem, [
    'edge.example.com',
    'localhost',
    'EDGE.example.com',
    'a-b.c1',
    '1.example.com',
    'xn--bcher-kva.example',
    longest,
  ]);
  refuses(hostProblem, [
    ['https://edge.example.com', /scheme/],
    ['edge.example.com/x', /path/],
    ['edge.example.com:443', /port/],
    ['192.0.2.1', /IP address/],
    ['::1', /IP address/],
    ['[::1]', /IP address/],
    ['[::1]:443', /IP address/],
    ['127.1', /IP address/],
    ['edge.example.1', /IP address/],
    ['edge.example.com.', /labels/],
    ['.example.com', /labels/],
    ['edge..com', /labels/],
    ['-edge.com', /labels/],
    ['edge-.com', /labels/],
    ['ed_ge.com', /labels/],
    ['*.example.com', /labels/],
    ['bücher.example', /labels/],
    ['edge example.com', /labels/],
    [`${'a'.repeat(64)}.com`, /labels/],
    [`${longest}d`, /at most 187/],
  ]);
});

describe('a listen address', () => {
  accepts(listenAddressProblem, [
    ':443',
    '[::]:443',
    '[::1]:0',
    '127.0.0.1:65535',
    'localhost:8443',
    'edge.example.com:443',
  ]);
  refuses(
    listenAddressProblem,
    [
      '443',
      'localhost',
      '::1:443',
      '[::1]',
      '[127.0.0.1]:443',
      '256.0.0.1:443',
      'a b:443',
      '*:443',
      ':65536',
      ':-1',
      ':',
      'http://a:80',
      '[fe80::1%eth0]:443',
    ].map((text) => [text, /^must be host:port, \[IPv6\]:port or :port$/]),
  );
});

test('only loopback addresses are taken for private', () => {
  for (const text of ['localhost:1', 'LOCALHOST:1', '127.0.0.1:1', '127.9.9.9:1', '[::1]:1'])
    assert.ok(isLoopback(text), text);
  for (const text of [
    ':1',
    '[::]:1',
    '0.0.0.0:1',
    '192.0.2.1:1',
    'edge.example.com:1',
    'localhost.example.com:1',
    'nonsense',
  ])
    assert.ok(!isLoopback(text), text);
});

describe('a range of addresses', () => {
  accepts(rangeProblem, ['192.0.2.7', '10.0.0.0/8', '0.0.0.0/0', '2001:db8::/32']);
  refuses(rangeProblem, [
    ['proxy.example.com', /must be an IP address/],
    ['10.0.0.1/8', /bits set/],
  ]);
});

describe('a range of addresses that are trusted with more', () => {
  accepts(trustedRangeProblem, ['192.0.2.7', '10.0.0.0/8', '::ffff:10.0.0.0/104']);
  refuses(trustedRangeProblem, [
    ['proxy.example.com', /must be an IP address/],
    ['10.0.0.1/8', /bits set/],
    ['0.0.0.0/0', /every address/],
    ['::/0', /every address/],
    ['::ffff:0.0.0.0/96', /every address/],
  ]);
});

describe('a country', () => {
  accepts(countryProblem, ['FR', 'fr', 'XK']);
  refuses(countryProblem, [
    ['', /two letters/],
    ['F', /two letters/],
    ['FRA', /two letters/],
    ['F1', /two letters/],
    ['ß', /two letters/],
    [' FR', /two letters/],
  ]);
});

describe('the name of a header', () => {
  accepts(headerNameProblem, ['x-user', 'X_User', "!#$%&'*+.^`|~"]);
  refuses(headerNameProblem, [
    ['', /name of a header/],
    ['x-user:', /name of a header/],
    ['x user', /name of a header/],
    ['x'.repeat(101), /name of a header/],
  ]);
});
