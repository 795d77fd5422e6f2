/**
 * The bench's own arithmetic, its own clients, and that docs/benchmarks.md says what the results say. Running it for real needs nginx and h2load:
 * `npm run bench -- --smoke`.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { figureKind, latencyFrom, type Sample } from '../../scripts/bench/figures.ts';
import { loadResultFromReport } from '../../scripts/bench/load.ts';
import { figureFromRounds, spreadFromValues } from '../../scripts/bench/measure.ts';
import { optionsFromArguments, SHIPPED_NODE_FLAGS } from '../../scripts/bench/options.ts';
import { cpuSecondsFromStat } from '../../scripts/bench/process.ts';
import { selfTimesFromProfile } from '../../scripts/bench/profile.ts';
import {
  cellsFromFigure,
  DOCUMENT_PATH,
  documentFromResult,
  readNewestResult,
} from '../../scripts/bench/results.ts';

const REPORT = `TLS Protocol: TLSv1.3
Cipher: TLS_AES_256_GCM_SHA384
Server Temp Key: X25519 253 bits
Application protocol: http/1.1

finished in 500.25ms, 101463.00 req/s, 14.71MB/s
requests: 200 total, 232 started, 200 done, 200 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 200 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 29.42MB (30844752) total, 20.90MB (21917952) headers (space savings 0.00%), 990.94KB (20000) data
                     min         max         mean         sd        +/- sd
time for request:      185us      3.50ms       312us        81us    90.38%
time for connect:    16.11ms     16.92ms     16.57ms       252us    62.50%
`;
const LOAD = { bodyBytes: 100, protocol: 'http/1.1' } as const;

describe('the load report', () => {
  test('is read', () => {
    assert.deepEqual(loadResultFromReport(REPORT, LOAD), {
      count: 200,
      bodyBytes: 20_000,
      tls: 'TLSv1.3 TLS_AES_256_GCM_SHA384',
    });
  });

  test('with a failed, an unanswered or no request at all is refused', () => {
    for (const [text, fault] of [
      ['200 succeeded, 0 failed', '199 succeeded, 1 failed'],
      ['0 timeout', '3 timeout'],
      ['200 done, 200 succeeded', '0 done, 0 succeeded'],
    ] as const)
      assert.throws(() => loadResultFromReport(REPORT.replace(text, fault), LOAD), /counted faults/);
  });

  test('of another protocol, or of bodies shorter than the upstream has, is refused', () => {
    assert.throws(
      () => loadResultFromReport(REPORT, { ...LOAD, protocol: 'h2' }),
      /spoke http\/1\.1, not h2/,
    );
    assert.throws(() => loadResultFromReport(REPORT, { ...LOAD, bodyBytes: 101 }), /less than 101 bytes/);
  });

  test('without a line that the bench reads is refused with that line', () => {
    assert.throws(() => loadResultFromReport(REPORT.replace(/TLS Protocol.*\n/, ''), LOAD), /TLS Protocol/);
  });
});

describe('the figures', () => {
  const sample = (cpuSeconds: number): Sample => ({ count: 100, seconds: 2, cpuSeconds, bodyBytes: 2 ** 29 });

  test('are the middle one of an odd count and the mean of the middle two of an even count', () => {
    assert.deepEqual(spreadFromValues([30, 1, 2]), { median: 2, min: 1, max: 30 });
    assert.deepEqual(spreadFromValues([4, 1, 2, 30]), { median: 3, min: 1, max: 30 });
    assert.deepEqual(spreadFromValues([7]), { median: 7, min: 7, max: 7 });
  });

  test('tell cost, rate and latency of a sample', () => {
    const perRequest = figureKind('CPU us/request');
    assert.deepEqual([perRequest.of(sample(1)), perRequest.rate?.of(sample(1))], [10_000, 50]);
    const perGib = figureKind('CPU s/GiB');
    assert.deepEqual([perGib.of(sample(1)), perGib.rate?.of(sample(1))], [2, 256]);
    const ms = Array.from({ length: 200 }, (_, index) => 200 - index);
    assert.deepEqual(latencyFrom(ms), { p50Ms: 100, p99Ms: 198 });
  });

  test('of CPU time are found behind a command name with spaces and parentheses', () => {
    const stat = '4711 (a) b (c)) S 1 2 3 0 -1 4194560 10 11 12 13 250 50 7 8 20 0 11 0 500 1000';
    assert.equal(cpuSecondsFromStat(stat), 3);
  });

  test('hold the ratio of each round, and say whether the aim is met if there is one', () => {
    const rounds = [
      { engine: sample(3), nginx: sample(1) },
      { engine: sample(4), nginx: sample(2) },
      { engine: sample(5), nginx: sample(2) },
    ];
    const cells = (ratioAim?: number): string[] =>
      cellsFromFigure(
        { name: 'h1-64', what: '1 KiB' },
        figureFromRounds(rounds, { unit: 'CPU us/request', ...(ratioAim !== undefined && { ratioAim }) }),
      );
    assert.deepEqual(cells(2.5), [
      'h1-64: 1 KiB',
      'CPU us/request',
      '40000.0 (30000.0 to 50000.0)',
      '20000.0 (10000.0 to 20000.0)',
      '2.50 (2.00 to 3.00)',
      '2.5 (met)',
      '50 and 50 requests/s',
    ]);
    assert.equal(cells(2.4)[5], '2.4 (not met)');
    assert.equal(cells()[5], 'no aim');
  });
});

test('a profile is summed by function, most first, without idle time', () => {
  const frame = (functionName: string, url = '', lineNumber = -1) => ({ functionName, url, lineNumber });
  const found = selfTimesFromProfile({
    nodes: [
      { id: 1, callFrame: frame('(idle)') },
      { id: 2, callFrame: frame('relay', 'file:///somewhere/engine.mjs', 9) },
      { id: 3, callFrame: frame('relay', 'file:///somewhere/engine.mjs', 9) },
      { id: 4, callFrame: frame('', 'node:net', 0) },
    ],
    samples: [1, 2, 4, 3],
    timeDeltas: [0, 5000, 3000, 1000],
  });
  assert.deepEqual(found, [
    { where: 'relay engine.mjs:10', ms: 3, share: 0.75 },
    { where: '(anonymous) node:net:1', ms: 1, share: 0.25 },
  ]);
});

describe('the command line', () => {
  const names = (args: string[]): string[] => optionsFromArguments(args).workloads.map(({ name }) => name);

  test('measures every row on Node 26 and keeps the result unless told otherwise', () => {
    const { mode, runtimeName, amount, isWorthKeeping } = optionsFromArguments([]);
    assert.deepEqual([mode, runtimeName, isWorthKeeping], ['measure', '26', true]);
    assert.ok(amount.rounds >= 5);
    assert.ok(names([]).length > 10 && new Set(names([])).size === names([]).length);
  });

  test('measures some rows alone, and keeps no result of them', () => {
    assert.deepEqual(names(['--only', 'bulk', '--only', 'h1-1']), ['h1-1', 'bulk']);
    assert.equal(optionsFromArguments(['--only', 'bulk']).isWorthKeeping, false);
    assert.equal(optionsFromArguments(['--smoke']).isWorthKeeping, false);
  });

  test('starts the engine with the flags of Node that the package starts it with, unless told otherwise', () => {
    const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    assert.ok(manifest.scripts.engine.startsWith(`node ${SHIPPED_NODE_FLAGS} scripts/`));
    assert.deepEqual(optionsFromArguments([]).nodeFlags, SHIPPED_NODE_FLAGS.split(' '));
    assert.deepEqual(optionsFromArguments(['--node-flags=']).nodeFlags, []);
  });

  test('refuses what it does not know, and modes that exclude each other', () => {
    for (const args of [
      ['--node', '18'],
      ['--only', 'x'],
      ['--rounds', '0'],
      ['--profile', '--stand-in'],
      ['--x'],
    ])
      assert.throws(() => optionsFromArguments(args));
  });
});

test('docs/benchmarks.md is what the newest result and the notes render to', () => {
  assert.equal(
    readFileSync(DOCUMENT_PATH, 'utf8'),
    documentFromResult(readNewestResult()),
    'run `npm run bench -- --render`',
  );
});
