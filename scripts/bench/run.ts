/**
 * `npm run bench`: what the engine costs, and how long it takes, beside nginx as a TLS reverse proxy in the same run.
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
import { figureKind } from './figures.ts';
import { loadToolVersion } from './load.ts';
import { type Measurement, measure, type Round } from './measure.ts';
import { makeCertificate, nginxVersion, startProxy, startUpstream } from './nginx.ts';
import { type BenchOptions, optionsFromArguments, USAGE } from './options.ts';
import { untilReady } from './process.ts';
import { readProfile, selfTimesFromProfile } from './profile.ts';
import {
  DOCUMENT_PATH,
  documentFromResult,
  readNewestResult,
  rowsFromMeasurements,
  writeResult,
} from './results.ts';
import { CACHE_DIR, prepareRuntime, type Runtime } from './runtime.ts';
import { startEcho } from './websocket.ts';
import type { Workload } from './workloads.ts';

const PROFILE_LINES = 40;
/** More than this before the first round and the rounds spoil each other's caches and time slices. */
const BUSY_LOAD_AVERAGE = 0.7;

/** Where one run lives: its folder, and what it started, in order. */
interface Stage {
  dir: string;
  started: { stop(): Promise<void> }[];
}

const keep = <T extends Stage['started'][number]>(stage: Stage, one: T): T => {
  stage.started.push(one);
  return one;
};

/** A second nginx in the engine's place. */
const startStandIn = async (dir: string, upstreamPort: number): Promise<Engine> => {
  const certificate = makeCertificate(join(dir, 'certificate'));
  const nginx = await startProxy(join(dir, 'stand-in'), upstreamPort, certificate);
  return { ...nginx, host: 'bench.t.localhost', certificate };
};

/** The upstream and the WebSocket server behind it; returns the upstream's port. */
const startBackend = async (stage: Stage, bulkBytes: number): Promise<number> => {
  const echo = keep(stage, await startEcho());
  return keep(stage, await startUpstream(join(stage.dir, 'upstream'), bulkBytes, echo.port)).port;
};

const printRound = ({ name, figures }: Workload, { engine, nginx }: Round): void => {
  const costs = figures.map(({ unit }) => {
    const { digits, of } = figureKind(unit);
    const [ours, theirs] = [of(engine), of(nginx)];
    return `${ours.toFixed(digits)} / ${theirs.toFixed(digits)} = ${(ours / theirs).toFixed(2)} ${unit}`;
  });
  console.log(`${name}: ${costs.join(', ')}`);
};

/** Starts everything and measures each workload. Without a runtime the stand-in takes the engine's place. */
const compare = async (
  stage: Stage,
  { workloads, bulkBytes, amount, nodeFlags }: BenchOptions,
  runtime?: Runtime,
): Promise<Measurement[]> => {
  const upstreamPort = await startBackend(stage, bulkBytes);
  const engine = keep(
    stage,
    runtime === undefined
      ? await startStandIn(stage.dir, upstreamPort)
      : await startEngine(join(stage.dir, 'engine'), runtime, upstreamPort, nodeFlags),
  );
  const proxy = await startProxy(join(stage.dir, 'reference'), upstreamPort, engine.certificate);
  const nginx = { ...keep(stage, proxy), host: engine.host };
  for (const { host, port } of [engine, nginx]) await untilReady(host, port, '/');

  const measurements: Measurement[] = [];
  for (const workload of workloads) {
    const report = (round: Round): void => printRound(workload, round);
    measurements.push(await measure(workload, { engine, nginx }, amount, report));
  }
  for (const cells of rowsFromMeasurements(measurements)) console.log(cells.join(' | '));
  return measurements;
};

/** Runs each workload once over an engine of its own that writes a CPU profile, and prints the functions with the most self time. */
const profile = async (
  stage: Stage,
  { workloads, bulkBytes, amount, nodeFlags }: BenchOptions,
  runtime: Runtime,
): Promise<void> => {
  const upstreamPort = await startBackend(stage, bulkBytes);
  for (const workload of workloads) {
    const name = `${workload.name}-${runtime.label}`;
    const profileDir = join(CACHE_DIR, 'profiles', name);
    rmSync(profileDir, { recursive: true, force: true });
    mkdirSync(profileDir, { recursive: true });
    const flags = [...nodeFlags, '--cpu-prof', `--cpu-prof-dir=${profileDir}`];
    const engine = await startEngine(join(stage.dir, workload.name), runtime, upstreamPort, flags);
    // As long as all rounds together: the start of the engine is in the profile too.
    const seconds = amount.rounds * amount.seconds;
    const { count } = await workload.run(engine, seconds).finally(engine.stop);
    console.log(`\n${workload.name}: self time, ${count} in ${seconds} s (${workload.what})`);
    for (const { where, ms, share } of selfTimesFromProfile(readProfile(profileDir)).slice(0, PROFILE_LINES))
      console.log(`${(100 * share).toFixed(1).padStart(6)} % ${ms.toFixed(0).padStart(7)} ms  ${where}`);
    console.log(`the whole profile: scripts/bench/.cache/profiles/${name}`);
  }
};

const render = (): void => writeFileSync(DOCUMENT_PATH, documentFromResult(readNewestResult()));

const record = (
  runtime: Runtime,
  { nodeFlags }: BenchOptions,
  loadAverage: number,
  measurements: Measurement[],
): void => {
  const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8' }).trim();
  const name = writeResult(runtime.label, {
    date: new Date().toISOString().slice(0, 10),
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
    if (runtime !== undefined && options.isWorthKeeping) record(runtime, options, loadAverage, measurements);
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
