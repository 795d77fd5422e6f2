/**
 * The Node that the single binary embeds, with the native addons built by its headers.
 *
 * Flow: build.ts embeds it; the bench runs the engine on it.
 * Why npm's package of Node: it carries executable and headers, comes from where all other packages come from, and needs no download
 * of its own. Why built from source: a prebuilt addon is of another Node.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CACHE_DIR = fileURLToPath(new URL('.cache', import.meta.url));
export const NODE_VERSION = '26.10.0';

/** The architectures of Linux that a binary is made for. */
export const ARCHITECTURES = ['x64', 'arm64'] as const;
export type Architecture = (typeof ARCHITECTURES)[number];
export const HOST_ARCHITECTURE: Architecture = process.arch === 'arm64' ? 'arm64' : 'x64';

/** An installed Node. */
export interface EmbeddedNode {
  /** Holds node_modules, in which better-sqlite3 is the one built for this Node. */
  readonly dir: string;
  readonly execPath: string;
  readonly licensePath: string;
}

/** Runs a program to its end. Throws with its last words. */
export const run = (command: string, args: readonly string[], cwd: string, env = process.env): string => {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, env, encoding: 'utf8' });
  if (error) throw error;
  if (status !== 0)
    throw new Error(`${command} ${args.join(' ')} failed:\n${`${stdout}\n${stderr}`.trim().slice(-2000)}`);
  return stdout;
};

const GNU_NAMES: Readonly<Record<Architecture, string>> = { x64: 'x86_64', arm64: 'aarch64' };

/** A tool of the GNU tool chain for an architecture: this machine's own, or Debian's cross tool. */
export const toolFor = (tool: string, arch: Architecture): string =>
  arch === HOST_ARCHITECTURE ? tool : `${GNU_NAMES[arch]}-linux-gnu-${tool}`;

/** Says what is missing before anything is built. @throws a sentence */
export const requireTools = (arch: Architecture): void => {
  const missing = ['gcc', 'g++', 'strip']
    .map((tool) => toolFor(tool, arch))
    .filter((tool) => spawnSync(tool, ['--version'], { stdio: 'ignore' }).error);
  if (missing.length === 0) return;
  const packages =
    arch === HOST_ARCHITECTURE ? 'g++ and binutils' : `g++-${GNU_NAMES[arch].replace('_', '-')}-linux-gnu`;
  throw new Error(
    `a binary for ${arch} takes ${missing.join(', ')} to build SQLite: install ${packages} (Debian), or build on such a machine`,
  );
};

/**
 * Installs Node for an architecture below `.cache` and builds better-sqlite3 for it: two minutes the first time, nothing later.
 * For another architecture than this machine's it takes Debian's cross compiler (g++-aarch64-linux-gnu).
 */
export const installNode = (arch: Architecture): EmbeddedNode => {
  const name = `node-linux-${arch}`;
  const dir = join(CACHE_DIR, name);
  const nodeDir = join(dir, 'node_modules', name);
  const installed = { dir, execPath: join(nodeDir, 'bin/node'), licensePath: join(nodeDir, 'LICENSE') };
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'));
  const sqliteVersion: string = lock.packages['node_modules/better-sqlite3'].version;
  const manifest = JSON.stringify({
    private: true,
    dependencies: { [name]: NODE_VERSION, 'better-sqlite3': sqliteVersion },
  });
  // Written last: where it is, the rest is whole.
  const stamp = join(dir, 'installed.json');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === manifest) return installed;

  console.error(`installing Node ${NODE_VERSION} for ${arch} and building better-sqlite3 for it (once)`);
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'package.json'), manifest);
  // npm refuses packages of another processor.
  const forThere = arch === HOST_ARCHITECTURE ? [] : ['--force'];
  run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', ...forThere], dir);
  buildAddon(join(dir, 'node_modules/better-sqlite3'), nodeDir, arch);
  writeFileSync(stamp, manifest);
  return installed;
};

const buildAddon = (packageDir: string, nodeDir: string, arch: Architecture): void => {
  // npm tells its scripts where its own node-gyp lies.
  const nodeGyp = process.env.npm_config_node_gyp;
  if (nodeGyp === undefined) throw new Error('run this through npm, whose node-gyp builds the addon');
  const tools = arch === HOST_ARCHITECTURE ? {} : { CC: toolFor('gcc', arch), CXX: toolFor('g++', arch) };
  // By the environment: to node-gyp it counts more than its arguments, and npm may have set it already.
  const target = { npm_config_nodedir: nodeDir, npm_config_arch: arch };
  run(process.execPath, [nodeGyp, 'rebuild', '--release'], packageDir, {
    ...process.env,
    ...tools,
    ...target,
  });
};
