/**
 * Auth tokens: for an hour at most, for a browser, a device or a worker, on behalf of another credential.
 *
 * Invariant: never more than the source. A program mints from the token that it sends, whatever its permissions; a person with the role
 * admin names a stored credential. What is minted itself, or was signed elsewhere for a short time, mints nothing.
 */

import { z } from 'zod';
import { fail } from '../../base/errors.ts';
import { isoFrom } from '../../base/instant.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Principal } from '../../base/principal.ts';
import type { Credentials } from '../../store/credentials.ts';
import type { AdminCaller } from './identity.ts';
import { type AdminRoute, route } from './route.ts';

const EXPIRES_IN_DEFAULT = 60;

const orderSchema = z.strictObject({
  source: z.string().max(200).optional().meta({
    description: 'Id or name of the credential that it acts for; only for whoever has the role admin.',
  }),
  permissions: z
    .array(z.string())
    .max(20)
    .nullish()
    .meta({ description: 'All of the source if absent or null.' }),
  resources: z.unknown().optional().meta({ description: 'A tree that grants listing only.' }),
  expires_in: z.int().min(1).max(LIMITS.shortTokenSecondsMax).default(EXPIRES_IN_DEFAULT),
});

const answerSchema = z.object({ token: z.string(), expires_at: z.iso.datetime(), expires_in: z.int() });

export const authTokenRoutes = ({
  credentials,
}: {
  readonly credentials: Pick<Credentials, 'mintAuthToken' | 'principalOf'>;
}): readonly AdminRoute[] => {
  const sourceFrom = (caller: AdminCaller, named: string | undefined): Principal => {
    if (named === undefined) {
      const { principal } = caller;
      if (!principal) throw fail('ADMIN_REQUEST_INVALID', { problem: 'source is missing' });
      if (principal.kind !== 'pat' && principal.kind !== 'jwt')
        throw fail('CREDENTIAL_INVALID', { problem: 'a token that is short-lived itself mints no others' });
      return principal;
    }
    if (caller.role !== 'admin') throw fail('ROLE_MISSING');
    return credentials.principalOf(named);
  };
  return [
    route({
      method: 'POST',
      path: '/auth-tokens',
      operationId: 'mintAuthToken',
      summary: 'Mint a token for an hour at most, with what its source may do, or less.',
      access: 'token',
      action: 'auth.mint',
      body: orderSchema,
      answers: answerSchema,
      status: 201,
      answer: async ({ caller, body }) => {
        const { token, expiresAt } = await credentials.mintAuthToken({
          source: sourceFrom(caller!, body.source),
          permissions: body.permissions ?? null,
          ...(body.resources !== undefined && { resources: body.resources }),
          expiresInSeconds: body.expires_in,
        });
        return { token, expires_at: isoFrom(expiresAt), expires_in: body.expires_in };
      },
    }),
  ];
};
