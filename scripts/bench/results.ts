/**
 * Results on disk, and the document made of the newest of them.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Measurement, Spread } from './measure.ts';

const RESULTS_DIR = new URL('results/', import.meta.url);
/** The rendered document. */
export const DOCUMENT_PATH = fileURLToPath(new URL('../../docs/benchmarks.md', import.meta.url));

/** One run of the bench, with all that is needed to judge it. */
export interface Result {
  /** Day of the run, `2026-07-30`. */
  date: string;
  /** What ran, for example `https-node26`: results of the same name replace each other in the document. */
  what: string;
  commit: string;
  /** True where the checkout held changes that the commit lacks. */
  isDirty: boolean;
  node: { version: string; openssl: string; flags: string[] };
  nginx: string;
  loadTool: string;
  cpu: { model: string; count: number };
  /** Of the minute before the run: how busy others kept the machine. */
  loadAverage: number;
  measurements: Measurement[];
}

/** Writes `results/<date>-<what>.json`, over an earlier one of the same day, and returns its name. */
export const writeResult = (result: Result): string => {
  const name = `${result.date}-${result.what}.json`;
  mkdirSync(RESULTS_DIR, { recursive: true });
  writeFileSync(new URL(name, RESULTS_DIR), `${JSON.stringify(result, null, 2)}\n`);
  return name;
};

/** The newest result of each kind, by kind. */
export const readNewestResults = (): Result[] => {
  const newest = new Map<string, Result>();
  if (!existsSync(RESULTS_DIR)) return [];
  // Names begin with the date: sorted, the last one of a kind is the newest.
  for (const name of readdirSync(RESULTS_DIR)
    .filter((entry) => entry.endsWith('.json'))
    .sort()) {
    const result = JSON.parse(readFileSync(new URL(name, RESULTS_DIR), 'utf8')) as Result;
    newest.set(result.what, result);
  }
  return [...newest.values()].sort((a, b) => (a.what < b.what ? 1 : -1));
};

const DIGITS: Record<string, number> = { 'us/request': 1, 's/GiB': 2 };
const spreadText = ({ median, min, max }: Spread, digits: number): string =>
  `${median.toFixed(digits)} (${min.toFixed(digits)} to ${max.toFixed(digits)})`;

/** A measurement in one line of cells: the columns of `COLUMNS`. */
export const cellsFromMeasurement = ({ workload, rounds, engine, nginx, ratio }: Measurement): string[] => {
  const digits = DIGITS[workload.unit] ?? 2;
  const { bodyBytes, requests } = rounds[0]!.engine;
  // A timed run may end in the middle of a body.
  const bytes = Math.round(bodyBytes / requests);
  const size = bytes < 2 ** 20 ? `${bytes} bytes` : `${Math.round(bytes / 2 ** 20)} MiB`;
  return [
    `${workload.name}: ${size}, ${workload.connections} connections`,
    workload.unit,
    spreadText(engine, digits),
    spreadText(nginx, digits),
    spreadText(ratio, 2),
    `${workload.ratioAim} ${ratio.median <= workload.ratioAim ? '(met)' : '(not met)'}`,
  ];
};

const row = (cells: string[]): string => `| ${cells.join(' | ')} |`;
const COLUMNS = ['workload', 'CPU unit', 'engine', 'nginx', 'ratio', 'ratio at most'];

const sectionFromResult = (result: Result): string => {
  const tls = [...new Set(result.measurements.flatMap((one) => one.rounds.map((round) => round.engine.tls)))];
  const roundCounts = [...new Set(result.measurements.map((one) => one.rounds.length))];
  return `## ${result.what}

${[row(COLUMNS), row(COLUMNS.map(() => '---')), ...result.measurements.map((one) => row(cellsFromMeasurement(one)))].join('\n')}

${result.date}, commit ${result.commit}${result.isDirty ? ' with changes' : ''}; Node ${result.node.version} (OpenSSL ${result.node.openssl}${result.node.flags.map((flag) => `, \`${flag}\``).join('')}), ${result.nginx},
load by ${result.loadTool}; ${result.cpu.count} CPUs, ${result.cpu.model}, load ${result.loadAverage.toFixed(1)} before; ${roundCounts.join(' and ')} rounds; ${tls.join(' and ')}.
`;
};

/** Renders the document. */
export const documentFromResults = (results: Result[]): string => `# Benchmarks

<!-- Rendered by \`npm run bench -- --render\` from scripts/bench/results; edit scripts/bench/results.ts instead. -->

What the engine costs: CPU time of its process per request and per GiB, beside nginx as a TLS reverse proxy before the same upstream in the same
run, the two measured in turn. Each figure is the median over the rounds, with the least and the greatest; a ratio is taken round by round. Only the
process itself is counted: the agent, the upstream and the load generator are processes of their own. nginx does less for its figure: it speaks TLS on one side
and reaches the upstream directly, the engine speaks TLS on both sides, to the downstream and to the agent. How to run it: scripts/bench/README.md.

${results.length === 0 ? 'Nothing has been measured yet.\n' : results.map(sectionFromResult).join('\n')}`;
