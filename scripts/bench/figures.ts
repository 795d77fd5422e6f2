/**
 * What one run of a load tells, and the figures that are made of it.
 */

/** One run of a load against one subject. */
export interface Sample {
  /** Requests, connections or messages: what the load is made of. */
  count: number;
  seconds: number;
  /** CPU time of the subject's process in these seconds, user and system, all threads. */
  cpuSeconds: number;
  bodyBytes?: number;
  /** Milliseconds that half, and all but one in a hundred, stayed within. */
  p50Ms?: number;
  p99Ms?: number;
  /** Protocol version and cipher, for example `TLSv1.3 TLS_AES_256_GCM_SHA384`. */
  tls?: string;
}

interface FigureKind {
  digits: number;
  of(sample: Sample): number;
  /** How much went through meanwhile, for cost figures. */
  rate?: { unit: string; of(sample: Sample): number };
}

const MIB = 2 ** 20;
const GIB = 2 ** 30;

const cpuPer = (thing: string): FigureKind => ({
  digits: 1,
  of: ({ cpuSeconds, count }) => (cpuSeconds * 1e6) / count,
  rate: { unit: `${thing}s/s`, of: ({ count, seconds }) => count / seconds },
});

/** Every kind of figure by its unit. */
export const FIGURES = {
  'CPU us/request': cpuPer('request'),
  'CPU us/connection': cpuPer('connection'),
  'CPU us/message': cpuPer('message'),
  'CPU s/GiB': {
    digits: 2,
    of: ({ cpuSeconds, bodyBytes = 0 }) => cpuSeconds / (bodyBytes / GIB),
    rate: { unit: 'MiB/s', of: ({ bodyBytes = 0, seconds }) => bodyBytes / MIB / seconds },
  },
  'ms p50': { digits: 2, of: ({ p50Ms = Number.NaN }) => p50Ms },
  'ms p99': { digits: 2, of: ({ p99Ms = Number.NaN }) => p99Ms },
} satisfies Record<string, FigureKind>;

/** A unit of {@link FIGURES}. */
export type Unit = keyof typeof FIGURES;

/** The kind of figure that has this unit. */
export const figureKind = (unit: Unit): FigureKind => FIGURES[unit];

/** The value that this share of the values stay within, by nearest rank; NaN of none. */
export const quantile = (values: readonly number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.max(0, Math.ceil(share * values.length) - 1)] ?? Number.NaN;

/** Median and 99th percentile, as a sample carries them. */
export const latencyFrom = (ms: readonly number[]): Pick<Sample, 'p50Ms' | 'p99Ms'> => ({
  p50Ms: quantile(ms, 0.5),
  p99Ms: quantile(ms, 0.99),
});
