/**
 * Those who watch over connections that stay open: how much waits for each of them, and when one is cut.
 *
 * Flow: watch.ts and admin/live.ts make batches of what happens and send them here; watch-sse.ts and watch-websocket.ts are the links.
 * Invariant: nothing is left out for anybody: who does not read fast enough is cut, and begins again with the whole state.
 * Limits: watchQueuedEventsMax, watchQueuedBytesMax, watchKeepAliveMs, apiAnswerMsMax; how many there may be is the caller's.
 */
import { type EngineError, fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { LogFields, Logger } from '../base/log.ts';
import { type Clock, createSweep, type Swept } from '../base/time.ts';
import type { EventBatch } from './watch-events.ts';

/** The connection of a member. */
export interface WatchLink {
  /** @param onLeft called when the system has taken all of it */
  send(batch: EventBatch, onLeft: () => void): void;
  /** A sign of life, and a look for one. @param nowMs elapsed time of the sweep */
  keepAlive(nowMs: number): void;
  /** Says why, as far as the peer still reads, and ends. */
  end(reason: EngineError): void;
  /** Calls once when it is over, whoever ended it. */
  onClosed(listener: () => void): void;
}

export interface Member<Who> {
  readonly who: Who;
}

export interface NewMember<Who> {
  readonly who: Who;
  /** What the log calls it by. */
  readonly shown: LogFields;
  /** Called once: when it is told of its end or has gone, whichever comes first. */
  onLeft(): void;
}

interface Seat<Who> extends Member<Who>, Swept, NewMember<Who> {
  readonly link: WatchLink;
  /** False from when it was told of its end. */
  isListening: boolean;
  queuedCount: number;
  queuedBytes: number;
  /** When something of what is queued last left, or began to wait. */
  movedMs: number;
}

export const createAudience = <Who>(
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
  { membersMax }: { readonly membersMax: number },
) => {
  const sweep = createSweep(clock, LIMITS.watchKeepAliveMs);
  // Those that are told of their end, and have not gone yet, are among them.
  const seats = new Set<Seat<Who>>();
  let slowCount = 0;
  let isClosing = false;

  /** False when it has left before. */
  const leave = (seat: Seat<Who>): boolean => {
    if (!seat.isListening) return false;
    seat.isListening = false;
    sweep.remove(seat);
    seat.onLeft();
    return true;
  };

  const end = (member: Member<Who>, reason: EngineError) => {
    const seat = member as Seat<Who>;
    if (!leave(seat)) return;
    const level = reason.code === 'WATCHER_SLOW' ? 'warn' : 'info';
    log[level]({ code: reason.code, ...seat.shown, queuedCount: seat.queuedCount }, 'watcher ended');
    seat.link.end(reason);
  };

  const cut = (seat: Seat<Who>) => {
    slowCount += 1;
    end(seat, fail('WATCHER_SLOW', { queuedCount: seat.queuedCount }));
  };

  return {
    /** Throws ENGINE_DRAINING and WATCHER_LIMIT; to be asked before a link is made. */
    requireRoom(): void {
      if (isClosing) throw fail('ENGINE_DRAINING');
      if (seats.size >= membersMax) throw fail('WATCHER_LIMIT', { limit: membersMax });
    },

    add(link: WatchLink, newMember: NewMember<Who>): Member<Who> {
      const seat: Seat<Who> = {
        ...newMember,
        link,
        isListening: true,
        queuedCount: 0,
        queuedBytes: 0,
        movedMs: 0,
        checkDeadline(nowMs) {
          if (seat.queuedCount === 0) link.keepAlive(nowMs);
          else if (nowMs - seat.movedMs > LIMITS.apiAnswerMsMax) cut(seat);
        },
      };
      seats.add(seat);
      sweep.add(seat);
      link.onClosed(() => {
        seats.delete(seat);
        leave(seat);
      });
      return seat;
    },

    /**
     * Sends a batch, or cuts who has too much waiting.
     * @param byteCount what counts as waiting; 0 for a whole state, whose size is nothing that the member could help
     */
    send(member: Member<Who>, batch: EventBatch, byteCount = batch.byteCount): void {
      const seat = member as Seat<Who>;
      if (!seat.isListening) return;
      if (isBehind(seat)) return cut(seat);
      if (seat.queuedCount === 0) seat.movedMs = sweep.nowMs;
      seat.queuedCount += batch.eventCount;
      seat.queuedBytes += byteCount;
      seat.link.send(batch, () => {
        seat.queuedCount -= batch.eventCount;
        seat.queuedBytes -= byteCount;
        seat.movedMs = sweep.nowMs;
      });
    },

    /** Ends each member for which there is a reason. */
    endWhere(reasonFor: (who: Who) => EngineError | undefined): void {
      for (const seat of seats) {
        const reason = seat.isListening ? reasonFor(seat.who) : undefined;
        if (reason) end(seat, reason);
      }
    },

    /** Takes no more members, and tells those that there are. */
    close(): void {
      if (isClosing) return;
      isClosing = true;
      for (const seat of seats) end(seat, fail('ENGINE_DRAINING'));
    },

    /** Those whose connection is open. */
    get memberCount(): number {
      return seats.size;
    },

    /** Members that were cut because they did not read. */
    get slowCount(): number {
      return slowCount;
    },
  };
};

const isBehind = ({ queuedCount, queuedBytes }: Seat<unknown>): boolean =>
  queuedCount >= LIMITS.watchQueuedEventsMax || queuedBytes >= LIMITS.watchQueuedBytesMax;
