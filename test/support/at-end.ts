/**
 * What is cleared away when a test ends, the newest first.
 *
 * Why not `t.after` alone: node:test runs its hooks in the order in which they were set, so a directory would be removed while the process that
 * writes into it still runs, and where one hook fails the rest never run.
 */
import type { TestContext } from 'node:test';

type End = () => unknown;

const endsOf = new WeakMap<TestContext, End[]>();

/** Has `end` run when the test has ended, before what was handed in earlier; it may give a promise. */
export const atEnd = (t: TestContext, end: End): void => {
  const known = endsOf.get(t);
  if (known) return void known.push(end);
  const ends = [end];
  endsOf.set(t, ends);
  t.after(async () => {
    const faults: unknown[] = [];
    for (const each of ends.reverse())
      try {
        await each();
      } catch (fault) {
        faults.push(fault);
      }
    if (faults.length > 0) throw faults[0];
  });
};
