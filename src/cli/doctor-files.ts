/** The checks of `doctor` that look at files: who may read them, what time they are of, certificates, databases. */

import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, type Stats, statSync } from 'node:fs';
import { namesOf } from '../base/certificate-names.ts';
import { isoFrom } from '../base/instant.ts';
import { authorityOf } from '../server-certificates.ts';
import { AUDIT_MIGRATIONS } from '../store/audit.ts';
import { asideOf, checkDatabase } from '../store/database.ts';
import { keyFileOf } from '../store/key-ring.ts';
import { standingOf } from '../store/local-authority.ts';
import type { Migration } from '../store/migrations.ts';
import { RECORDS_MIGRATIONS } from '../store/records.ts';
import { type Check, type CheckNeeds, fault, faultFrom, ok, orOk, type Result, warning } from './finding.ts';
import { instanceFiles } from './instance.ts';

const DAY_MS = 86_400_000;
const EXPIRY_WARNING_DAYS = 21;
const RENEWAL_OVERDUE_DAYS = 7;
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
    // An upload or a renewal leaves the key before it beside the present one.
    ...pairsOf(needs).flatMap(({ key_file }) => [key_file, `${key_file}.old`]),
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
  return [ok(`it is ${isoFrom(nowMs)}`)];
};

/** Key and days of each certificate, the names of all together, and whether the engine renews it. */
export const checkCertificates: Check = (needs) => {
  const { host } = needs.config.engine;
  const files = pairsOf(needs);
  const certificates = files.map(({ cert_file }) => new X509Certificate(readFileSync(cert_file)));
  const results = files.flatMap((pair, at) => pairResults(pair, certificates[at]!, needs));
  // Any label stands for the wildcard.
  for (const [name, shown] of [
    [host, host],
    [`any.t.${host}`, `*.t.${host}`],
  ] as const)
    if (!certificates.some((certificate) => certificate.checkHost(name) !== undefined))
      results.push(fault(`${files.map(({ cert_file }) => cert_file).join(', ')} does not name ${shown}`));
  return results;
};

const pairResults = (
  { cert_file, key_file }: ReturnType<typeof pairsOf>[number],
  certificate: X509Certificate,
  { clock, config }: CheckNeeds,
): Result[] => {
  const nowMs = clock.now();
  const days = Math.floor((Date.parse(certificate.validTo) - nowMs) / DAY_MS);
  const { renewsAt, obstacle } = standingOf(certificate, authorityOf(config), {
    host: config.engine.host,
    nowMs,
  });
  const advice = renewsAt === undefined ? 'renew it' : 'the engine renews it when it runs';
  const results: Result[] = [];
  if (!certificate.checkPrivateKey(createPrivateKey(readFileSync(key_file))))
    results.push(fault(`${key_file} is not the key of ${cert_file}`));
  if (Date.parse(certificate.validFrom) > nowMs)
    results.push(fault(`${cert_file} is not valid before ${certificate.validFrom}: is the clock right?`));
  if (days < 0) results.push(fault(`${cert_file} has expired (${certificate.validTo}): ${advice}`));
  else if (days < EXPIRY_WARNING_DAYS)
    results.push(warning(`${cert_file} expires in ${days} days: ${advice}`));
  if (obstacle !== undefined)
    results.push(warning(`${cert_file} is of the local CA and is not renewed: ${obstacle}`));
  // Whoever has waited a week in vain waits for something that does not happen.
  if (renewsAt !== undefined && nowMs - renewsAt > RENEWAL_OVERDUE_DAYS * DAY_MS && days >= 0)
    results.push(
      warning(
        `${cert_file} should have been renewed on ${isoFrom(renewsAt)}: see the log, and whether it can be written`,
      ),
    );
  const renewal = renewsAt === undefined ? '' : `; the engine renews it from ${isoFrom(renewsAt)} on`;
  return orOk(
    results,
    `${cert_file} names ${namesOf(certificate).join(', ')}, for ${days} more days${renewal}`,
  );
};

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
