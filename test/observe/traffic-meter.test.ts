/** What a record adds to the metrics, and who is blamed. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type ErrorCode, fail } from '../../src/base/errors.ts';
import { createMetrics } from '../../src/base/metric-numbers.ts';
import type { TrafficRecord } from '../../src/base/record.ts';
import { createTrafficMeter, protocolOf } from '../../src/observe/traffic-meter.ts';
import { exchangeOf, tunnelOf } from './traffic.ts';

const count = async (...records: TrafficRecord[]) => {
  const metrics = createMetrics();
  const refusals: ErrorCode[] = [];
  const meter = createTrafficMeter(metrics, (code) => refusals.push(code));
  for (const record of records) meter(record);
  return { text: await metrics.render(), refusals };
};

const outcomesIn = (text: string): string[] =>
  [
    ...text.matchAll(
      /^rstream_engine_exchanges_total\{kind="(.*)",outcome="(.*)",source="(.*)"\} ([1-9]\d*)$/gm,
    ),
  ].map(([, ...parts]) => parts.join(' '));

test('exchanges add their time, sizes and bytes to their tunnel’s protocol and class of status', async () => {
  const { text } = await count(exchangeOf(), exchangeOf({ bytesDown: 1_000 }), exchangeOf({ status: 404 }));
  assert.deepEqual(outcomesIn(text), ['exchange ok none 3']);
  assert.match(text, /^rstream_engine_exchange_seconds_count\{protocol="http",status="2xx"\} 2$/m);
  assert.match(text, /^rstream_engine_exchange_seconds_count\{protocol="http",status="4xx"\} 1$/m);
  assert.match(text, /^rstream_engine_response_bytes_sum\{protocol="http",status="2xx"\} 1005$/m);
  assert.match(text, /^rstream_engine_request_bytes_sum\{protocol="http",status="2xx"\} 6$/m);
  assert.match(text, /^rstream_engine_bytes_total\{protocol="http",direction="to_upstream"\} 9$/m);
  assert.match(text, /^rstream_engine_bytes_total\{protocol="http",direction="to_downstream"\} 1010$/m);
});

test('raw streams have a time and bytes, and no status or size', async () => {
  const { text } = await count(
    exchangeOf({ kind: 'stream', status: 0, tunnel: tunnelOf({ protocol: 'tcp' }), request: undefined }),
  );
  assert.deepEqual(outcomesIn(text), ['stream ok none 1']);
  assert.match(text, /^rstream_engine_exchange_seconds_count\{protocol="tcp",status="none"\} 1$/m);
  assert.doesNotMatch(text, /^rstream_engine_re\w+_bytes_sum/m);
});

describe('the blame', () => {
  for (const [what, record, outcome, refusals] of [
    [
      'of a refused address is the downstream’s',
      { error: fail('ADDRESS_FORBIDDEN') },
      'failed downstream',
      ['ADDRESS_FORBIDDEN'],
    ],
    [
      'of a broken service is the upstream’s',
      { error: fail('UPSTREAM_CLOSED') },
      'failed upstream',
      ['UPSTREAM_CLOSED'],
    ],
    [
      'of a late dial-back is the agent’s',
      { error: fail('DIAL_BACK_TIMEOUT') },
      'failed agent',
      ['DIAL_BACK_TIMEOUT'],
    ],
    [
      'of leaving early is the downstream’s',
      { error: fail('REQUEST_ABORTED') },
      'aborted downstream',
      ['REQUEST_ABORTED'],
    ],
    [
      'of a break is that of the side that broke off',
      { isBroken: true, endedBy: 'upstream' },
      'aborted upstream',
      [],
    ],
  ] as const)
    test(what, async () => {
      const seen = await count(exchangeOf(record));
      assert.deepEqual(outcomesIn(seen.text), [`exchange ${outcome} 1`]);
      assert.deepEqual(seen.refusals, refusals);
    });

  test('of a private stream is counted where it is answered', async () => {
    const { refusals } = await count(
      exchangeOf({ kind: 'private-stream', error: fail('DIAL_BACK_REFUSED') }),
    );
    assert.deepEqual(refusals, []);
  });
});

test('every tunnel has a protocol of the closed set', () => {
  assert.equal(protocolOf(undefined), 'none');
  assert.equal(protocolOf(tunnelOf({ protocol: 'tls' })), 'tls');
  assert.equal(protocolOf(tunnelOf({ type: 'datagram' })), 'datagram');
  const { protocol: _, ...properties } = tunnelOf().properties;
  assert.equal(protocolOf({ properties }), 'bytes');
});
