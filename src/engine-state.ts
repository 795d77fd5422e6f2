/**
 * What an engine keeps on its host of whom it knows: the credential store, and the log of what was done to it.
 *
 * Flow: engine.ts opens it at the start and closes it last.
 * Invariant: every change of a credential is in the audit log, with who made it.
 */
import type { Logger } from './base/log.ts';
import type { Clock } from './base/time.ts';
import type { Config } from './config/schema.ts';
import { auditOptionsFrom } from './engine-options.ts';
import { createAuditLog } from './store/audit.ts';
import { createAuditActors } from './store/audit-actor.ts';
import { createCredentials } from './store/credentials.ts';
import { openDatabase } from './store/database.ts';

/** @throws STORE_UNAVAILABLE, STORE_TOO_NEW */
export const openEngineState = (config: Config, { clock, log }: { clock: Clock; log: Logger }) => {
  const { store, engine, auth } = config;
  const database = openDatabase({ path: store.path, mode: 'create' });
  const audit = createAuditLog(
    {
      clock,
      onFault: (error, event) =>
        log.error({ code: error.code, error, event }, 'an event is not in the audit log'),
    },
    auditOptionsFrom(config),
  );
  const actors = createAuditActors();
  const credentials = createCredentials({
    database,
    clock,
    engineHost: engine.host,
    onEvent: (event) => audit.record(actors.complete(event)),
    ...(auth.jwt.token_jwt_secret && { jwtSecret: auth.jwt.token_jwt_secret }),
    ...(store.signing_key && { signingKey: store.signing_key }),
  });
  return {
    database,
    audit,
    actors,
    credentials,
    close(): void {
      database.close();
      audit.close();
    },
  };
};
