/**
 * The life of every long-lived thing: open, closing, closed, each once and in this order.
 *
 * Invariant: `close` is graceful and may take time, `destroy` is now; both may be called again and by anyone, and the listeners of
 * `onClosed` run exactly once.
 */

const STATE = { open: 0, closing: 1, closed: 2 } as const;

/** Holds the state and tells those who wait for the end. */
export class Lifecycle {
  #state: (typeof STATE)[keyof typeof STATE] = STATE.open;
  #cause: unknown;
  #listeners: ((cause: unknown) => void)[] = [];

  get isOpen(): boolean {
    return this.#state === STATE.open;
  }

  get isClosed(): boolean {
    return this.#state === STATE.closed;
  }

  /** What ended it; undefined after a graceful end. */
  get cause(): unknown {
    return this.#cause;
  }

  /** Begins a graceful end. True for the first caller only, who then does the work. */
  beginClosing(): boolean {
    if (this.#state !== STATE.open) return false;
    this.#state = STATE.closing;
    return true;
  }

  /** Reaches the end. True for the first caller only; the listeners have run when it returns. */
  finish(cause?: unknown): boolean {
    if (this.#state === STATE.closed) return false;
    this.#state = STATE.closed;
    this.#cause = cause;
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener(cause);
    return true;
  }

  /** Calls once at the end, or now if it is over. */
  onClosed(listener: (cause: unknown) => void): void {
    if (this.isClosed) listener(this.#cause);
    else this.#listeners.push(listener);
  }
}
