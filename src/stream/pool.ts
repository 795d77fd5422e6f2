/**
 * Streams of one tunnel that carry one exchange after another, or many at once.
 *
 * Flow: an exchange takes an item with room, or waits for the next that is released or opened; it releases it when the answer is whole.
 * States of an item: opening -> available <-> full -> retired. An HTTP/1.1 stream has room for one exchange, an HTTP/2 session for many.
 * Raw relays never come here: their streams have a history that the next user must not see.
 * Invariant: while anybody waits, enough dials are in flight for all who wait, so every waiter is answered by an item or by a dial's own
 * deadline.
 * Warm streams: where exchanges keep needing fresh streams, because the upstream ends each with its answer, a few are dialled ahead. A
 * tunnel that needs no fresh ones any more keeps none: what was dialled and never used ends soon after.
 * Limits: idle items, waiters and exchanges by options; dials in flight by those who wait, and the warm ones.
 */
import { type EngineError, engineErrorFrom, fail } from '../base/errors.ts';
import type { Sweep, Swept } from '../base/time.ts';
import type { DialSource } from './agent-stream.ts';

/** What the pool keeps: a stream with the protocol state of its owner around it. */
export interface Pooled {
  /** Exchanges that it carries at once. */
  readonly capacity: number;
  /** Whether it takes no further exchange, now or ever; the owner tells the pool by `retire`. */
  readonly isRetired: boolean;
  /** Exchanges on it now; the pool counts. */
  lentCount: number;
  /** The sweep's time at which it last became idle; the pool writes it. */
  idleSinceMs: number;
  /** Ends it; the owner answers with `retire`. */
  destroy(cause?: unknown): void;
}

/** Who waits for an item. Exactly one of the two is called, unless the waiter cancels first. */
export interface PoolWaiter<Item> {
  granted(item: Item): void;
  denied(error: EngineError): void;
}

export interface PoolNeeds<Item> {
  /** Dials, and makes the stream ready for its first exchange. Rejects when `signal` aborts. */
  open(source: DialSource, signal: AbortSignal): Promise<Item>;
  readonly sweep: Sweep;
}

export interface PoolOptions {
  /** An idle item is closed after this long (`timeouts.http_idle_seconds`). */
  readonly idleMs: number;
  /** Items with room beyond it are closed when idle. */
  readonly availableCountMax: number;
  /** Exchanges at once (`limits.requests_per_tunnel`); a further one is denied. */
  readonly lentCountMax: number;
  /** Streams that a busy tunnel keeps ready. */
  readonly warmCount: number;
  /** Exchanges that an item is expected to carry as long as none has told; 1 if unset. */
  readonly expectedCapacity?: number;
}

// A tunnel is busy when fresh streams were needed this often with no longer pause than that, and stays so for as long.
const BUSY_NEED_COUNT = 4;
const BUSY_MS = 5_000;

/** One tunnel's pool. */
export class Pool<Item extends Pooled> implements Swept {
  readonly #needs: PoolNeeds<Item>;
  readonly #options: PoolOptions;
  /** Items with room. What was used last is on top and taken first; fresh ones come in below, so that they are used in their order. */
  readonly #available: Item[] = [];
  /** Items without room, which have it again when an exchange is over. */
  readonly #full = new Set<Item>();
  /** Available items that no exchange has used yet. */
  readonly #unused = new Set<Item>();
  readonly #waiters: PoolWaiter<Item>[] = [];
  readonly #dials: AbortController[] = [];
  #source: DialSource = { address: '' };
  /** Exchanges that the newest item carries at once: what one dial is worth. */
  #capacity: number;
  #lentCount = 0;
  /** Of these, those that probes have. */
  #borrowedCount = 0;
  #needCount = 0;
  #neededAtMs = Number.NEGATIVE_INFINITY;
  #busyUntilMs = Number.NEGATIVE_INFINITY;
  #closedBy: EngineError | undefined;

  constructor(needs: PoolNeeds<Item>, options: PoolOptions) {
    this.#needs = needs;
    this.#options = options;
    this.#capacity = options.expectedCapacity ?? 1;
    needs.sweep.add(this);
  }

  /** Items with room. */
  get availableCount(): number {
    return this.#available.length;
  }

  get waiterCount(): number {
    return this.#waiters.length;
  }

  /** An item with room, now lent once more, or undefined when none is at hand. */
  take(): Item | undefined {
    const item = this.#available.at(-1);
    if (!item || this.#exchangeCount >= this.#options.lentCountMax) return undefined;
    const isFresh = this.#unused.has(item);
    this.#lend(item);
    if (isFresh) {
      this.#noteNeed();
      this.#dialMissing();
    }
    return item;
  }

  /**
   * An item with room for a probe, or undefined when none is at hand that an exchange has used; `done` is called when the item is back. A
   * probe is no exchange: it counts for no limit, makes no tunnel busy, takes nothing that was dialled ahead, and makes nothing younger.
   */
  borrow(): { readonly item: Item; readonly done: () => void } | undefined {
    const item = this.#available.at(-1);
    if (!item || this.#unused.has(item)) return undefined;
    const { idleSinceMs } = item;
    this.#borrowedCount += 1;
    this.#lend(item);
    const done = () => {
      this.#borrowedCount -= 1;
      if (item.lentCount === 0) item.idleSinceMs = idleSinceMs;
    };
    return { item, done };
  }

  /** Waits for an item, on behalf of `source`. */
  acquire(waiter: PoolWaiter<Item>, source: DialSource): void {
    if (this.#closedBy) return waiter.denied(anew(this.#closedBy));
    if (this.#exchangeCount + this.#waiters.length >= this.#options.lentCountMax)
      return waiter.denied(fail('REQUEST_LIMIT'));
    this.#noteNeed();
    this.#source = source;
    this.#waiters.push(waiter);
    this.#dialMissing();
  }

  /** The waiter wants no item any more. */
  cancel(waiter: PoolWaiter<Item>): void {
    const at = this.#waiters.indexOf(waiter);
    if (at < 0) return;
    this.#waiters.splice(at, 1);
    this.#callOffSurplus();
  }

  /** One exchange on the item is over, and the item is fit for another. */
  release(item: Item): void {
    this.#returned(item);
    if (item.isRetired) return this.retire(item);
    if (item.lentCount === 0) item.idleSinceMs = this.#needs.sweep.nowMs;
    if (this.#full.delete(item)) this.#available.push(item);
    this.#serve();
    const isSurplus = this.#closedBy || this.#available.length > this.#options.availableCountMax;
    if (isSurplus && item.lentCount === 0) item.destroy();
  }

  /** One exchange on the item is over, and the item with it. */
  lose(item: Item): void {
    this.#returned(item);
    this.retire(item);
  }

  /** The item takes no further exchange; those on it go on. */
  retire(item: Item): void {
    this.#withdraw(item);
    this.#full.delete(item);
  }

  /** Closes what is idle, calls off what is dialled, and keeps nothing that comes back. */
  close(error: EngineError): void {
    if (this.#closedBy) return;
    this.#closedBy = error;
    this.#needs.sweep.remove(this);
    for (const item of [...this.#available]) if (item.lentCount === 0) item.destroy();
    for (const waiter of this.#waiters.splice(0)) waiter.denied(anew(error));
    this.#callOffSurplus();
  }

  checkDeadline(nowMs: number): void {
    const unusedMs = this.#isBusy ? this.#options.idleMs : Math.min(BUSY_MS, this.#options.idleMs);
    for (const item of [...this.#available]) {
      const idleMs = this.#unused.has(item) ? unusedMs : this.#options.idleMs;
      if (item.lentCount === 0 && nowMs - item.idleSinceMs >= idleMs) item.destroy();
    }
  }

  get #exchangeCount(): number {
    return this.#lentCount - this.#borrowedCount;
  }

  get #isBusy(): boolean {
    return this.#busyUntilMs > this.#needs.sweep.nowMs;
  }

  /** An exchange needs a fresh stream, whether a warm one is there for it or not. */
  #noteNeed(): void {
    const { nowMs } = this.#needs.sweep;
    this.#needCount = nowMs - this.#neededAtMs < BUSY_MS ? this.#needCount + 1 : 1;
    this.#neededAtMs = nowMs;
    if (this.#needCount >= BUSY_NEED_COUNT) this.#busyUntilMs = nowMs + BUSY_MS;
  }

  #lend(item: Item): void {
    item.lentCount += 1;
    this.#lentCount += 1;
    this.#unused.delete(item);
    if (item.lentCount < item.capacity) return;
    this.#withdraw(item);
    this.#full.add(item);
  }

  #withdraw(item: Item): void {
    const at = this.#available.lastIndexOf(item);
    if (at >= 0) this.#available.splice(at, 1);
    this.#unused.delete(item);
  }

  #returned(item: Item): void {
    item.lentCount -= 1;
    this.#lentCount -= 1;
  }

  #serve(): void {
    for (let item = this.#available.at(-1); item && this.#waiters.length > 0; item = this.#available.at(-1)) {
      this.#lend(item);
      this.#waiters.shift()?.granted(item);
    }
    this.#dialMissing();
  }

  /** Dials in flight that would leave nobody waiting and a busy tunnel warm. */
  get #wantedDialCount(): number {
    const isWarm = this.#isBusy && this.#capacity === 1 && !this.#closedBy;
    const warmCount = isWarm ? this.#options.warmCount : 0;
    return Math.ceil(this.#waiters.length / this.#capacity) + Math.max(0, warmCount - this.#available.length);
  }

  #dialMissing(): void {
    while (this.#dials.length < this.#wantedDialCount) this.#dial();
  }

  /**
   * Only where somebody gave up: an unwanted stream would hold a connection that a single-threaded upstream waits on. A stream that
   * was released to a waiter leaves that waiter's dial alone, because a pool that is short now will be short again; calling it off made
   * every dial of a busy tunnel a wasted handshake.
   */
  #callOffSurplus(): void {
    while (this.#dials.length > this.#wantedDialCount) this.#dials.pop()?.abort();
  }

  #dial(): void {
    const controller = new AbortController();
    this.#dials.push(controller);
    this.#needs.open(this.#source, controller.signal).then(
      (item) => {
        this.#dialEnded(controller);
        const isUnwanted = controller.signal.aborted && this.#waiters.length === 0;
        if (this.#closedBy || item.isRetired || isUnwanted) return item.destroy();
        // An HTTP/2 upstream may allow none for now.
        this.#capacity = Math.max(1, item.capacity);
        item.idleSinceMs = this.#needs.sweep.nowMs;
        this.#available.unshift(item);
        this.#unused.add(item);
        this.#serve();
      },
      (thrown: unknown) => {
        this.#dialEnded(controller);
        // A dial that was called off has nobody to disappoint.
        if (!controller.signal.aborted) this.#denyUncovered(engineErrorFrom(thrown));
      },
    );
  }

  /** A dial failed: those for whom no other is under way share its fate, the oldest first. */
  #denyUncovered(error: EngineError): void {
    // Whatever kept the dial from succeeding keeps warm streams from it too.
    this.#busyUntilMs = Number.NEGATIVE_INFINITY;
    while (this.#waiters.length > this.#dials.length * this.#capacity)
      this.#waiters.shift()?.denied(anew(error));
    this.#dialMissing();
  }

  #dialEnded(controller: AbortController): void {
    const at = this.#dials.indexOf(controller);
    if (at >= 0) this.#dials.splice(at, 1);
  }
}

/** Each refusal has an error id of its own, so that it can be found in the log. */
const anew = ({ code, details, cause }: EngineError): EngineError => fail(code, details, cause);
