/**
 * `npm run build [-- --arch x64|arm64]`: the engine as one executable, dist/rstream-engine-ce (dist/rstream-engine-ce-arm64 for another
 * architecture), with its bill of materials and SHA-256 sums.
 *
 * Flow: install Node with the addons built for it, bundle the source into one script, have that Node inject script and assets into a copy
 * of itself.
 * Invariant: the binary runs no code from the disk but its own addons: its `require` knows Node's built-in modules only.
 */
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { addonAssets, addonPlugin } from './addons.ts';
import { commitPlugin } from './commit.ts';
import { licensesText } from './licenses.ts';
import { pageAssets, pagePlugin } from './page.ts';
import {
  ARCHITECTURES,
  type Architecture,
  HOST_ARCHITECTURE,
  installNode,
  NODE_VERSION,
  ROOT,
  requireTools,
  run,
  toolFor,
} from './runtime.ts';

const DIST = join(ROOT, 'dist');
const WORK = join(DIST, 'work');
const NAME = 'rstream-engine-ce';
// The flag that the package starts the engine with: docs/benchmarks.md has the figures.
const NODE_FLAGS = ['--max-semi-space-size=2'];

const bundle = async (outfile: string): Promise<string[]> => {
  const { metafile } = await build({
    entryPoints: [join(ROOT, 'src/main.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    // CommonJS: to import a built-in module as ESM evaluates all of its lazy parts, undici among them, which doubles the start.
    format: 'cjs',
    target: `node${NODE_VERSION.split('.')[0]}`,
    // Names of errors and classes are in logs.
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    plugins: [addonPlugin, commitPlugin, pagePlugin],
    metafile: true,
    absWorkingDir: ROOT,
    logLevel: 'warning',
  });
  return Object.keys(metafile.inputs);
};

const makeExecutable = async (arch: Architecture, output: string): Promise<void> => {
  const node = installNode(arch);
  const executable = join(WORK, 'node');
  copyFileSync(node.execPath, executable);
  // A fifth of its size is symbols for debuggers.
  run(toolFor('strip', arch), ['--strip-all', executable], WORK);
  const main = join(WORK, 'engine.cjs');
  const licenses = join(WORK, 'licenses.txt');
  const inputs = await bundle(main);
  writeFileSync(licenses, licensesText(inputs, node));
  const settings = {
    // Its name alone: it is in every stack trace.
    main: basename(main),
    mainFormat: 'commonjs',
    executable,
    output,
    disableExperimentalSEAWarning: true,
    // V8 takes compiled code only from the same build of itself.
    useCodeCache: arch === HOST_ARCHITECTURE,
    execArgv: NODE_FLAGS,
    assets: { 'licenses.txt': licenses, ...pageAssets(), ...addonAssets(inputs, arch, node) },
  };
  const config = join(WORK, 'sea.json');
  writeFileSync(config, JSON.stringify(settings, null, 2));
  // Only a Node of the same version makes what the embedded one reads.
  run(installNode(HOST_ARCHITECTURE).execPath, ['--build-sea', config], WORK);
};

/** What is in the binary, in the format of CycloneDX: npm's list, and Node itself. */
const billOfMaterials = (): string => {
  const args = ['sbom', '--sbom-format', 'cyclonedx', '--omit', 'dev', '--package-lock-only'];
  const bill = JSON.parse(run('npm', args, ROOT));
  bill.components.push({
    type: 'platform',
    name: 'node',
    version: NODE_VERSION,
    purl: `pkg:generic/node@${NODE_VERSION}`,
  });
  return `${JSON.stringify(bill, null, 2)}\n`;
};

const sumOf = (path: string): string =>
  `${createHash('sha256').update(readFileSync(path)).digest('hex')}  ${relative(DIST, path)}\n`;

const main = async (): Promise<void> => {
  const { values } = parseArgs({ options: { arch: { type: 'string', default: HOST_ARCHITECTURE } } });
  const arch = ARCHITECTURES.find((known) => known === values.arch);
  if (process.platform !== 'linux' || arch === undefined)
    throw new Error(`binaries are made on Linux, with --arch ${ARCHITECTURES.join(' or ')}`);
  const output = join(DIST, arch === 'x64' ? NAME : `${NAME}-${arch}`);
  requireTools(arch);
  mkdirSync(WORK, { recursive: true });
  try {
    await makeExecutable(arch, output);
  } finally {
    rmSync(WORK, { recursive: true, force: true });
  }
  const bill = `${output}.cdx.json`;
  writeFileSync(bill, billOfMaterials());
  writeFileSync(`${output}.sha256`, [output, bill].map(sumOf).join(''));
  console.log(`made ${relative(process.cwd(), output)}`);
};

main().catch((error: Error) => {
  console.error(`build: ${error.message}`);
  process.exitCode = 1;
});
