/**
 * Results on disk, and the document made of the newest of them and of notes.md.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { figureKind } from './figures.ts';
import type { Figure, Measurement, Spread } from './measure.ts';

const RESULTS_DIR = new URL('results/', import.meta.url);
const NOTES = new URL('notes.md', import.meta.url);
/** The rendered document. */
export const DOCUMENT_PATH = fileURLToPath(new URL('../../docs/benchmarks.md', import.meta.url));

/** One run of the bench, with all that is needed to judge it. */
export interface Result {
  /** Day of the run, `2026-07-30`. */
  date: string;
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

/** Writes `results/<date>-<label>.json`, over an earlier one of the same day, and returns its name. */
export const writeResult = (label: string, result: Result): string => {
  const name = `${result.date}-${label}.json`;
  mkdirSync(RESULTS_DIR, { recursive: true });
  writeFileSync(new URL(name, RESULTS_DIR), `${JSON.stringify(result, null, 2)}\n`);
  return name;
};

/** The newest result, if anything has been measured. */
export const readNewestResult = (): Result | undefined => {
  if (!existsSync(RESULTS_DIR)) return undefined;
  // Names begin with the date.
  const name = readdirSync(RESULTS_DIR)
    .filter((entry) => entry.endsWith('.json'))
    .sort()
    .at(-1);
  return name === undefined ? undefined : JSON.parse(readFileSync(new URL(name, RESULTS_DIR), 'utf8'));
};

const spreadText = ({ median, min, max }: Spread, digits: number): string =>
  `${median.toFixed(digits)} (${min.toFixed(digits)} to ${max.toFixed(digits)})`;

const aimText = ({ ratio, ratioAim }: Figure): string => {
  if (ratioAim === undefined) return 'no aim';
  return `${ratioAim} ${ratio.median <= ratioAim ? '(met)' : '(not met)'}`;
};

/** A figure in one line of cells: the columns of `COLUMNS`. */
export const cellsFromFigure = (
  { name, what }: Pick<Measurement, 'name' | 'what'>,
  figure: Figure,
): string[] => {
  const { engine, nginx, ratio, rate, unit } = figure;
  const { digits } = figureKind(unit);
  return [
    `${name}: ${what}`,
    unit,
    spreadText(engine, digits),
    spreadText(nginx, digits),
    spreadText(ratio, 2),
    aimText(figure),
    rate === undefined ? '' : `${rate.engine.toFixed(0)} and ${rate.nginx.toFixed(0)} ${rate.unit}`,
  ];
};

/** The lines of the table, without its head. */
export const rowsFromMeasurements = (measurements: Measurement[]): string[][] =>
  measurements.flatMap((one) => one.figures.map((figure) => cellsFromFigure(one, figure)));

const row = (cells: string[]): string => `| ${cells.join(' | ')} |`;
const COLUMNS = [
  'row',
  'unit',
  'engine',
  'nginx',
  'ratio',
  'ratio at most',
  'went through, engine and nginx',
];

const tableFromResult = (result: Result): string => {
  const samples = result.measurements.flatMap(({ rounds }) => rounds.map(({ engine }) => engine));
  const tls = [...new Set(samples.flatMap((sample) => sample.tls ?? []))];
  const roundCounts = [...new Set(result.measurements.map(({ rounds }) => rounds.length))];
  return `${[COLUMNS, COLUMNS.map(() => '---'), ...rowsFromMeasurements(result.measurements)].map(row).join('\n')}

${result.date}, commit ${result.commit}${result.isDirty ? ' with changes' : ''}; Node ${result.node.version} (OpenSSL ${result.node.openssl}${result.node.flags.map((flag) => `, \`${flag}\``).join('')}), ${result.nginx},
load by ${result.loadTool}; ${result.cpu.count} CPUs, ${result.cpu.model}, load ${result.loadAverage.toFixed(1)} before; ${roundCounts.join(' and ')} rounds; ${tls.join(' and ')}.`;
};

/** Renders the document. */
export const documentFromResult = (result: Result | undefined): string => `# Benchmarks

<!-- Rendered by \`npm run bench -- --render\` from scripts/bench: edit results.ts and notes.md there instead. -->

What the engine costs beside nginx as a TLS reverse proxy before the same upstream, measured in turn in the same run. Each figure is the median over
the rounds, with the least and the greatest; a ratio is taken round by round. CPU time is that of the process itself: agent, upstream and load
generator are processes of their own. nginx does less for its figures: it speaks TLS on one side and reaches the upstream directly, the engine speaks
TLS on both sides, to the downstream and to the agent. How to run it, and what each row does: scripts/bench/README.md.

${result === undefined ? 'Nothing has been measured yet.' : tableFromResult(result)}

${readFileSync(NOTES, 'utf8')}`;
