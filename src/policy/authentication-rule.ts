/**
 * The rule by proof, the last in the order: a downstream that everything else allows must be somebody who may open streams.
 *
 * Invariant: a proof counts only by a method that the tunnel allows. One is enough.
 */
import { PERMISSIONS } from '../base/principal.ts';
import type { Rule } from './verdict.ts';

/** The ways in which a tunnel lets downstreams prove who they are. */
export interface AuthenticationMethods {
  /** `token_auth`. */
  readonly token: boolean;
  /** `mtls_auth`. */
  readonly certificate: boolean;
}

/** What a downstream needs, by every method. */
export const STREAM_PERMISSION = PERMISSIONS.manageStreams;

export const authenticationRule =
  (methods: AuthenticationMethods): Rule =>
  ({ principal }) => {
    const method = principal?.kind === 'certificate' ? 'certificate' : 'token';
    if (!principal || !methods[method]) return methods.token ? 'TOKEN_MISSING' : 'CLIENT_CERTIFICATE_MISSING';
    const { permissions } = principal;
    return permissions === null || permissions.has(STREAM_PERMISSION) ? undefined : 'PERMISSION_MISSING';
  };
