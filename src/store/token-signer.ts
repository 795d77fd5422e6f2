/**
 * Signs the tokens that the engine itself issues, with the claims that official clients read (protocol.md 9.1).
 */

import { SignJWT } from 'jose';
import { randomText } from '../base/ids.ts';
import { isoFrom } from '../base/instant.ts';
import type { Clock } from '../base/time.ts';
import type { AuthTokenOrder } from './credential-order.ts';
import type { CredentialRecord } from './credential-table.ts';
import type { KeyRing } from './key-ring.ts';
import { endOf } from './token-families.ts';

export interface TokenSignerNeeds {
  readonly clock: Clock;
  readonly keyRing: KeyRing;
  /** Named as issuer. */
  readonly engineHost: string;
}

const HEADER = { alg: 'HS256', typ: 'JWT' };

/** The unit of claims. */
export const wholeSeconds = (ms: number): number => Math.floor(ms / 1_000);

export const createTokenSigner = ({ clock, keyRing, engineHost }: TokenSignerNeeds) => ({
  /**
   * A personal access token. It claims no permissions, as the record decides; no two are the same, also when one replaces the other
   * within a second.
   */
  personal({ id, expiresAt }: CredentialRecord): Promise<string> {
    const draft = new SignJWT({ type: 'pat' })
      .setProtectedHeader(HEADER)
      .setIssuer(engineHost)
      .setSubject(id)
      .setJti(randomText(20))
      .setIssuedAt(wholeSeconds(clock.now()));
    if (expiresAt !== undefined) draft.setExpirationTime(wholeSeconds(expiresAt));
    return draft.sign(keyRing.current());
  },

  /**
   * An auth token, which ends with its source at the latest.
   * @param sourceUpdatedAt when the proof of the source was made; absent where the store knows none
   */
  async auth(
    { source, resources, expiresInSeconds }: AuthTokenOrder,
    permissions: readonly string[] | null,
    sourceUpdatedAt: number | undefined,
  ): Promise<{ token: string; expiresAt: number }> {
    const issuedAt = wholeSeconds(clock.now());
    const { expiresAt = 0 } = endOf((issuedAt + expiresInSeconds) * 1_000, source.expiresAt);
    const token = await new SignJWT({
      type: 'auth',
      userId: source.userId ?? source.credentialId,
      permissions: permissions as string[] | null,
      ...(resources !== undefined && { resources }),
      sourceCredentialId: source.credentialId,
      ...(sourceUpdatedAt !== undefined && {
        sourceCredentialUpdatedAt: isoFrom(sourceUpdatedAt),
      }),
    })
      .setProtectedHeader(HEADER)
      .setIssuer(engineHost)
      .setIssuedAt(issuedAt)
      .setExpirationTime(wholeSeconds(expiresAt))
      .sign(keyRing.current());
    return { token, expiresAt: wholeSeconds(expiresAt) * 1_000 };
  },
});
