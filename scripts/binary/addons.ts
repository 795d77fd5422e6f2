/** The native addons that the binary carries inside: which file of which package, and who asks for it. */
import { join } from 'node:path';
import type { Plugin } from 'esbuild';
import { type Architecture, type EmbeddedNode, ROOT } from './runtime.ts';

interface Addon {
  /** Its name inside the binary. */
  readonly asset: string;
  /** The package by which its own package looks for it on the disk; the bundle answers in that one's place. */
  readonly finder: string;
  readonly pathFor: (arch: Architecture, node: EmbeddedNode) => string;
}

const ADDONS: readonly Addon[] = [
  {
    asset: 'better_sqlite3.node',
    finder: 'bindings',
    pathFor: (_, { dir }) => join(dir, 'node_modules/better-sqlite3/build/Release/better_sqlite3.node'),
  },
  {
    // Node-API: its prebuilt file is good for every Node.
    asset: 'argon2.node',
    finder: 'node-gyp-build',
    pathFor: (arch) =>
      join(ROOT, `node_modules/argon2/prebuilds/linux-${arch}/argon2.${GLIBC_BUILDS[arch]}.node`),
  },
];

const GLIBC_BUILDS: Readonly<Record<Architecture, string>> = { x64: 'glibc', arm64: 'armv8.glibc' };
const NAMESPACE = 'addon';
const LOADER = join(ROOT, 'scripts/binary/load-addon.ts');

/** Makes the packages of addons load them from inside the binary. */
export const addonPlugin: Plugin = {
  name: 'addons',
  setup(build) {
    for (const { asset, finder } of ADDONS)
      build.onResolve({ filter: new RegExp(`^${finder}$`) }, () => ({ path: asset, namespace: NAMESPACE }));
    build.onLoad({ filter: /./, namespace: NAMESPACE }, ({ path }) => ({
      contents: `const { loadAddon } = require(${JSON.stringify(LOADER)});
        module.exports = () => loadAddon(${JSON.stringify(path)});`,
      resolveDir: ROOT,
    }));
  },
};

/** The assets for those addons that something in the bundle imports. */
export const addonAssets = (
  inputs: readonly string[],
  arch: Architecture,
  node: EmbeddedNode,
): Record<string, string> =>
  Object.fromEntries(
    ADDONS.filter(({ asset }) => inputs.includes(`${NAMESPACE}:${asset}`)).map(({ asset, pathFor }) => [
      asset,
      pathFor(arch, node),
    ]),
  );
