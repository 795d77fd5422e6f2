/** `npm run test:browser`: builds the page and drives it with Debian's Chromium; needs /usr/bin/chromium. */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildPage } from '../../scripts/build-page.mjs';

await buildPage();
const directory = fileURLToPath(new URL('.', import.meta.url));
const files = readdirSync(directory)
  .filter((name) => name.endsWith('.browser.ts'))
  .map((name) => join(directory, name));
const flags = ['--test', '--test-timeout=240000', '--test-concurrency=1'];
const child = spawn(process.execPath, ['--import', 'tsx', ...flags, ...files], { stdio: 'inherit' });
child.on('exit', (code) => process.exit(code ?? 1));
