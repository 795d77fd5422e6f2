/**
 * Who is at work, for entries of the audit log that are written far below the door that somebody came in by.
 *
 * Flow: a door runs its work in `as`; engine.ts completes what the store tells by `current`.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { AuditEvent } from './audit.ts';

/** The parts of an entry that say who and from where. */
export type AuditActor = Pick<AuditEvent, 'actor' | 'origin'>;

export interface AuditActors {
  /** Runs work, and all that it awaits, in the name of somebody. */
  as<Result>(actor: AuditActor, work: () => Result): Result;
  /** The engine itself where nobody else is at work. */
  current(): AuditActor;
}

const ENGINE: AuditActor = { actor: 'engine', origin: 'local' };

export const createAuditActors = (): AuditActors => {
  const storage = new AsyncLocalStorage<AuditActor>();
  return { as: (actor, work) => storage.run(actor, work), current: () => storage.getStore() ?? ENGINE };
};
