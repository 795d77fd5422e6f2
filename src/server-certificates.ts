/**
 * The server certificates put together: their files, the watcher, the upkeep, and what the Admin API shows and replaces.
 *
 * Flow: engine.ts loads them before all else, starts the upkeep before it listens, and hands the door to admin-door.ts.
 * Invariant: an upload is proven before it is written (it parses, fits its key, its time has come, a handshake shows it), and again after;
 * whatever fails leaves the pair that is served, in memory and in the files.
 */
import type {
  ServedCertificate,
  ServerCertificates,
  UploadedPair,
} from './api/admin/server-certificate-routes.ts';
import { engineErrorFrom, fail } from './base/errors.ts';
import { LIMITS } from './base/limits.ts';
import type { Logger } from './base/log.ts';
import { type Clock, every, type Timer } from './base/time.ts';
import { type CertificateUpkeep, createCertificateUpkeep, type UpkeepNeeds } from './certificate-upkeep.ts';
import type { Config } from './config/schema.ts';
import {
  type CertificatePair,
  coverageOf,
  pairFrom,
  problemOfTime,
  warningsOf,
} from './socket/certificate-pair.ts';
import {
  type CertificateFiles,
  createCertificates,
  type WatchedCertificates,
} from './socket/certificates.ts';
import { provePair } from './socket/prove-pair.ts';
import type { AuthorityFiles } from './store/local-authority.ts';
import { finishReplacement, replacePair } from './store/pair-files.ts';

/** The files of each pair, the first one first. */
export const certificateFilesOf = ({ certs }: Config): readonly CertificateFiles[] =>
  [certs.static, ...(certs.static.additional ?? [])].map(({ cert_file, key_file }) => ({
    certFile: cert_file,
    keyFile: key_file,
  }));

/** The files of the local CA, which need not exist. */
export const authorityOf = ({ admin }: Config): AuthorityFiles => ({
  certFile: admin.ca_cert_file,
  keyFile: admin.ca_key_file,
});

/** @throws CERTIFICATE_INVALID, CERTIFICATE_FILES_FIXED when a crash has cut a replacement in two that cannot be finished */
export const loadCertificates = (
  needs: { readonly log: Logger; readonly clock: Clock },
  config: Config,
): WatchedCertificates => {
  const files = certificateFilesOf(config);
  for (const pair of files) finishReplacement(pair);
  return createCertificates(needs, files, { engineHost: config.engine.host });
};

/** The upkeep, and the door of the Admin API to what is served. */
export const createServerCertificates = (
  needs: UpkeepNeeds,
  config: Config,
): ServerCertificates & Pick<CertificateUpkeep, 'start' | 'stop'> => {
  const { clock, certificates } = needs;
  const { host } = config.engine;
  const files = certificateFilesOf(config);
  const upkeep = createCertificateUpkeep(needs, { host, files, authority: authorityOf(config) });
  let watch: Timer | undefined;
  const factsOf = (pair: CertificatePair, others: readonly CertificatePair[]) => {
    const covered = coverageOf(pair, host);
    return {
      names: pair.names,
      coversHost: covered.host,
      coversTunnels: covered.tunnels,
      keyType: pair.keyType,
      chain: pair.chain,
      warnings: warningsOf(pair, host, clock.now(), others),
    };
  };
  return {
    host,
    start() {
      // Handshakes look as well; this is for the hours in which there are none, so that the log tells of new files at once.
      watch = every(clock, LIMITS.certificateCheckMs, certificates.reload);
      return upkeep.start();
    },
    stop() {
      watch?.cancel();
      upkeep.stop();
    },
    get lastReload() {
      return certificates.lastReload;
    },
    list: () => {
      const pairs = certificates.current();
      return pairs.map((pair, index): ServedCertificate => {
        const { source = 'files', renewsAt, obstacle } = upkeep.standingOf(index) ?? {};
        const lastRenewal = upkeep.lastRenewalOf(index);
        return {
          ...factsOf(pair, pairs),
          ...(files[index] as CertificateFiles),
          source,
          ...(renewsAt !== undefined && { renewsAt }),
          ...(obstacle !== undefined && { obstacle }),
          ...(lastRenewal && { lastRenewal }),
        };
      });
    },
    async check(uploaded) {
      try {
        const pair = uploadedPair(uploaded);
        const found = await problemsOf(pair, clock, host);
        return { problems: found, facts: factsOf(pair, []) };
      } catch (thrown) {
        return { problems: [problemFrom(thrown)] };
      }
    },
    async replace(index, uploaded) {
      const place = files[index];
      if (!place) throw fail('SERVER_CERTIFICATE_UNKNOWN', { index });
      await replaceProven(place, index, uploaded, needs, host);
    },
  };
};

const replaceProven = async (
  place: CertificateFiles,
  index: number,
  uploaded: UploadedPair,
  { log, clock, certificates }: UpkeepNeeds,
  host: string,
): Promise<void> => {
  const refuse = (problem: string) => fail('SERVER_CERTIFICATE_REFUSED', { problem });
  const before = certificates.current()[index];
  let pair: CertificatePair;
  try {
    pair = uploadedPair(uploaded);
  } catch (thrown) {
    throw refuse(problemFrom(thrown));
  }
  const [problem] = await problemsOf(pair, clock, host);
  if (problem !== undefined) throw refuse(problem);
  if (certificates.current()[index] !== before) throw fail('VERSION_OUTDATED');
  // No pause from here on: nobody else writes these files meanwhile, and a handshake gets the old pair or the new one.
  const { undo } = replacePair(place, pair);
  const fault = certificates.reload();
  const { fingerprint256 } = pair.chain[0];
  const isServed = certificates.current()[index]?.chain[0].fingerprint256 === fingerprint256;
  if (fault === undefined && isServed) {
    log.info(
      { certFile: place.certFile, fingerprint: fingerprint256 },
      'the certificate was replaced by an upload',
    );
    return;
  }
  undo();
  certificates.reload();
  throw refuse(fault ?? 'the files were not taken up');
};

const uploadedPair = ({ cert, key }: UploadedPair): CertificatePair =>
  pairFrom({
    cert: Buffer.from(cert),
    key: Buffer.from(key),
    certName: 'the certificate',
    keyName: 'the private key',
  });

/** What would keep a pair that can be read from being used. */
const problemsOf = async (pair: CertificatePair, clock: Clock, host: string): Promise<string[]> => {
  const problem = problemOfTime(pair, 'the certificate', clock.now());
  if (problem !== undefined) return [problem];
  return provePair(pair, { clock, host }).then(
    () => [],
    (thrown: unknown) => [problemFrom(thrown)],
  );
};

const problemFrom = (thrown: unknown): string => {
  const error = engineErrorFrom(thrown);
  const { problem } = error.details;
  return typeof problem === 'string' ? problem : error.message;
};
