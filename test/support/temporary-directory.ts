/** A directory for one test, gone when it ends. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { atEnd } from './at-end.ts';

export const makeTemporaryDirectory = (t: TestContext): string => {
  const directory = mkdtempSync(join(tmpdir(), 'rstream-engine-ce-test-'));
  atEnd(t, () => rmSync(directory, { recursive: true, force: true }));
  return directory;
};
