/**
 * The commit of a checkout, read from git's own files as no program is run for it. The binary knows the one that it was built from:
 * scripts/binary/commit.ts answers in this module's place there.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SHOWN_CHARS = 12;

/** Its first 12 characters; undefined where there is no checkout. */
export const readCommit = (root = ROOT): string | undefined => {
  try {
    const dir = gitDirOf(join(root, '.git'));
    const head = readFileSync(join(dir, 'HEAD'), 'utf8').trim();
    const [, ref] = /^ref: (.+)$/.exec(head) ?? [];
    const commit = ref === undefined ? head : commitOf(dir, ref);
    return commit && /^[0-9a-f]{40,64}$/.test(commit) ? commit.slice(0, SHOWN_CHARS) : undefined;
  } catch {
    // No checkout, or one of a shape that this does not know.
    return undefined;
  }
};

/** A worktree has a file with the way to its directory. */
const gitDirOf = (path: string): string => {
  if (statSync(path).isDirectory()) return path;
  return resolve(
    path,
    '..',
    readFileSync(path, 'utf8')
      .replace(/^gitdir: /, '')
      .trim(),
  );
};

/** gitrepository-layout(5): branches are in the directory that all worktrees share, as a file each or packed in one. */
const commitOf = (dir: string, ref: string): string | undefined => {
  const pointer = join(dir, 'commondir');
  const shared = existsSync(pointer) ? resolve(dir, readFileSync(pointer, 'utf8').trim()) : dir;
  const loose = join(shared, ref);
  if (existsSync(loose)) return readFileSync(loose, 'utf8').trim();
  const packed = readFileSync(join(shared, 'packed-refs'), 'utf8').split('\n');
  return packed.find((line) => line.endsWith(` ${ref}`))?.split(' ')[0];
};
