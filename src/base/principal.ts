/**
 * Who a proof proves, and what that one may do.
 *
 * Flow: store verifies a credential into a Principal; control, edge and api ask it for a permission before every operation.
 * Invariant: `permissions` null means unrestricted and comes only from a credential whose issuer left them out (protocol.md 9.3).
 */
import { type EngineError, fail } from './errors.ts';

/** The permissions that this edition knows (protocol.md 9.3). */
export const PERMISSIONS = {
  readResources: 'tunnels.resources.read-only',
  manageTunnels: 'tunnels.tunnels.create-delete',
  manageStreams: 'tunnels.streams.create-delete',
} as const;
export type Permission = (typeof PERMISSIONS)[keyof typeof PERMISSIONS];

/**
 * Lets a personal access token use the Admin API. It is given by name only: a token without a list of permissions, which may do all that
 * agents do, does not have it, and neither does what others sign or what is minted from a token.
 */
export const ADMIN_PERMISSION = 'engine.admin';

/** The outcome of a verified proof. */
export interface Principal {
  /** Stable through reconnects and shared by all sessions of one credential: names are owned by it. */
  readonly credentialId: string;
  /**
   * `pat`: a personal access token of our store; `auth`: a short-lived token that we minted from another credential, whose id it bears;
   * `app`: signed with the key of an application; `certificate`: a registered client certificate; `jwt`: signed with the operator's
   * shared secret.
   */
  readonly kind: 'pat' | 'auth' | 'app' | 'certificate' | 'jwt';
  /** What the store knows the proof by, so that a rotation ends what the old proof opened; absent where the store knows none. */
  readonly proof?: string;
  /** The user of the token where it names one, shown as `user_id` by the Engine API. */
  readonly userId?: string;
  readonly permissions: ReadonlySet<string> | null;
  /** Milliseconds since 1970; absent when the proof does not expire. */
  readonly expiresAt?: number;
}

/** Throws PERMISSION_MISSING, which names the permission, unless the principal has it. */
export const requirePermission = (principal: Principal, permission: Permission): void => {
  if (principal.permissions !== null && !principal.permissions.has(permission))
    throw fail('PERMISSION_MISSING', { permission });
};

/** What those are told whose connection ends because the proof that opened it holds no longer. */
export const endedProofOf = ({ kind }: Principal): EngineError =>
  kind === 'certificate' ? fail('CLIENT_CERTIFICATE_REVOKED') : fail('TOKEN_REVOKED');
