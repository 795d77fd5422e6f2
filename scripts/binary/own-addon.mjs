/**
 * Has tests on the embedded Node load the better-sqlite3 that was built for it and lies beside it (runtime.ts); everything else is the
 * checkout's.
 *
 * Flow: run-tests.ts has that Node import it before the tests. Nothing else does: the binary carries the addon inside.
 */
import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

// Node is <directory>/node_modules/<package>/bin/node.
const parentURL = pathToFileURL(join(process.execPath, '../../../../package.json')).href;

registerHooks({
  resolve: (specifier, context, next) =>
    next(specifier, specifier === 'better-sqlite3' ? { ...context, parentURL } : context),
});
