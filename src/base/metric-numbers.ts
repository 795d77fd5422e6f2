/**
 * The numbers behind the metrics of one engine.
 *
 * Flow: observe/ asks for the cell of a metric once and counts in it; api/metrics-server.ts renders all of them for a scrape.
 * Invariant: counting is an addition: no label is looked at and no object is made on the hot path.
 */
import assert from 'node:assert';
import { type Metric, Registry } from 'prom-client';
import { type LabelsOf, METRICS, type MetricName, type MetricRow, type NameOf } from './metrics.ts';

/** One number of a counter or gauge. */
export interface Cell {
  value: number;
}

/** What is known of one series of a histogram. */
export interface Distribution {
  observe(value: number): void;
}

export interface Metrics {
  /** The number behind these labels; keep it where it is counted often. */
  cell<Name extends NameOf<'counter' | 'gauge'>>(name: Name, labels: LabelsOf<Name>): Cell;
  distribution<Name extends NameOf<'histogram'>>(name: Name, labels: LabelsOf<Name>): Distribution;
  /** Sets every series of a gauge to 0. */
  reset(name: NameOf<'gauge'>): void;
  /** Calls before each scrape, for numbers that are kept elsewhere. */
  onScrape(read: () => void): void;
  /** All of them, in the text format of Prometheus. */
  render(): Promise<string>;
  readonly contentType: string;
}

class Buckets implements Distribution {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    let at = 0;
    while (at < this.#bounds.length && value > (this.#bounds[at] as number)) at += 1;
    this.#counts[at] = (this.#counts[at] as number) + 1;
    this.#sum += value;
  }

  /** The series of one histogram, each bucket with those below it. */
  samples(name: string, labels: Readonly<Record<string, string>>) {
    let total = 0;
    const buckets = this.#counts.map((count, at) => {
      total += count;
      return {
        metricName: `${name}_bucket`,
        labels: { ...labels, le: this.#bounds[at] ?? '+Inf' },
        value: total,
      };
    });
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels, value: this.#sum },
      { metricName: `${name}_count`, labels, value: total },
    ];
  }
}

interface Series<Value> {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: Value;
}

/** Finds a series by the values of its labels, or makes it. */
const seriesOf = <Value>(name: MetricName, make: () => Value) => {
  const row: MetricRow = METRICS[name];
  const all = new Map<string, Series<Value>>();
  const of = (labels: Readonly<Record<string, string>>): Value => {
    const key = Object.keys(row.labels)
      .map((label) => labels[label])
      .join(' ');
    const known = all.get(key);
    if (known) return known.value;
    for (const [label, values] of Object.entries(row.labels))
      assert(values.includes(labels[label] ?? ''), `${name} has no ${label} of this value`);
    const value = make();
    all.set(key, { labels: { ...labels }, value });
    return value;
  };
  if (Object.keys(row.labels).length === 0) of({});
  return { of, all };
};

/** The numbers of one engine. */
export const createMetrics = (): Metrics => {
  const registry = new Registry();
  const reads: (() => void)[] = [];
  const cells = new Map<string, ReturnType<typeof seriesOf<Cell>>>();
  const distributions = new Map<string, ReturnType<typeof seriesOf<Buckets>>>();

  const register = (name: MetricName, values: () => unknown[]) => {
    const { help, type } = METRICS[name];
    // A registry asks a metric for nothing but this. The package's own metrics look their labels up at every observation, which is too
    // dear for every request.
    const metric = { name, help, type, get: () => Promise.resolve({ name, help, type, values: values() }) };
    registry.registerMetric(metric as unknown as Metric);
  };
  for (const name of Object.keys(METRICS) as MetricName[]) {
    const { type, buckets } = METRICS[name] as MetricRow;
    if (type === 'histogram') {
      const series = seriesOf(name, () => new Buckets(buckets));
      distributions.set(name, series);
      register(name, () =>
        [...series.all.values()].flatMap(({ labels, value }) => value.samples(name, labels)),
      );
    } else {
      const series = seriesOf<Cell>(name, () => ({ value: 0 }));
      cells.set(name, series);
      register(name, () =>
        [...series.all.values()].map(({ labels, value }) => ({ labels, value: value.value })),
      );
    }
  }

  return {
    cell: (name, labels) => cells.get(name)!.of(labels as Readonly<Record<string, string>>),
    distribution: (name, labels) => distributions.get(name)!.of(labels as Readonly<Record<string, string>>),
    reset(name) {
      for (const { value } of cells.get(name)!.all.values()) value.value = 0;
    },
    onScrape: (read) => void reads.push(read),
    async render() {
      for (const read of reads) read();
      return registry.metrics();
    },
    contentType: registry.contentType,
  };
};
