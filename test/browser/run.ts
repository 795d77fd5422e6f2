/**
 * `npm run test:browser`: builds the page and drives it with Debian's Chromium; needs /usr/bin/chromium.
 *
 * `npm run test:browser -- --pictures` also writes the pictures of docs/admin-page.md; other arguments choose test files by a part of their names.
 */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildPage } from '../../scripts/build-page.mjs';

const PICTURES = 'pictures.browser.ts';
const isWithPictures = process.argv.includes('--pictures');
const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));

await buildPage();
const directory = fileURLToPath(new URL('.', import.meta.url));
const files = readdirSync(directory)
  .filter((name) => name.endsWith('.browser.ts'))
  .filter((name) => isWithPictures || name !== PICTURES)
  .filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)))
  .map((name) => join(directory, name));
const flags = ['--test', '--test-timeout=240000', '--test-concurrency=1'];
const child = spawn(process.execPath, ['--import', 'tsx', ...flags, ...files], { stdio: 'inherit' });
child.on('exit', (code) => process.exit(code ?? 1));
