/**
 * `npm run bench`: engine CPU per request and per GiB beside nginx as a TLS reverse proxy in the same run.
 *
 * Flow: make the runtime ready; start upstream, engine with agent, and reference; measure in interleaved rounds; print, write the result and
 * render the document.
 * Invariant: all that was started is stopped by its id, and all files but cache and result lie below one temporary folder that goes too.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Engine, startEngine } from './engine.ts';
import { loadToolVersion, runLoad } from './load.ts';
import { type Measurement, measure, type Round, type Workload } from './measure.ts';
import { makeCertificate, nginxVersion, startProxy, startUpstream } from './nginx.ts';
import { type BenchOptions, optionsFromArguments, USAGE } from './options.ts';
import { type Running, untilReady } from './process.ts';
import { readProfile, selfTimesFromProfile } from './profile.ts';
import {
  cellsFromMeasurement,
  DOCUMENT_PATH,
  documentFromResults,
  readNewestResults,
  writeResult,
} from './results.ts';
import { CACHE_DIR, prepareRuntime, type Runtime } from './runtime.ts';

const PROFILE_LINES = 40;
/** More than this before the first round and the rounds spoil each other's caches and time slices. */
const BUSY_LOAD_AVERAGE = 0.7;

/** Where one run lives: its folder, and what it started, in order. */
interface Stage {
  dir: string;
  started: Running[];
}

const keep = <T extends Running>(stage: Stage, one: T): T => {
  stage.started.push(one);
  return one;
};

/** A second nginx in the engine's place. */
const startStandIn = async (dir: string, upstreamPort: number): Promise<Engine> => {
  const certificate = makeCertificate(join(dir, 'certificate'));
  const nginx = await startProxy(join(dir, 'stand-in'), upstreamPort, certificate);
  return { ...nginx, host: 'bench.t.localhost', certificate };
};

const printRound = ({ name, unit }: Workload, { engine, nginx, ratio }: Round): void => {
  const costs = `engine ${engine.cost.toFixed(2)}, nginx ${nginx.cost.toFixed(2)} ${unit}`;
  const [ours, theirs] = [engine, nginx].map(({ requests, bodyBytes, seconds }) =>
    unit === 's/GiB' ? bodyBytes / 2 ** 20 / seconds : requests / seconds,
  );
  const rates = `${ours!.toFixed(0)} and ${theirs!.toFixed(0)} ${unit === 's/GiB' ? 'MiB/s' : 'requests/s'}`;
  console.log(`${name}: ${costs}, ratio ${ratio.toFixed(2)} (${rates})`);
};

/** Starts everything and measures each workload. Without a runtime the stand-in takes the engine's place. */
const compare = async (
  stage: Stage,
  { workloads, bulkBytes, roundCount, nodeFlags }: BenchOptions,
  runtime?: Runtime,
): Promise<Measurement[]> => {
  const upstream = keep(stage, await startUpstream(join(stage.dir, 'upstream'), bulkBytes));
  const engine = keep(
    stage,
    runtime === undefined
      ? await startStandIn(stage.dir, upstream.port)
      : await startEngine(join(stage.dir, 'engine'), runtime, upstream.port, nodeFlags),
  );
  const proxy = await startProxy(join(stage.dir, 'reference'), upstream.port, engine.certificate);
  const nginx = { ...keep(stage, proxy), host: engine.host };
  for (const { host, port } of [engine, nginx]) await untilReady(host, port, '/');

  const measurements: Measurement[] = [];
  for (const workload of workloads) {
    const report = (round: Round): void => printRound(workload, round);
    measurements.push(await measure(workload, engine, nginx, roundCount, report));
  }
  for (const one of measurements) console.log(cellsFromMeasurement(one).join(' | '));
  return measurements;
};

/** Runs each workload once over an engine of its own that writes a CPU profile, and prints the functions with the most self time. */
const profile = async (
  stage: Stage,
  { workloads, bulkBytes, nodeFlags }: BenchOptions,
  runtime: Runtime,
): Promise<void> => {
  const upstream = keep(stage, await startUpstream(join(stage.dir, 'upstream'), bulkBytes));
  for (const workload of workloads) {
    const name = `${workload.name}-${runtime.label}`;
    const profileDir = join(CACHE_DIR, 'profiles', name);
    rmSync(profileDir, { recursive: true, force: true });
    mkdirSync(profileDir, { recursive: true });
    const flags = [...nodeFlags, '--cpu-prof', `--cpu-prof-dir=${profileDir}`];
    const engine = await startEngine(join(stage.dir, workload.name), runtime, upstream.port, flags);
    const { requests, bodyBytes } = await runLoad(engine, workload).finally(engine.stop);
    console.log(`\n${workload.name}: self time over ${requests} requests, ${bodyBytes} bytes of body`);
    for (const { where, ms, share } of selfTimesFromProfile(readProfile(profileDir)).slice(0, PROFILE_LINES))
      console.log(`${(100 * share).toFixed(1).padStart(6)} % ${ms.toFixed(0).padStart(7)} ms  ${where}`);
    console.log(`the whole profile: scripts/bench/.cache/profiles/${name}`);
  }
};

const render = (): void => writeFileSync(DOCUMENT_PATH, documentFromResults(readNewestResults()));

const record = (
  runtime: Runtime,
  { only, nodeFlags }: BenchOptions,
  loadAverage: number,
  measurements: Measurement[],
): void => {
  const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8' }).trim();
  const name = writeResult({
    date: new Date().toISOString().slice(0, 10),
    what: ['https', runtime.label, only].filter((part) => part !== undefined).join('-'),
    commit: git('rev-parse', '--short', 'HEAD'),
    isDirty: git('status', '--porcelain', '--', 'src') !== '',
    node: { version: runtime.version, openssl: runtime.openssl, flags: nodeFlags },
    nginx: nginxVersion(),
    loadTool: loadToolVersion(),
    cpu: { model: cpus()[0]?.model.trim() ?? 'unknown', count: cpus().length },
    loadAverage,
    measurements,
  });
  render();
  console.log(`wrote scripts/bench/results/${name} and docs/benchmarks.md`);
};

const assertTools = (): void => {
  const missing = ['nginx', 'h2load', 'openssl'].filter((tool) => spawnSync('which', [tool]).status !== 0);
  if (missing.length > 0)
    throw new Error(`${missing.join(' and ')} missing: apt-get install nginx nghttp2-client openssl`);
};

const main = async (options: BenchOptions): Promise<void> => {
  if (options.mode === 'help') return console.log(USAGE);
  if (options.mode === 'render') return render();
  assertTools();
  const runtime = options.mode === 'stand-in' ? undefined : await prepareRuntime(options.runtimeName);
  const loadAverage = loadavg()[0] ?? 0;
  if (loadAverage > BUSY_LOAD_AVERAGE)
    console.error(
      `bench: others keep this machine busy (load ${loadAverage.toFixed(1)}): these figures are noise`,
    );
  const stage: Stage = { dir: mkdtempSync(join(tmpdir(), 'engine-bench-')), started: [] };
  const clear = async (): Promise<void> => {
    for (const one of stage.started.splice(0).reverse()) await one.stop();
    rmSync(stage.dir, { recursive: true, force: true });
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => clear().finally(() => process.exit(130)));
  try {
    if (options.mode === 'profile') return await profile(stage, options, runtime!);
    const measurements = await compare(stage, options, runtime);
    if (runtime !== undefined && !options.isSmoke) record(runtime, options, loadAverage, measurements);
  } finally {
    await clear();
  }
};

try {
  await main(optionsFromArguments(process.argv.slice(2)));
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
