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
import { Capture, type CapturedExchange, type CaptureNeeds, type SeenExchange } from './captured-exchange.ts';
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
  readonly startedAt: number;
  readonly endsAt: number;
  isEnded: boolean;
  timer: Timer;
  droppedCount: number;
  /** The oldest first. */
  readonly captures: Map<string, Capture>;
}

export type Inspector = ReturnType<typeof createInspector>;

export const createInspector = ({ clock, registry }: InspectorNeeds, options: InspectorOptions) => {
  const inspections = new Map<TunnelId, Inspection>();
  // Of all tunnels, the oldest first: who yields when memory runs out.
  const all = new Map<Capture, Inspection>();
  let heldBytes = 0;
  let number = 0;

  const drop = (capture: Capture, inspection: Inspection) => {
    capture.unwatch();
    all.delete(capture);
    inspection.captures.delete(capture.id);
    heldBytes -= capture.heldBytes;
  };

  const dropOldest = (but: Capture): boolean => {
    for (const [capture, inspection] of all) {
      if (capture === but) continue;
      drop(capture, inspection);
      inspection.droppedCount += 1;
      return true;
    }
    return false;
  };

  const needs: CaptureNeeds = {
    elapsed: () => clock.elapsed(),
    redact: createRedaction(options.redactHeaders),
    reserve(capture, bytes) {
      if (!all.has(capture)) return false;
      while (heldBytes + bytes > options.memoryBytesMax) if (!dropOldest(capture)) return false;
      heldBytes += bytes;
      capture.heldBytes += bytes;
      return true;
    },
  };

  const capture = (inspection: Inspection, seen: SeenExchange): Capture => {
    const { captures } = inspection;
    const as = seen.connection.replay?.as;
    const id = as === undefined || captures.has(as) ? newCaptureId() : as;
    number += 1;
    const startedAt = Math.round(clock.now() - seen.waitMs);
    const made = new Capture(needs, { id, number, startedAt }, seen, options.bodyBytesMax);
    captures.set(id, made);
    all.set(made, inspection);
    needs.reserve(made, made.headBytes);
    const [oldest] = captures.values();
    if (oldest && captures.size > options.exchangesMax) {
      drop(oldest, inspection);
      inspection.droppedCount += 1;
    }
    return made;
  };

  const taps = {
    isOn: false,
    open(tunnel: { readonly id: TunnelId }, seen: SeenExchange) {
      const inspection = inspections.get(tunnel.id);
      if (!inspection || (inspection.isEnded && !seen.connection.replay)) return undefined;
      return capture(inspection, seen).tap;
    },
  };

  const forget = (tunnelId: TunnelId): boolean => {
    const inspection = inspections.get(tunnelId);
    if (!inspection) return false;
    inspection.timer.cancel();
    for (const each of [...inspection.captures.values()]) drop(each, inspection);
    inspections.delete(tunnelId);
    taps.isOn = inspections.size > 0;
    return true;
  };

  const end = (tunnelId: TunnelId, inspection: Inspection) => {
    inspection.isEnded = true;
    for (const each of inspection.captures.values()) each.unwatch();
    inspection.timer = clock.after(LIMITS.inspectionKeptMs, () => forget(tunnelId));
  };

  const unfollow = registry.onClosed(({ id }) => forget(id));

  const stateOf = (inspection: Inspection): InspectionState => {
    let bytes = 0;
    for (const each of inspection.captures.values()) bytes += each.heldBytes;
    const { startedAt, endsAt, droppedCount, captures, isEnded } = inspection;
    return {
      kind: isEnded ? 'ended' : 'capturing',
      startedAt,
      endsAt,
      count: captures.size,
      droppedCount,
      bytes,
    };
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
      before?.timer.cancel();
      if (!before && inspections.size >= LIMITS.inspectionsMax)
        throw fail('ADMIN_INVALID', { problem: `${LIMITS.inspectionsMax} tunnels are inspected already` });
      const lastsMs = Math.min(ms, LIMITS.inspectionMsMax);
      const inspection: Inspection = {
        startedAt: clock.now(),
        endsAt: clock.now() + lastsMs,
        isEnded: false,
        timer: clock.after(lastsMs, () => end(tunnelId, inspection)),
        droppedCount: before?.droppedCount ?? 0,
        captures: before?.captures ?? new Map(),
      };
      for (const each of inspection.captures.values()) all.set(each, inspection);
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
    list(tunnelId: TunnelId): readonly CapturedExchange[] {
      const inspection = inspections.get(tunnelId);
      if (!inspection) throw fail('NOT_INSPECTED');
      return [...inspection.captures.values()].reverse();
    },

    /** Throws NOT_INSPECTED, EXCHANGE_UNKNOWN. */
    find(tunnelId: TunnelId, id: string): CapturedExchange {
      const inspection = inspections.get(tunnelId);
      if (!inspection) throw fail('NOT_INSPECTED');
      const found = inspection.captures.get(id);
      if (!found) throw fail('EXCHANGE_UNKNOWN');
      return found;
    },

    /** Memory that everything takes; at most memoryBytesMax. */
    get heldBytes(): number {
      return heldBytes;
    },

    /** Forgets everything. */
    close(): void {
      unfollow();
      for (const tunnelId of [...inspections.keys()]) forget(tunnelId);
    },
  };
};
