/**
 * What a policy looks at, and what comes of it.
 *
 * Invariant: a rule sees {@link Facts} and nothing else, so that one verdict can be given again later from the same facts.
 */
import type { ErrorCode } from '../base/errors.ts';
import type { Principal } from '../base/principal.ts';

/** What is known of a connection; what is absent is not known, and a rule that asks for it denies. */
export interface ConnectionFacts {
  /** Canonical (base/ip.ts). */
  readonly remoteAddress: string;
  /** `TLSv1.2` or `TLSv1.3`; absent where the engine does not end TLS. */
  readonly tlsVersion?: string | undefined;
  /** IANA name of the suite. */
  readonly cipher?: string | undefined;
  /** Whether the keys were agreed on with a post-quantum group, X25519MLKEM768. */
  readonly isPostQuantum?: boolean | undefined;
}

/** What a rule may see. */
export interface Facts extends ConnectionFacts {
  /** ISO 3166-1 alpha-2; gathered only for policies that need it. */
  readonly country?: string | undefined;
  /** Who the downstream has proved to be; gathered only for policies that need it. */
  readonly principal?: Principal | undefined;
}

/** Why a connection is denied; the sentences of these codes tell nothing of the rules. */
export type DenialCode = Extract<
  ErrorCode,
  | 'ADDRESS_FORBIDDEN'
  | 'COUNTRY_FORBIDDEN'
  | 'TLS_FORBIDDEN'
  | 'TUNNEL_FORBIDDEN'
  | 'TOKEN_MISSING'
  | 'CLIENT_CERTIFICATE_MISSING'
  | 'PERMISSION_MISSING'
>;

export type Verdict = { readonly kind: 'allow' } | { readonly kind: 'deny'; readonly code: DenialCode };

/** One test: undefined when the facts pass it. */
export type Rule = (facts: Facts) => DenialCode | undefined;
