/**
 * The Node that runs the engine under test, and the engine's source as one bundle beside the native addon built for that Node
 * (scripts/binary/runtime.ts).
 *
 * Why a bundle: the measured process must be the engine alone (tsx adds a parent process and a loader). Packages stay outside of it,
 * so `node_modules` lookup finds the cache's own better-sqlite3 first, then the checkout's; the single binary has them inside.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { HOST_ARCHITECTURE, installNode, ROOT } from '../binary/runtime.ts';

/** Where the bench keeps what it can make again; git ignores it. */
export const CACHE_DIR = fileURLToPath(new URL('.cache', import.meta.url));

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
  const { dir, execPath } =
    name === '26'
      ? installNode(HOST_ARCHITECTURE)
      : { dir: join(CACHE_DIR, 'system'), execPath: process.execPath };
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
