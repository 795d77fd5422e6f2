/**
 * Client certificates: issued by the local CA, or made elsewhere and registered.
 *
 * Invariant: a private key is in the bundle that is fetched once, and nowhere else; its password is in the answer, and not in the link.
 */

import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { fail } from '../../base/errors.ts';
import { isoFrom } from '../../base/instant.ts';
import type { CredentialRecord } from '../../store/credentials.ts';
import {
  type CredentialRoutesNeeds,
  createCredentialView,
  FAMILIES,
  familyRoutes,
  orderFrom,
  orderSchema,
} from './credential-routes.ts';
import type { Downloads } from './downloads.ts';
import { type AdminRoute, route } from './route.ts';
import { credentialSchema } from './shapes.ts';

export interface CertificateRoutesNeeds extends CredentialRoutesNeeds {
  readonly downloads: Downloads;
}

/** PEM files of the local CA; read at each use, as few engines use them at all. */
export interface LocalAuthority {
  readonly certFile: string;
  readonly keyFile: string;
}

const DAYS_MAX = 3_650;
const PKCS12_TYPE = 'application/x-pkcs12';

const issueSchema = orderSchema.omit({ expires_at: true }).extend({
  days: z.int().min(1).max(DAYS_MAX).default(365),
});

const issuedSchema = credentialSchema.extend({
  password: z.string().meta({ description: 'Opens the bundle; shown only now.' }),
  download_path: z.string().meta({ description: 'Leads to the bundle (PKCS#12), once.' }),
  download_expires_at: z.iso.datetime(),
});

export const certificateRoutes = (
  needs: CertificateRoutesNeeds,
  authority: LocalAuthority,
): readonly AdminRoute[] => {
  const { credentials } = needs;
  const view = createCredentialView(needs);
  const shown = (record: CredentialRecord) => view.one('certificate', record);
  return [
    ...familyRoutes(FAMILIES.certificate, needs),
    route({
      method: 'POST',
      path: FAMILIES.certificate.path,
      operationId: 'issueCertificate',
      summary: 'Make a key and a certificate, register it, and offer both for one download.',
      access: 'admin',
      action: 'certificate.issue',
      body: issueSchema,
      answers: issuedSchema,
      status: 201,
      answer: async ({ body }) => {
        const { days, ...order } = body;
        const identity = await issue(needs, authority, body.name, days);
        const record = credentials.addCertificate({ ...orderFrom(order), pem: identity.clientCertificate });
        const { path, expiresAt } = needs.downloads.offer({
          fileName: `${fileNameFrom(body.name)}.p12`,
          mediaType: PKCS12_TYPE,
          content: identity.archive,
        });
        return {
          ...shown(record),
          password: identity.archivePassword.reveal(),
          download_path: path,
          download_expires_at: isoFrom(expiresAt),
        };
      },
    }),
    route({
      method: 'POST',
      path: `${FAMILIES.certificate.path}/add`,
      operationId: 'addCertificate',
      summary: 'Register a certificate that was made elsewhere.',
      access: 'admin',
      action: 'certificate.add',
      body: orderSchema.extend({
        pem: z.string().max(50_000).meta({ description: 'The certificate itself first.' }),
      }),
      answers: credentialSchema,
      status: 201,
      answer: ({ body: { pem, ...order } }) =>
        shown(credentials.addCertificate({ ...orderFrom(order), pem })),
    }),
  ];
};

const issue = async (
  { clock }: CertificateRoutesNeeds,
  { certFile, keyFile }: LocalAuthority,
  name: string,
  days: number,
) => {
  let pems: { caCertificate: string; caKey: string };
  try {
    pems = { caCertificate: readFileSync(certFile, 'utf8'), caKey: readFileSync(keyFile, 'utf8') };
  } catch (cause) {
    const { code, path } = cause as NodeJS.ErrnoException;
    throw fail('LOCAL_CA_UNAVAILABLE', { problem: `${path} cannot be read (${code})` }, cause);
  }
  // Loaded here alone: certificates take 200 ms to load, and an engine may never make one.
  const { issueClientIdentity } = await import('../../store/authority.ts');
  return issueClientIdentity(pems, { name, days, clock });
};

/** Nothing that leads elsewhere, hides the file or ends the header. */
const fileNameFrom = (name: string): string =>
  name.replace(/[^\w-]+/g, '-').replace(/^-+|-+$/g, '') || 'client';
