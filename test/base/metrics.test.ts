/** The table of metrics is closed, and what is counted is what a scrape reads. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createMetrics } from '../../src/base/metric-numbers.ts';
import { METRICS, type MetricRow } from '../../src/base/metrics.ts';

// What one engine may cost a Prometheus server, histograms' buckets included.
const SERIES_MAX = 6_000;

describe('the table', () => {
  const rows = Object.entries<MetricRow>(METRICS);

  test('has names by the rules of Prometheus', () => {
    for (const [name, { type }] of rows) {
      assert.match(name, /^rstream_engine_[a-z]+(?:_[a-z]+)*$/);
      assert.equal(name.endsWith('_total'), type === 'counter', name);
      if (type === 'histogram') assert.match(name, /_(?:seconds|bytes)$/);
    }
  });

  test('has a sentence for each, and label values from closed sets', () => {
    for (const [name, { help, labels }] of rows) {
      assert.match(help, /^[A-Z].*\.$/, name);
      for (const values of Object.values(labels)) {
        assert.ok(values.length > 0);
        for (const value of values) assert.match(value, /^[\w.-]+$/, 'no host names, no addresses');
      }
    }
  });

  test('has an end to its series', () => {
    const count = rows.reduce((sum, [, { labels, buckets }]) => {
      const series = Object.values(labels).reduce((product, values) => product * values.length, 1);
      return sum + series * (buckets.length > 0 ? buckets.length + 3 : 1);
    }, 0);
    assert.ok(count < SERIES_MAX, `${count} series`);
  });
});

describe('a scrape', () => {
  test('reads every metric, those without labels from the start', async () => {
    const text = await createMetrics().render();
    for (const [name, { type, help }] of Object.entries<MetricRow>(METRICS)) {
      assert.ok(text.includes(`# TYPE ${name} ${type}\n`), name);
      assert.ok(text.includes(`# HELP ${name} ${help}\n`), name);
    }
    assert.match(text, /^rstream_engine_sessions 0$/m);
  });

  test('reads what was counted, and what is read for it', async () => {
    const metrics = createMetrics();
    const cell = metrics.cell('rstream_engine_tunnels', { protocol: 'http', access: 'published' });
    cell.value += 2;
    assert.equal(metrics.cell('rstream_engine_tunnels', { access: 'published', protocol: 'http' }), cell);
    metrics.onScrape(() => {
      metrics.cell('rstream_engine_sessions', {}).value += 7;
    });
    const text = await metrics.render();
    assert.match(text, /^rstream_engine_tunnels\{protocol="http",access="published"\} 2$/m);
    assert.match(text, /^rstream_engine_sessions 7$/m);
    metrics.reset('rstream_engine_tunnels');
    assert.match(await metrics.render(), /^rstream_engine_tunnels\{.*\} 0$/m);
  });

  test('reads histograms in cumulative buckets', async () => {
    const metrics = createMetrics();
    const dials = metrics.distribution('rstream_engine_dial_seconds', { outcome: 'answered' });
    for (const seconds of [0.001, 0.0011, 1, 1_000]) dials.observe(seconds);
    const text = await metrics.render();
    const bucket = (bound: string) =>
      new RegExp(
        `^rstream_engine_dial_seconds_bucket\\{outcome="answered",le="${bound}"\\} (\\d+)$`,
        'm',
      ).exec(text)?.[1];
    assert.deepEqual(['0.001', '0.0025', '0.5', '1', '300', '\\+Inf'].map(bucket), [
      '1',
      '2',
      '2',
      '3',
      '3',
      '4',
    ]);
    assert.match(text, /^rstream_engine_dial_seconds_sum\{outcome="answered"\} 1001\.0021$/m);
    assert.match(text, /^rstream_engine_dial_seconds_count\{outcome="answered"\} 4$/m);
  });

  test('never has a label value from outside its set', () => {
    const outside = { protocol: 'web.example.com', access: 'published' } as never;
    assert.throws(
      () => createMetrics().cell('rstream_engine_tunnels', outside),
      /has no protocol of this value/,
    );
  });
});
