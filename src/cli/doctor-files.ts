/** The checks of `doctor` that look at files: who may read them, what time they are of, certificates, databases. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, type Stats, statSync } from 'node:fs';
import { AUDIT_MIGRATIONS } from '../store/audit.ts';
import { asideOf, checkDatabase } from '../store/database.ts';
import { keyFileOf } from '../store/key-ring.ts';
import type { Migration } from '../store/migrations.ts';
import { RECORDS_MIGRATIONS } from '../store/records.ts';
import { type Check, type CheckNeeds, fault, faultFrom, ok, orOk, type Result, warning } from './finding.ts';
import { instanceFiles } from './instance.ts';

const DAY_MS = 86_400_000;
const EXPIRY_WARNING_DAYS = 14;
// Clocks of machines that share files may differ by so much.
const CLOCK_SKEW_MS = 300_000;

const statsOf = (path: string): Stats | undefined => statSync(path, { throwIfNoEntry: false });

const pairsOf = ({ config }: CheckNeeds) => {
  const { cert_file, key_file, additional = [] } = config.certs.static;
  return [{ cert_file, key_file }, ...additional];
};

/** Keys and databases are for their owner alone. */
export const checkPermissions: Check = (needs) => {
  const { config, dir, path } = needs;
  const paths = [
    path,
    config.store.path,
    keyFileOf(config.store.path),
    config.audit.path,
    instanceFiles(dir).caKey,
    ...pairsOf(needs).map(({ key_file }) => key_file),
  ];
  const found = paths.filter((each) => statsOf(each));
  const open = found.filter((each) => ((statsOf(each)?.mode ?? 0) & 0o077) !== 0);
  return orOk(
    open.map((each) => fault(`${each} can be used by others: chmod 600 it`)),
    `${found.length} files are for their owner alone`,
  );
};

/** A clock that is wrong makes tokens and certificates invalid. There is nothing to compare it with but what was written earlier. */
export const checkClock: Check = (needs) => {
  const nowMs = needs.clock.now();
  const written = [needs.path, needs.config.store.path].map((path) => statsOf(path)?.mtimeMs ?? 0);
  if (Math.max(...written) > nowMs + CLOCK_SKEW_MS)
    return [fault('the clock is behind the time at which files of the engine were written: set it')];
  return [ok(`it is ${new Date(nowMs).toISOString()}`)];
};

/** Names, key and days of each certificate. */
export const checkCertificates: Check = (needs) =>
  pairsOf(needs).flatMap(({ cert_file, key_file }) => {
    const certificate = new X509Certificate(readFileSync(cert_file));
    const nowMs = needs.clock.now();
    const days = Math.floor((Date.parse(certificate.validTo) - nowMs) / DAY_MS);
    const { host } = needs.config.engine;
    const results: Result[] = [];
    if (!certificate.checkPrivateKey(createPrivateKey(readFileSync(key_file))))
      results.push(fault(`${key_file} is not the key of ${cert_file}`));
    // Any label stands for the wildcard.
    for (const [name, shown] of [
      [host, host],
      [`any.t.${host}`, `*.t.${host}`],
    ] as const)
      if (certificate.checkHost(name) === undefined)
        results.push(fault(`${cert_file} does not name ${shown}`));
    if (Date.parse(certificate.validFrom) > nowMs)
      results.push(fault(`${cert_file} is not valid before ${certificate.validFrom}: is the clock right?`));
    if (days < 0) results.push(fault(`${cert_file} has expired (${certificate.validTo}): renew it`));
    else if (days < EXPIRY_WARNING_DAYS)
      results.push(warning(`${cert_file} expires in ${days} days: renew it`));
    return orOk(results, `${cert_file} names ${host} and *.t.${host}, for ${days} more days`);
  });

/** SQLite's own integrity check, and whether this engine knows the schema. */
export const checkDatabases: Check = ({ config: { store, audit, records } }) => {
  const check = (path: string, migrations?: readonly Migration[]) => {
    try {
      if (statsOf(path)) checkDatabase(path, migrations);
      return [];
    } catch (thrown) {
      return [faultFrom(thrown)];
    }
  };
  const aside = asideOf(records.path);
  const results = [
    ...(statsOf(store.path) ? check(store.path) : [fault(`there is no ${store.path}: init makes one`)]),
    ...check(audit.path, AUDIT_MIGRATIONS),
    ...(records.enabled ? check(records.path, RECORDS_MIGRATIONS) : []),
    ...(statsOf(aside)
      ? [warning(`${aside} holds records that were damaged: look at it, or remove it`)]
      : []),
  ];
  return orOk(results, 'credentials, audit log and records are sound');
};
