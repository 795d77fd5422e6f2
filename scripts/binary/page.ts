/** The admin page inside the binary: which assets it needs, and what stands in for src/page-files.ts there. */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Plugin } from 'esbuild';
import { PAGE_INDEX, PAGE_PREFIX } from './page-files.ts';
import { ROOT, run } from './runtime.ts';

const PAGE = join(ROOT, 'web/dist');

/** Builds the page. */
export const pageAssets = (): Record<string, string> => {
  run(process.execPath, ['scripts/build-page.mjs'], ROOT);
  const names = readdirSync(PAGE);
  const index = join(ROOT, 'dist/work', PAGE_INDEX);
  writeFileSync(index, JSON.stringify(names));
  return {
    [PAGE_INDEX]: index,
    ...Object.fromEntries(names.map((name) => [PAGE_PREFIX + name, join(PAGE, name)])),
  };
};

export const pagePlugin: Plugin = {
  name: 'page',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/page-files\.ts$/ }, () => ({
      path: join(ROOT, 'scripts/binary/page-files.ts'),
    }));
  },
};
