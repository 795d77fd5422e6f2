/**
 * Who is at work, for entries of the audit log that are written far below the door that somebody came in by.
 *
 * Flow: a door runs its work in a scope; what the store tells on the way is completed with who is at work, and the door learns whether
 * anything was told.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { AuditEvent } from './audit.ts';

/** The parts of an entry that say who and from where. */
export type AuditActor = Pick<AuditEvent, 'actor' | 'origin'>;

/** Work in the name of somebody. */
export interface AuditScope {
  /** Runs work, and all that it awaits. */
  run<Result>(work: () => Result): Result;
  /** Whether something was told by now. */
  readonly isTold: boolean;
}

export interface AuditActors {
  scopeOf(actor: AuditActor): AuditScope;
  /** The entry of something that was told: by who is at work, or by the engine itself where nobody is. */
  complete(event: Omit<AuditEvent, 'actor' | 'origin'> & { readonly actor?: string }): AuditEvent;
}

const ENGINE: AuditActor = { actor: 'engine', origin: 'local' };

export const createAuditActors = (): AuditActors => {
  const storage = new AsyncLocalStorage<{ readonly actor: AuditActor; isTold: boolean }>();
  return {
    scopeOf(actor) {
      const scope = { actor, isTold: false };
      return {
        run: (work) => storage.run(scope, work),
        get isTold() {
          return scope.isTold;
        },
      };
    },
    complete(event) {
      const scope = storage.getStore();
      if (scope) scope.isTold = true;
      return { ...(scope?.actor ?? ENGINE), ...event };
    },
  };
};
