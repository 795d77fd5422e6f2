/** Waits for something that tells nobody when it happens. The tests' only sleep, and it has a deadline. */
import { setTimeout as sleep } from 'node:timers/promises';

const DEADLINE_MS = 5_000;

/**
 * @param claim looked at until it holds
 * @param what it says, for the failure
 */
export const eventually = async (claim: () => boolean, what: string): Promise<void> => {
  const endsAt = performance.now() + DEADLINE_MS;
  while (!claim()) {
    if (performance.now() > endsAt) throw new Error(`still not so after ${DEADLINE_MS} ms: ${what}`);
    await sleep(2);
  }
};
