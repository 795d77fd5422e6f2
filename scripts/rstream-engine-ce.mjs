#!/usr/bin/env -S node --max-semi-space-size=2
/**
 * The `rstream-engine-ce` command of the package: runs the source through tsx.
 *
 * Why the flag: bulk traffic makes a small buffer of every TLS record, and with V8's default young generation on Node 26 those cause a
 * full collection per 64 MiB, a fifth of the engine's CPU. docs/benchmarks.md has the figures.
 */
import { register } from 'tsx/esm/api';

// A checkout after a pull: its page is older than its source. Whoever cannot write there serves the one there is.
const [command = 'serve'] = process.argv.slice(2);
if (['serve', 'quickstart', '--config', '-c'].includes(command)) {
  const { buildPage, isPageBuilt } = await import('./build-page.mjs');
  if (!isPageBuilt())
    await buildPage().catch((error) => console.error(`admin page: not built: ${error.message}`));
}

register();
await import('../src/main.ts');
