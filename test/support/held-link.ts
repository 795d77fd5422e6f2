import type { WatchLink } from '../../src/api/audience.ts';
import type { EventBatch } from '../../src/api/watch-events.ts';

/** A link whose bytes leave when the test says so. */
export const createHeldLink = () => {
  const batches: EventBatch[] = [];
  const leaving: (() => void)[] = [];
  const closing: (() => void)[] = [];
  const held = {
    batches,
    endedBy: undefined as string | undefined,
    keepAliveCount: 0,
    link: {
      send(batch, onLeft) {
        batches.push(batch);
        leaving.push(onLeft);
      },
      keepAlive: () => {
        held.keepAliveCount += 1;
      },
      end: ({ code }) => {
        held.endedBy = code;
      },
      onClosed: (listener) => void closing.push(listener),
    } satisfies WatchLink as WatchLink,
    events: () => batches.flatMap(({ texts }) => texts.map((text) => JSON.parse(String(text)))),
    types: () => held.events().map(({ type }) => type),
    /** Everything that was sent has left. */
    drain: () => {
      for (const call of leaving.splice(0)) call();
    },
    close: () => {
      for (const call of closing) call();
    },
  };
  return held;
};
