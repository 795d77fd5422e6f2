/**
 * Makes sure that better-sqlite3's addon loads on the Node that runs this; called by npm after every install.
 *
 * Why not better-sqlite3's own install script (package.json `allowScripts` turns it off): where neither its prebuilt
 * download nor the Node headers can be fetched, that script fails and the whole install with it. This one tries, in order:
 * an addon that already loads, the prebuilt download, a build with the headers that lie beside the running Node, and a build
 * with headers that node-gyp downloads. It says what it does and fails with one sentence.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const require = createRequire(join(root, 'package.json'));
const packageDir = dirname(require.resolve('better-sqlite3/package.json'));

// A separate process each time: a failed dlopen may not be tried again in the same one.
const loads = () =>
  spawnSync(process.execPath, ['-e', "new (require('better-sqlite3'))(':memory:').close()"], { cwd: root })
    .status === 0;

const run = (title, command, args) => {
  console.log(`better-sqlite3: ${title}`);
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: packageDir, encoding: 'utf8' });
  if (status !== 0)
    console.log(
      `better-sqlite3: that failed\n${`${stdout}\n${stderr}`.trim().split('\n').slice(-12).join('\n')}`,
    );
  return status === 0 && loads();
};

const nodePrefix = dirname(dirname(process.execPath));
const hasHeaders = existsSync(join(nodePrefix, 'include/node/node_version.h'));
// npm tells its scripts where its own node-gyp lies; outside npm the one on the PATH will do.
const nodeGyp = process.env.npm_config_node_gyp;
const gyp = (title, extra) =>
  nodeGyp
    ? run(title, process.execPath, [nodeGyp, 'rebuild', '--release', ...extra])
    : run(title, 'node-gyp', ['rebuild', '--release', ...extra]);

const prebuilt = () => {
  const bin = createRequire(join(packageDir, 'package.json')).resolve('prebuild-install/bin.js');
  return run('fetching the prebuilt addon', process.execPath, [bin]);
};

const ready =
  loads() ||
  prebuilt() ||
  (hasHeaders &&
    gyp(`building with the headers in ${nodePrefix} (about two minutes)`, [`--nodedir=${nodePrefix}`])) ||
  gyp('building with downloaded headers (about two minutes)', []);

if (!ready) {
  console.error(
    'better-sqlite3 could not be installed: it needs either its prebuilt download or a C++ compiler, make, Python 3 and the Node headers.',
  );
  process.exit(1);
}
