/** Things that come in an order that nobody knows, and tests that wait for one of them with a deadline. */

const WAIT_MS_MAX = 10_000;

export interface Mailbox<T> {
  put(item: T): void;
  /** Takes the first that fits, now or when it comes. */
  take(fits: (item: T) => boolean, what: string): Promise<T>;
}

export const createMailbox = <T>(): Mailbox<T> => {
  const items: T[] = [];
  const waiters: { fits: (item: T) => boolean; resolve: (item: T) => void }[] = [];
  return {
    put(item) {
      const at = waiters.findIndex(({ fits }) => fits(item));
      if (at < 0) items.push(item);
      else waiters.splice(at, 1)[0]?.resolve(item);
    },
    take: (fits, what) =>
      new Promise((resolve, reject) => {
        const at = items.findIndex(fits);
        if (at >= 0) return resolve(items.splice(at, 1)[0] as T);
        const deadline = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), WAIT_MS_MAX);
        waiters.push({
          fits,
          resolve(item) {
            clearTimeout(deadline);
            resolve(item);
          },
        });
      }),
  };
};
