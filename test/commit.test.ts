/** Which commit a checkout is of, by git's own files. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { readCommit } from '../src/commit.ts';
import { makeTemporaryDirectory } from './support/temporary-directory.ts';

const COMMIT = '0123456789abcdef0123456789abcdef01234567';
const SHOWN = '0123456789ab';

/** A directory with these files. */
const makeFiles = (t: TestContext, files: Readonly<Record<string, string>>): string => {
  const root = makeTemporaryDirectory(t);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), `${text}\n`);
  }
  return root;
};

for (const [shape, files] of Object.entries({
  'a branch': { '.git/HEAD': 'ref: refs/heads/main', '.git/refs/heads/main': COMMIT },
  'a packed branch': {
    '.git/HEAD': 'ref: refs/heads/main',
    '.git/packed-refs': `# pack-refs with: peeled\n${'f'.repeat(40)} refs/heads/other/main\n${COMMIT} refs/heads/main`,
  },
  'no branch': { '.git/HEAD': COMMIT },
}))
  test(`is known of a checkout of ${shape}`, (t) => assert.equal(readCommit(makeFiles(t, files)), SHOWN));

test('is known in a worktree', (t) => {
  const root = makeFiles(t, {
    'main/.git/refs/heads/topic': COMMIT,
    'main/.git/worktrees/topic/HEAD': 'ref: refs/heads/topic',
    'main/.git/worktrees/topic/commondir': '../..',
    'topic/.git': 'gitdir: ../main/.git/worktrees/topic',
  });
  assert.equal(readCommit(join(root, 'topic')), SHOWN);
});

test('is none without a checkout, or with one that is not whole', (t) => {
  assert.equal(readCommit(makeTemporaryDirectory(t)), undefined);
  assert.equal(readCommit(makeFiles(t, { '.git/HEAD': 'ref: refs/heads/main' })), undefined);
  assert.equal(readCommit(makeFiles(t, { '.git/HEAD': 'nonsense' })), undefined);
});
