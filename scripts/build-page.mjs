/**
 * Bundles the admin page, web/src into web/dist; `npm run build` and every install call it, and so does the start of an engine from a
 * checkout whose page is missing or older than its source.
 *
 * Why plain JavaScript: npm calls it right after an install, before anything else has run. It takes some 100 ms.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const source = join(root, 'web/src');
const target = join(root, 'web/dist');

const newestIn = (directory) => {
  try {
    return Math.max(
      ...readdirSync(directory, { recursive: true }).map(
        (name) => statSync(join(directory, String(name))).mtimeMs,
      ),
    );
  } catch {
    return 0;
  }
};

/** Whether web/dist is there and not older than web/src. */
export const isPageBuilt = () => newestIn(target) >= newestIn(source);

/** Builds the page; returns the bytes of each file. */
export const buildPage = async () => {
  const { build } = await import('esbuild');
  const { outputFiles } = await build({
    entryPoints: [join(source, 'main.tsx'), join(source, 'style.css')],
    outdir: target,
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'none',
    logLevel: 'silent',
  });
  const files = new Map();
  let index = readFileSync(join(source, 'index.html'), 'utf8');
  for (const { path, contents } of outputFiles) {
    const [stem, extension] = path.endsWith('.css') ? ['style', 'css'] : ['main', 'js'];
    const name = `${stem}-${createHash('sha256').update(contents).digest('hex').slice(0, 12)}.${extension}`;
    index = index.replaceAll(`${stem}.${extension}`, name);
    files.set(name, Buffer.from(contents));
  }
  files.set('icon.svg', readFileSync(join(source, 'icon.svg')));
  files.set('index.html', Buffer.from(index));

  // Beside and then in its place: an engine that starts meanwhile reads one or the other.
  const aside = `${target}.${process.pid}`;
  mkdirSync(aside, { recursive: true });
  for (const [name, content] of files) writeFileSync(join(aside, name), content);
  rmSync(target, { recursive: true, force: true });
  try {
    renameSync(aside, target);
  } catch {
    // Somebody else has built the same meanwhile.
    rmSync(aside, { recursive: true, force: true });
  }
  return files;
};

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    await import('esbuild');
    await import('preact');
  } catch {
    // An install without development dependencies: the engine and its Admin API run without the page.
    console.log('admin page: not built, as esbuild or preact is not installed');
    process.exit(0);
  }
  const files = await buildPage();
  console.log(`admin page: ${[...files.keys()].join(', ')}`);
}
