/** The licences of everything that the binary is made of, as one text. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type EmbeddedNode, NODE_VERSION, ROOT } from './runtime.ts';

const LICENSE_FILE = /^(licen[cs]e|copying|notice)/i;

/**
 * @param inputs paths of all files in the bundle, as esbuild names them
 * @throws when a package in it names no licence
 */
export const licensesText = (inputs: readonly string[], { licensePath }: EmbeddedNode): string => {
  const dirs = new Set(inputs.flatMap((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path) ?? []));
  const sections = [
    { title: 'rstream-engine-ce', text: readFileSync(join(ROOT, 'LICENSE'), 'utf8') },
    ...[...dirs].sort().map(licenseOf),
    { title: `Node.js ${NODE_VERSION}`, text: readFileSync(licensePath, 'utf8') },
  ];
  return sections
    .map(({ title, text }) => `${title}\n${'='.repeat(title.length)}\n\n${text.trim()}\n`)
    .join('\n\n');
};

const licenseOf = (dir: string): { title: string; text: string } => {
  const path = join(ROOT, dir);
  const { name, version, license, repository } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'));
  if (!license) throw new Error(`${name} names no licence`);
  const texts = readdirSync(path)
    .filter((file) => LICENSE_FILE.test(file))
    .map((file) => readFileSync(join(path, file), 'utf8').trim());
  const source = repository?.url ?? repository ?? 'its registry';
  const pointer = `${license}; the package carries no text of it. Its source: ${source}`;
  return { title: `${name} ${version} (${license})`, text: texts.join('\n\n') || pointer };
};
