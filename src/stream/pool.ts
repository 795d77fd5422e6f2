/**
 * Streams of one tunnel that carry one exchange after another.
 *
 * Flow: an exchange takes an idle stream, or waits for the next that is released or dialled; it releases it when the answer is whole.
 * States of a stream: dialing -> lent -> idle -> lent ... -> gone. An idle stream that ends or speaks is thrown away by its owner's
 * `forget`. Raw relays never come here: their streams have a history that the next user must not see.
 * Invariant: there is at least one dial in flight per waiter, so every waiter is answered by a stream or by the dial's own deadline.
 * Limits: idle streams by options; waiters by control's bounded dial queue.
 */
import { type EngineError, engineErrorFrom, fail } from '../base/errors.ts';
import type { Sweep, Swept } from '../base/time.ts';
import type { AgentStream, DialSource } from './agent-stream.ts';

/** What the pool keeps: a stream with the protocol state of its owner around it. */
export interface Pooled {
  /** The sweep's time at which it became idle; the pool writes it. */
  idleSinceMs: number;
  /** Ends it; the owner answers with `forget`. */
  destroy(cause?: unknown): void;
}

/** Who waits for a stream. Exactly one of the two is called, unless the waiter cancels first. */
export interface PoolWaiter<Item> {
  granted(item: Item): void;
  denied(error: EngineError): void;
}

export interface PoolNeeds<Item> {
  dial(source: DialSource, signal: AbortSignal): Promise<AgentStream>;
  /** Wraps a fresh stream. */
  wrap(stream: AgentStream, pool: Pool<Item>): Item;
  readonly sweep: Sweep;
}

export interface PoolOptions {
  /** An idle stream is closed after this long (`timeouts.http_idle_seconds`). */
  readonly idleMs: number;
  /** Idle streams beyond it are closed at once. */
  readonly idleCountMax: number;
}

/** One tunnel's pool. */
export class Pool<Item> implements Swept {
  readonly #needs: PoolNeeds<Item & Pooled>;
  readonly #options: PoolOptions;
  /** Used as a stack: the warmest stream is taken first, the coldest are at the bottom when idle time runs out. */
  readonly #idle: (Item & Pooled)[] = [];
  readonly #waiters: PoolWaiter<Item>[] = [];
  readonly #dials: AbortController[] = [];
  #closedBy: EngineError | undefined;

  constructor(needs: PoolNeeds<Item & Pooled>, options: PoolOptions) {
    this.#needs = needs;
    this.#options = options;
    needs.sweep.add(this);
  }

  get idleCount(): number {
    return this.#idle.length;
  }

  get waiterCount(): number {
    return this.#waiters.length;
  }

  /** An idle stream, now lent, or undefined when none is at hand. */
  take(): Item | undefined {
    return this.#idle.pop();
  }

  /** Waits for a stream, dialling one more for it on behalf of `source`. */
  acquire(waiter: PoolWaiter<Item>, source: DialSource): void {
    if (this.#closedBy) return waiter.denied(anew(this.#closedBy));
    this.#waiters.push(waiter);
    const controller = new AbortController();
    this.#dials.push(controller);
    this.#needs.dial(source, controller.signal).then(
      (stream) => {
        this.#dialEnded(controller);
        this.#offer(this.#needs.wrap(stream, this as Pool<unknown> as Pool<Item & Pooled>));
      },
      (thrown: unknown) => {
        this.#dialEnded(controller);
        // One that was called off, or was more than anybody waits for, disappoints nobody.
        if (this.#dials.length < this.#waiters.length) this.#deny(waiter, engineErrorFrom(thrown));
      },
    );
  }

  /** The waiter wants no stream any more. */
  cancel(waiter: PoolWaiter<Item>): void {
    const at = this.#waiters.indexOf(waiter);
    if (at < 0) return;
    this.#waiters.splice(at, 1);
    this.#callOffSurplus();
  }

  /** A lent stream comes back, fit for another exchange. */
  release(item: Item & Pooled): void {
    // The dial of a waiter that it serves goes on: a pool that is short now will be short again. Calling those dials off made every
    // one of a busy tunnel a wasted handshake.
    this.#offer(item);
  }

  /** A stream is gone, whatever its state. */
  forget(item: Item & Pooled): void {
    const at = this.#idle.lastIndexOf(item);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  /** Closes what is idle, calls off what is dialled, and keeps nothing that comes back. */
  close(error: EngineError): void {
    this.#closedBy = error;
    this.#needs.sweep.remove(this);
    for (const item of this.#idle.splice(0)) item.destroy();
    for (const waiter of this.#waiters.splice(0)) waiter.denied(anew(error));
    this.#callOffSurplus();
  }

  checkDeadline(nowMs: number): void {
    while (this.#idle.length > 0) {
      const coldest = this.#idle[0] as Item & Pooled;
      if (nowMs - coldest.idleSinceMs < this.#options.idleMs) return;
      this.#idle.shift();
      coldest.destroy();
    }
  }

  #offer(item: Item & Pooled): void {
    const waiter = this.#waiters.shift();
    if (waiter) return waiter.granted(item);
    if (this.#closedBy || this.#idle.length >= this.#options.idleCountMax) return item.destroy();
    item.idleSinceMs = this.#needs.sweep.nowMs;
    this.#idle.push(item);
  }

  // Whoever the dial was for; when that one has been granted another's stream, it is the oldest who has lost a dial.
  #deny(waiter: PoolWaiter<Item>, error: EngineError): void {
    const at = Math.max(0, this.#waiters.indexOf(waiter));
    this.#waiters.splice(at, 1)[0]?.denied(error);
  }

  #dialEnded(controller: AbortController): void {
    const at = this.#dials.indexOf(controller);
    // One that was called off is not among them any more.
    if (at >= 0) this.#dials.splice(at, 1);
  }

  // Where somebody gave up: an unwanted stream would hold a connection of the upstream, and a single-threaded one serves nobody else meanwhile.
  #callOffSurplus(): void {
    while (this.#dials.length > this.#waiters.length) this.#dials.pop()?.abort();
  }
}

/** Each refusal has an error id of its own, so that it can be found in the log. */
const anew = ({ code, details }: EngineError): EngineError => fail(code, details);
