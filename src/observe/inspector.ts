/**
 * Captures whole exchanges of the tunnels that an admin asks it to, for a bounded time and in bounded memory.
 *
 * Flow: the Admin API starts and stops; the edge asks `taps` for each exchange and tells what passes; the Admin API reads what is there.
 * Invariant: in memory only, gone with the engine, with the tunnel, when it is stopped, and an hour after its time. Nothing is captured
 * before it is started or after its time, but the replays that an admin asks for. While nothing is inspected, `taps.isOn` is all that
 * is read of it.
 * Limits: exchangesMax for each tunnel, memoryBytesMax for all of them (the oldest of all make room), inspectionsMax, inspectionMsMax,
 * inspectionKeptMs.
 */
import { fail } from '../base/errors.ts';
import { newCaptureId, type TunnelId } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock, Timer } from '../base/time.ts';
import { type CaptureRing, createCaptureRings } from './capture-rings.ts';
import {
  Capture,
  type CapturedExchange,
  type CaptureNeeds,
  type SeenExchange,
  tapOf,
} from './captured-exchange.ts';
import { createRedaction } from './redaction.ts';

export interface InspectorOptions {
  /** Exchanges that are kept of one tunnel (`inspector.exchanges_max`). */
  readonly exchangesMax: number;
  /** Bytes that are kept of one body (`inspector.body_bytes_max`). */
  readonly bodyBytesMax: number;
  /** Bytes of everything that is kept (`inspector.memory_bytes_max`). */
  readonly memoryBytesMax: number;
  /** Headers whose values are not kept, besides those that never are (`inspector.redact_headers`). */
  readonly redactHeaders: readonly string[];
}

export interface InspectorNeeds {
  readonly clock: Clock;
  readonly registry: { onClosed(listener: (tunnel: { readonly id: TunnelId }) => void): () => void };
}

/** How the inspection of a tunnel stands; times in milliseconds since 1970. */
export interface InspectionState {
  /** Ended: nothing more is captured, and what was can be read for a while. */
  readonly kind: 'capturing' | 'ended';
  readonly startedAt: number;
  readonly endsAt: number;
  /** Exchanges that can be read. */
  readonly count: number;
  /** Exchanges that have made room for others. */
  readonly droppedCount: number;
  /** Memory that they take. */
  readonly bytes: number;
}

interface Inspection {
  readonly ring: CaptureRing;
  readonly startedAt: number;
  readonly endsAt: number;
  isEnded: boolean;
  timer: Timer;
}

export type Inspector = ReturnType<typeof createInspector>;

export const createInspector = ({ clock, registry }: InspectorNeeds, options: InspectorOptions) => {
  const inspections = new Map<TunnelId, Inspection>();
  const rings = createCaptureRings({ countMax: options.exchangesMax, bytesMax: options.memoryBytesMax });
  const needs: CaptureNeeds = {
    elapsed: () => clock.elapsed(),
    redact: createRedaction(options.redactHeaders),
    reserve: rings.reserve,
  };
  let number = 0;

  const capture = (ring: CaptureRing, seen: SeenExchange): Capture => {
    const as = seen.connection.replay?.as;
    // A replay may be tried a second time on a fresh connection.
    const id = as === undefined || ring.captures.has(as) ? newCaptureId() : as;
    number += 1;
    const startedAt = Math.round(clock.now() - seen.waitMs);
    const made = new Capture(needs, { id, number, startedAt }, seen, options.bodyBytesMax);
    rings.add(ring, made);
    return made;
  };

  const taps = {
    isOn: false,
    open(tunnel: { readonly id: TunnelId }, seen: SeenExchange) {
      const inspection = inspections.get(tunnel.id);
      if (!inspection || (inspection.isEnded && !seen.connection.replay)) return undefined;
      return tapOf(capture(inspection.ring, seen));
    },
  };

  const forget = (tunnelId: TunnelId): boolean => {
    const inspection = inspections.get(tunnelId);
    if (!inspection) return false;
    inspection.timer.cancel();
    rings.clear(inspection.ring);
    inspections.delete(tunnelId);
    taps.isOn = inspections.size > 0;
    return true;
  };

  const end = (tunnelId: TunnelId, inspection: Inspection) => {
    inspection.isEnded = true;
    for (const each of inspection.ring.captures.values()) each.finish('unwatched');
    inspection.timer = clock.after(LIMITS.inspectionKeptMs, () => forget(tunnelId));
  };

  const unfollow = registry.onClosed(({ id }) => forget(id));

  const stateOf = ({ ring, startedAt, endsAt, isEnded }: Inspection): InspectionState => {
    const { captures, droppedCount } = ring;
    let bytes = 0;
    for (const { heldBytes } of captures.values()) bytes += heldBytes;
    const kind = isEnded ? 'ended' : 'capturing';
    return { kind, startedAt, endsAt, count: captures.size, droppedCount, bytes };
  };

  const ringOf = (tunnelId: TunnelId): CaptureRing => {
    const inspection = inspections.get(tunnelId);
    if (!inspection) throw fail('NOT_INSPECTED');
    return inspection.ring;
  };

  return {
    /** For the edge. */
    taps,

    /**
     * Captures what runs through a tunnel from now on; what is there already stays.
     * @param ms for how long, at most inspectionMsMax
     * @throws ADMIN_INVALID when too many tunnels are inspected
     */
    start(tunnelId: TunnelId, ms: number): InspectionState {
      const before = inspections.get(tunnelId);
      if (!before && inspections.size >= LIMITS.inspectionsMax)
        throw fail('ADMIN_INVALID', { problem: `${LIMITS.inspectionsMax} tunnels are inspected already` });
      before?.timer.cancel();
      const lastsMs = Math.min(ms, LIMITS.inspectionMsMax);
      const inspection: Inspection = {
        ring: before?.ring ?? rings.open(),
        startedAt: clock.now(),
        endsAt: clock.now() + lastsMs,
        isEnded: false,
        timer: clock.after(lastsMs, () => end(tunnelId, inspection)),
      };
      inspections.set(tunnelId, inspection);
      taps.isOn = true;
      return stateOf(inspection);
    },

    /** Ends it and forgets all that it has captured. False when there was none. */
    stop: forget,

    /** Undefined when there is none. */
    state(tunnelId: TunnelId): InspectionState | undefined {
      const inspection = inspections.get(tunnelId);
      return inspection && stateOf(inspection);
    },

    /** The newest first. Throws NOT_INSPECTED. */
    list: (tunnelId: TunnelId): readonly CapturedExchange[] =>
      [...ringOf(tunnelId).captures.values()].reverse(),

    /** Throws NOT_INSPECTED, EXCHANGE_UNKNOWN. */
    find(tunnelId: TunnelId, id: string): CapturedExchange {
      const found = ringOf(tunnelId).captures.get(id);
      if (!found) throw fail('EXCHANGE_UNKNOWN');
      return found;
    },

    /** Memory that everything takes; at most memoryBytesMax. */
    get heldBytes(): number {
      return rings.heldBytes;
    },

    /** Forgets everything. */
    close(): void {
      unfollow();
      for (const tunnelId of [...inspections.keys()]) forget(tunnelId);
    },
  };
};
