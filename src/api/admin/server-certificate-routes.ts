/**
 * The certificates that the engine shows to agents and downstreams: what they are, whether others would do, and to replace them.
 *
 * Invariant: a key goes in and never out: no shape here has a place for one, and no refusal repeats what was sent.
 */

import type { X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { fail } from '../../base/errors.ts';
import { isoFrom } from '../../base/instant.ts';
import type { Clock } from '../../base/time.ts';
import { type AdminRoute, route } from './route.ts';

/** A chain, and what is to be said of it. */
export interface CertificateFacts {
  /** DNS names and addresses. */
  readonly names: readonly string[];
  readonly coversHost: boolean;
  /** Whether it is good for `*.t.<host>`. */
  readonly coversTunnels: boolean;
  /** For people: `ec prime256v1`, `rsa 2048`. */
  readonly keyType: string;
  readonly chain: readonly [X509Certificate, ...X509Certificate[]];
  /** Sentences; what keeps no certificate from being used. */
  readonly warnings: readonly string[];
}

/** How something that happens by itself went. */
interface Attempt {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly problem?: string;
}

export interface ServedCertificate extends CertificateFacts {
  readonly certFile: string;
  readonly keyFile: string;
  readonly source: 'local_ca' | 'files';
  readonly renewsAt?: number;
  readonly obstacle?: string;
  readonly lastRenewal?: Attempt;
}

/** PEM. */
export interface UploadedPair {
  readonly cert: string;
  readonly key: string;
}

/** Provided by the lobby. */
export interface ServerCertificates {
  readonly host: string;
  /** In the order of the configuration. */
  list(): readonly ServedCertificate[];
  readonly lastReload: Attempt | undefined;
  /** Looks at a pair and keeps nothing. Problems would keep it from being used. */
  check(
    pair: UploadedPair,
  ): Promise<{ readonly problems: readonly string[]; readonly facts?: CertificateFacts }>;
  /** @throws SERVER_CERTIFICATE_UNKNOWN, SERVER_CERTIFICATE_REFUSED, CERTIFICATE_FILES_FIXED; what is served stays then */
  replace(index: number, pair: UploadedPair): Promise<void>;
}

export interface ServerCertificateRoutesNeeds {
  readonly clock: Clock;
  readonly serverCertificates: ServerCertificates;
}

const instant = z.iso.datetime();

const linkSchema = z.object({
  subject: z.string(),
  issuer: z.string(),
  serial: z.string(),
  fingerprint_sha256: z.string(),
  not_before: instant,
  not_after: instant,
});

const factsSchema = linkSchema.extend({
  names: z.array(z.string()),
  covers_host: z.boolean(),
  covers_tunnels: z.boolean().meta({ description: 'Whether it is good for *.t.<host>.' }),
  key_type: z.string(),
  state: z.enum(['valid', 'expired', 'not_yet_valid']),
  chain: z
    .array(linkSchema)
    .meta({ description: 'As it is sent: the certificate itself, then its issuers.' }),
  warnings: z.array(z.string()),
});

const attemptSchema = z.object({
  at: instant,
  problem: z.string().optional().meta({ description: 'Absent when it went well.' }),
});

const servedSchema = factsSchema.extend({
  index: z.int(),
  cert_file: z.string(),
  key_file: z.string(),
  source: z
    .enum(['local_ca', 'files'])
    .meta({ description: 'Whether the local CA of this engine has made it.' }),
  renews_at: instant.optional().meta({ description: 'When the engine renews it by itself.' }),
  renewal_obstacle: z
    .string()
    .optional()
    .meta({ description: 'Why it does not, though the local CA has made it.' }),
  last_renewal: attemptSchema.optional(),
  etag: z.string(),
});

const listSchema = z.object({
  host: z.string(),
  items: z.array(servedSchema),
  last_reload: attemptSchema
    .optional()
    .meta({ description: 'What became of files that had changed; absent as long as none has.' }),
});

const pem = (description: string) => z.string().min(1).max(48_000).meta({ description });
const uploadSchema = z.strictObject({
  certificate: pem('The certificate itself first, then its intermediates, in PEM.'),
  private_key: pem('Its key in PEM, not encrypted.'),
});

const checkedSchema = z.object({
  is_usable: z.boolean(),
  problems: z.array(z.string()).meta({ description: 'What would keep it from being used.' }),
  facts: factsSchema.optional().meta({ description: 'Absent when it cannot be read.' }),
});

const pairOf = ({ certificate, private_key }: z.output<typeof uploadSchema>): UploadedPair => ({
  cert: certificate,
  key: private_key,
});

/** A subject in one line. */
const inLine = (name: string | undefined): string => (name ?? '').replaceAll('\n', ', ');
const fingerprintOf = ({ fingerprint256 }: X509Certificate): string =>
  fingerprint256.replaceAll(':', '').toLowerCase();

const linkFrom = (certificate: X509Certificate) => ({
  subject: inLine(certificate.subject),
  issuer: inLine(certificate.issuer),
  serial: certificate.serialNumber.toLowerCase(),
  fingerprint_sha256: fingerprintOf(certificate),
  not_before: isoFrom(Date.parse(certificate.validFrom)),
  not_after: isoFrom(Date.parse(certificate.validTo)),
});

const stateAt = (nowMs: number, { validFrom, validTo }: X509Certificate) => {
  if (Date.parse(validTo) <= nowMs) return 'expired';
  return Date.parse(validFrom) > nowMs ? 'not_yet_valid' : 'valid';
};

const factsFrom = ({ chain, ...facts }: CertificateFacts, nowMs: number) => ({
  ...linkFrom(chain[0]),
  names: [...facts.names],
  covers_host: facts.coversHost,
  covers_tunnels: facts.coversTunnels,
  key_type: facts.keyType,
  state: stateAt(nowMs, chain[0]),
  chain: chain.map(linkFrom),
  warnings: [...facts.warnings],
});

const attemptFrom = ({ at, problem }: Attempt) => ({
  at: isoFrom(at),
  ...(problem !== undefined && { problem }),
});

const servedFrom = (served: ServedCertificate, index: number, nowMs: number) => ({
  ...factsFrom(served, nowMs),
  index,
  cert_file: served.certFile,
  key_file: served.keyFile,
  source: served.source,
  ...(served.renewsAt !== undefined && { renews_at: isoFrom(served.renewsAt) }),
  ...(served.obstacle !== undefined && { renewal_obstacle: served.obstacle }),
  ...(served.lastRenewal && { last_renewal: attemptFrom(served.lastRenewal) }),
  etag: fingerprintOf(served.chain[0]),
});

export const serverCertificateRoutes = ({
  clock,
  serverCertificates,
}: ServerCertificateRoutesNeeds): readonly AdminRoute[] => {
  const shown = () =>
    serverCertificates.list().map((served, index) => servedFrom(served, index, clock.now()));
  const indexFrom = (id: string): number => {
    const index = /^\d$/.test(id) ? Number(id) : -1;
    if (!shown()[index]) throw fail('SERVER_CERTIFICATE_UNKNOWN', { index: id });
    return index;
  };
  return [
    route({
      method: 'GET',
      path: '/server-certificates',
      operationId: 'listServerCertificates',
      summary: 'The certificates that the engine shows, and what became of them.',
      access: 'viewer',
      answers: listSchema,
      answer: () => {
        const { host, lastReload } = serverCertificates;
        return { host, items: shown(), ...(lastReload && { last_reload: attemptFrom(lastReload) }) };
      },
    }),
    route({
      method: 'POST',
      path: '/server-certificates/check',
      operationId: 'checkServerCertificate',
      summary: 'Look at a certificate and its key, and keep nothing of them.',
      access: 'admin',
      body: uploadSchema,
      answers: checkedSchema,
      answer: async ({ body }) => {
        const { problems, facts } = await serverCertificates.check(pairOf(body));
        return {
          is_usable: problems.length === 0,
          problems: [...problems],
          ...(facts && { facts: factsFrom(facts, clock.now()) }),
        };
      },
    }),
    route({
      method: 'PUT',
      path: '/server-certificates/:id',
      operationId: 'replaceServerCertificate',
      summary: 'Replace a certificate and its key in their files. What is not proven changes nothing.',
      access: 'admin',
      action: 'server_certificate.replace',
      isVersioned: true,
      body: uploadSchema,
      answers: servedSchema,
      answer: async ({ id, ctx, body }) => {
        const index = indexFrom(id);
        if (ctx.req.headers['if-match'] !== shown()[index]?.etag) throw fail('VERSION_OUTDATED');
        await serverCertificates.replace(index, pairOf(body));
        return shown()[index];
      },
    }),
  ];
};
