/**
 * The bench's own arithmetic, and that docs/benchmarks.md says what the results say. Running it for real needs nginx and h2load: `npm run bench -- --smoke`.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { loadResultFromReport } from '../../scripts/bench/load.ts';
import { type Measurement, spreadFromValues } from '../../scripts/bench/measure.ts';
import { optionsFromArguments } from '../../scripts/bench/options.ts';
import { cpuSecondsFromStat } from '../../scripts/bench/process.ts';
import { selfTimesFromProfile } from '../../scripts/bench/profile.ts';
import {
  cellsFromMeasurement,
  DOCUMENT_PATH,
  documentFromResults,
  readNewestResults,
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

describe('the load report', () => {
  test('is read with its units', () => {
    assert.deepEqual(loadResultFromReport(REPORT), {
      requests: 200,
      bodyBytes: 20_000,
      seconds: 0.50025,
      requestMsMean: 0.312,
      tls: 'TLSv1.3 TLS_AES_256_GCM_SHA384',
    });
  });

  test('with a failed, an unanswered or no request at all is refused', () => {
    for (const [text, fault] of [
      ['200 succeeded, 0 failed', '199 succeeded, 1 failed'],
      ['0 timeout', '3 timeout'],
      ['200 done, 200 succeeded', '0 done, 0 succeeded'],
    ] as const)
      assert.throws(() => loadResultFromReport(REPORT.replace(text, fault)), /counted faults/);
  });

  test('without a line that the bench reads is refused with that line', () => {
    assert.throws(() => loadResultFromReport(REPORT.replace(/TLS Protocol.*\n/, '')), /TLS Protocol/);
  });
});

describe('the figures', () => {
  test('are the middle one of an odd count and the mean of the middle two of an even count', () => {
    assert.deepEqual(spreadFromValues([30, 1, 2]), { median: 2, min: 1, max: 30 });
    assert.deepEqual(spreadFromValues([4, 1, 2, 30]), { median: 3, min: 1, max: 30 });
    assert.deepEqual(spreadFromValues([7]), { median: 7, min: 7, max: 7 });
  });

  test('of CPU time are found behind a command name with spaces and parentheses', () => {
    const stat = '4711 (a) b (c)) S 1 2 3 0 -1 4194560 10 11 12 13 250 50 7 8 20 0 11 0 500 1000';
    assert.equal(cpuSecondsFromStat(stat), 3);
  });

  test('say whether the aim is met', () => {
    const sample = {
      cost: 30,
      cpuSeconds: 1,
      requests: 3,
      bodyBytes: 301,
      seconds: 1,
      requestMsMean: 1,
      tls: '',
    };
    const workload = {
      name: 'small',
      path: '/',
      connections: 32,
      seconds: 5,
      unit: 'us/request' as const,
      ratioAim: 3,
    };
    const one: Measurement = {
      workload,
      rounds: [{ engine: sample, nginx: sample, ratio: 1 }],
      engine: { median: 30, min: 29, max: 31.25 },
      nginx: { median: 10, min: 9, max: 11 },
      ratio: { median: 3, min: 2.9, max: 3.1 },
    };
    assert.deepEqual(cellsFromMeasurement(one), [
      'small: 100 bytes, 32 connections',
      'us/request',
      '30.0 (29.0 to 31.3)',
      '10.0 (9.0 to 11.0)',
      '3.00 (2.90 to 3.10)',
      '3 (met)',
    ]);
    assert.equal(
      cellsFromMeasurement({ ...one, ratio: { median: 3.01, min: 3, max: 4 } }).at(-1),
      '3 (not met)',
    );
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
  test('measures both workloads on Node 26 unless told otherwise', () => {
    const { mode, runtimeName, workloads, roundCount } = optionsFromArguments([]);
    assert.deepEqual(
      [mode, runtimeName, workloads.map(({ name }) => name)],
      ['measure', '26', ['small', 'bulk']],
    );
    assert.ok(roundCount >= 5);
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

test('docs/benchmarks.md is what the results render to', () => {
  assert.equal(
    readFileSync(DOCUMENT_PATH, 'utf8'),
    documentFromResults(readNewestResults()),
    'run `npm run bench -- --render`',
  );
});
