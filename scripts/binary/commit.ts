/** The commit that a binary is built from, in the place of src/commit.ts. */
import type { Plugin } from 'esbuild';
import { readCommit } from '../../src/commit.ts';

export const commitPlugin: Plugin = {
  name: 'commit',
  setup(build) {
    const answer = JSON.stringify(readCommit());
    build.onResolve({ filter: /\/commit\.ts$/ }, () => ({ path: 'commit', namespace: 'commit' }));
    build.onLoad({ filter: /./, namespace: 'commit' }, () => ({
      contents: `export const readCommit = () => ${answer};`,
    }));
  },
};
