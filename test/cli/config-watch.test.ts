import assert from 'node:assert/strict';
import { renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { watchConfig } from '../../src/cli/config-watch.ts';
import { createFakeClock } from '../support/clock.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const start = (t: TestContext) => {
  const dir = makeTemporaryDirectory(t);
  const path = join(dir, 'config.yaml');
  const replace = (text: string) => {
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  };
  writeFileSync(path, 'first');
  const clock = createFakeClock();
  let toldCount = 0;
  const watch = watchConfig(clock, path, () => {
    toldCount += 1;
  });
  t.after(() => watch.stop());
  /** How often it told in so many looks. */
  const looks = (count: number) => {
    const before = toldCount;
    for (let look = 0; look < count; look += 1) clock.advance(LIMITS.configCheckMs);
    return toldCount - before;
  };
  return { dir, path, replace, clock, watch, looks };
};

test('a file that stays as it is is not told of', (t) => {
  assert.equal(start(t).looks(5), 0);
});

test('a file that was replaced or written to is told of once', (t) => {
  const { path, replace, looks } = start(t);
  replace('other');
  assert.equal(looks(5), 1);
  writeFileSync(path, 'in place, and longer');
  assert.equal(looks(5), 1);
});

test('a link that leads to another file is another file', (t) => {
  const { dir, path, looks } = start(t);
  writeFileSync(join(dir, 'target'), 'first');
  symlinkSync('target', join(dir, 'link'));
  renameSync(join(dir, 'link'), path);
  assert.equal(looks(5), 1);
});

test('a file that is still being written is waited for', (t) => {
  const { path, looks } = start(t);
  for (const text of ['o', 'ot', 'oth']) {
    writeFileSync(path, text);
    assert.equal(looks(1), 0);
  }
  assert.equal(looks(5), 1);
});

test('a file that is missing is not told of, and the one that takes its place is', (t) => {
  const { path, looks } = start(t);
  rmSync(path);
  assert.equal(looks(5), 0);
  writeFileSync(path, 'other');
  assert.equal(looks(5), 1);
});

test('a file that was read otherwise is not told of', (t) => {
  const { replace, watch, looks } = start(t);
  replace('other');
  watch.markRead();
  assert.equal(looks(5), 0);
});

test('no timer is left when it was stopped', (t) => {
  const { clock, watch } = start(t);
  watch.stop();
  assert.equal(clock.pendingCount, 0);
});
