/**
 * What the inspector keeps: one ring of captures for each tunnel, and one bound on the memory of all of them.
 *
 * Flow: inspector.ts opens a ring for a tunnel and adds to it; each capture asks here for the memory that it wants to fill.
 * Invariant: whoever is oldest makes room, also while it is being filled: then it is over, and holds nothing any more.
 * Limits: countMax for each ring, bytesMax for all of them.
 */
import type { Capture } from './captured-exchange.ts';

/** The captures of one tunnel. */
export interface CaptureRing {
  /** By id, the oldest first. */
  readonly captures: Map<string, Capture>;
  /** How many have made room. */
  droppedCount: number;
}

export const createCaptureRings = ({ countMax, bytesMax }: { countMax: number; bytesMax: number }) => {
  // The oldest first.
  const ringOf = new Map<Capture, CaptureRing>();
  let heldBytes = 0;

  const drop = (capture: Capture, ring: CaptureRing) => {
    capture.finish('unwatched');
    ringOf.delete(capture);
    ring.captures.delete(capture.id);
    heldBytes -= capture.heldBytes;
  };

  const yieldTo = (capture: Capture): boolean => {
    for (const [oldest, ring] of ringOf) {
      if (oldest === capture) continue;
      drop(oldest, ring);
      ring.droppedCount += 1;
      return true;
    }
    return false;
  };

  /** Whether a capture may take so much more memory. */
  const reserve = (capture: Capture, bytes: number): boolean => {
    if (!ringOf.has(capture)) return false;
    while (heldBytes + bytes > bytesMax) if (!yieldTo(capture)) return false;
    heldBytes += bytes;
    capture.heldBytes += bytes;
    return true;
  };

  return {
    open: (): CaptureRing => ({ captures: new Map(), droppedCount: 0 }),

    add(ring: CaptureRing, capture: Capture): void {
      ring.captures.set(capture.id, capture);
      ringOf.set(capture, ring);
      reserve(capture, capture.headBytes);
      const [oldest] = ring.captures.values();
      if (!oldest || ring.captures.size <= countMax) return;
      drop(oldest, ring);
      ring.droppedCount += 1;
    },

    reserve,

    clear(ring: CaptureRing): void {
      for (const capture of [...ring.captures.values()]) drop(capture, ring);
    },

    /** Memory of all rings; at most bytesMax. */
    get heldBytes(): number {
      return heldBytes;
    },
  };
};
