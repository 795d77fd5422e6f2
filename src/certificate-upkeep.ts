/**
 * Looks after the server certificates of a running engine: renews those that its local CA has made, and tells of those that end.
 *
 * Flow: an hourly look asks store/local-authority.ts what may be renewed; authority.ts signs, pair-files.ts writes, and the watcher takes
 * the new pair up for the next handshake. Connections that are up notice nothing.
 * Invariant: files that are not what is served are not touched: somebody is about to replace them. Waits run on the clock that never
 * jumps, so that a calendar that does causes one attempt a look at most; one pair that fails waits longer and longer.
 * Limits: certificateUpkeepMs, certificateRenewalWaitMsMax, certificateWarningMs.
 */

import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { engineErrorFrom, fail } from './base/errors.ts';
import { isoFrom } from './base/instant.ts';
import { LIMITS } from './base/limits.ts';
import type { Logger } from './base/log.ts';
import type { Metrics } from './base/metric-numbers.ts';
import type { LabelsOf } from './base/metrics.ts';
import { type Clock, createBackoff, every, inBackground, type Timer } from './base/time.ts';
import { type CertificatePair, daysUntil } from './socket/certificate-pair.ts';
import type { CertificateFiles, WatchedCertificates } from './socket/certificates.ts';
import type { AuditLog } from './store/audit.ts';
import { type AuthorityFiles, type Standing, standingOf } from './store/local-authority.ts';
import { replacePair } from './store/pair-files.ts';

/** What is to be told to whoever looks after an engine. */
export interface ExpiringCertificate {
  readonly reason: 'expires_soon' | 'expired' | 'renewal_failed';
  readonly certFile: string;
  readonly names: readonly string[];
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
  /** Whole days that are left; negative when it is over. */
  readonly daysLeft: number;
  /** Why it was not renewed, or is not going to be. */
  readonly problem?: string;
}

/** How the last attempt to renew a certificate ended. */
export interface Renewal {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly problem?: string;
}

export interface CertificateUpkeep {
  /** Looks at once, and hourly from then on. Never rejects. */
  start(): Promise<void>;
  stop(): void;
  standingOf(index: number): Standing | undefined;
  lastRenewalOf(index: number): Renewal | undefined;
}

export interface UpkeepNeeds {
  readonly clock: Clock;
  readonly log: Logger;
  readonly audit: Pick<AuditLog, 'record'>;
  readonly certificates: WatchedCertificates;
  readonly metrics: Metrics | undefined;
  /** Hears of each certificate once a day while it ends soon, and of each renewal that failed. */
  onExpiring(event: ExpiringCertificate): void;
}

export interface UpkeepOptions {
  readonly host: string;
  readonly files: readonly CertificateFiles[];
  readonly authority: AuthorityFiles;
}

type CertificateLabel = LabelsOf<'rstream_engine_certificate_expiry_timestamp_seconds'>['certificate'];

// Some minutes less than a day, so that an hourly look tells at the same time of each.
const TELL_AGAIN_MS = 86_000_000;

/** What is remembered of one certificate between looks. */
const createMemory = () => ({
  backoff: createBackoff(LIMITS.certificateUpkeepMs, LIMITS.certificateRenewalWaitMsMax),
  /** Of the clock that never jumps, as is the next. */
  attemptsFrom: 0,
  tellsFrom: 0,
  last: undefined as Renewal | undefined,
});

export const createCertificateUpkeep = (needs: UpkeepNeeds, options: UpkeepOptions): CertificateUpkeep => {
  const { clock, certificates, metrics } = needs;
  const memories = options.files.map(createMemory);
  const memoryOf = (index: number) => memories[index] as ReturnType<typeof createMemory>;
  let isOpen = true;
  let timer: Timer | undefined;

  const standing = (pair: CertificatePair) =>
    standingOf(pair.chain[0], options.authority, { host: options.host, nowMs: clock.now() });

  /** Somebody else has replaced it, or the calendar was set back: nothing has failed that matters now. */
  const forgetFaults = (memory: ReturnType<typeof createMemory>) => {
    memory.backoff.reset();
    if (memory.last?.problem !== undefined) memory.last = undefined;
  };

  const attempt = async (index: number, pair: CertificatePair): Promise<void> => {
    const memory = memoryOf(index);
    if (clock.elapsed() < memory.attemptsFrom) return;
    memory.attemptsFrom = clock.elapsed() + memory.backoff.nextMs();
    const problem = await renew(index, pair, needs, options, () => isOpen).then(
      () => undefined,
      (thrown: unknown) => engineErrorFrom(thrown),
    );
    if (!isOpen) return;
    memory.last = { at: clock.now(), ...(problem && { problem: problem.message }) };
    tellOfRenewal(needs, options.files[index]?.certFile ?? '', pair, problem);
  };

  const tell = (index: number, pair: CertificatePair, obstacle: string | undefined) => {
    const memory = memoryOf(index);
    if (pair.expiresAt - clock.now() > LIMITS.certificateWarningMs) return;
    if (clock.elapsed() < memory.tellsFrom) return;
    memory.tellsFrom = clock.elapsed() + TELL_AGAIN_MS;
    const reason = pair.expiresAt <= clock.now() ? 'expired' : 'expires_soon';
    needs.onExpiring(eventFrom(reason, options.files[index]?.certFile ?? '', pair, clock, obstacle));
  };

  const look = async (): Promise<void> => {
    for (const [index, pair] of certificates.current().entries()) {
      const { renewsAt = Infinity } = standing(pair);
      if (renewsAt <= clock.now()) await attempt(index, pair);
      else forgetFaults(memoryOf(index));
      if (!isOpen) return;
      const present = certificates.current()[index] ?? pair;
      tell(index, present, memoryOf(index).last?.problem ?? standing(present).obstacle);
    }
  };
  const fault = (error: unknown) => needs.log.error({ error }, 'the certificates were not looked after');

  metrics?.onScrape(() => {
    for (const [index, { expiresAt }] of certificates.current().entries())
      metrics.cell('rstream_engine_certificate_expiry_timestamp_seconds', {
        certificate: String(index) as CertificateLabel,
      }).value = expiresAt / 1_000;
  });

  return {
    async start() {
      timer = every(clock, LIMITS.certificateUpkeepMs, () => inBackground(look(), fault));
      await look().catch(fault);
    },
    stop() {
      isOpen = false;
      timer?.cancel();
    },
    standingOf: (index) => {
      const pair = certificates.current()[index];
      return pair && standing(pair);
    },
    lastRenewalOf: (index) => memories[index]?.last,
  };
};

/** Makes a new pair and puts it in place; what fails leaves the old one there. */
const renew = async (
  index: number,
  pair: CertificatePair,
  { certificates, clock }: UpkeepNeeds,
  { files, authority, host }: UpkeepOptions,
  isOpen: () => boolean,
): Promise<void> => {
  const place = files[index] as CertificateFiles;
  const { serverCertificate, serverKey } = await issued(authority, host, clock);
  if (!isOpen()) return;
  if (!readFileSync(place.certFile).equals(pair.cert))
    throw fail('CERTIFICATE_FILES_FIXED', {
      problem: `${place.certFile} is being replaced by somebody else`,
    });
  const { undo } = replacePair(place, { cert: Buffer.from(serverCertificate), key: Buffer.from(serverKey) });
  const problem = certificates.reload();
  if (problem === undefined) return;
  undo();
  certificates.reload();
  throw fail('CERTIFICATE_INVALID', { problem });
};

const issued = async (authority: AuthorityFiles, host: string, clock: Clock) => {
  const unavailable = (problem: string, cause?: unknown) => fail('LOCAL_CA_UNAVAILABLE', { problem }, cause);
  // Loaded here alone: certificates take 200 ms to load, and this happens once a year.
  const { issueServerIdentity } = await import('./store/authority.ts');
  const identity = await Promise.resolve()
    .then(() => {
      const caCertificate = readFileSync(authority.certFile, 'utf8');
      return issueServerIdentity(
        { caCertificate, caKey: readFileSync(authority.keyFile, 'utf8') },
        { host, clock },
      );
    })
    .catch((cause: unknown) => {
      throw unavailable(`${authority.keyFile} cannot be used`, cause);
    });
  // A key that is not the CA's signs as well, and nobody would trust what it has signed.
  const certificate = new X509Certificate(identity.serverCertificate);
  if (standingOf(certificate, authority, { host, nowMs: clock.now() }).source !== 'local_ca')
    throw unavailable(`${authority.keyFile} is not the key of ${authority.certFile}`);
  return identity;
};

const tellOfRenewal = (
  { log, audit, metrics, clock, certificates, onExpiring }: UpkeepNeeds,
  certFile: string,
  pair: CertificatePair,
  error: ReturnType<typeof engineErrorFrom> | undefined,
): void => {
  const outcome = error ? 'failed' : 'renewed';
  const result = error?.code ?? 'ok';
  audit.record({
    actor: 'engine',
    origin: 'local',
    action: 'server_certificate.renew',
    object: certFile,
    result,
  });
  if (metrics) metrics.cell('rstream_engine_certificate_renewals_total', { outcome }).value += 1;
  if (error) {
    log.debug({ certFile, code: error.code, error }, 'an attempt to renew the certificate failed');
    onExpiring(eventFrom('renewal_failed', certFile, pair, clock, error.message));
  } else {
    const ends = certificates.current().map(({ expiresAt }) => isoFrom(expiresAt));
    log.info({ certFile, ends }, 'the local CA has renewed the certificate');
  }
};

const eventFrom = (
  reason: ExpiringCertificate['reason'],
  certFile: string,
  { names, expiresAt }: CertificatePair,
  clock: Clock,
  problem: string | undefined,
): ExpiringCertificate => ({
  reason,
  certFile,
  names,
  expiresAt,
  daysLeft: daysUntil(expiresAt, clock.now()),
  ...(problem !== undefined && { problem }),
});
