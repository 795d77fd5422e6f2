/**
 * Whether a downstream may reach a tunnel: its policy's verdict, with the proof that the policy waits for.
 *
 * Flow: exchange.ts asks for every request, raw.ts for every connection, before anything goes upstream.
 * Invariant: a tunnel without authentication costs what its policy costs, at once; a token that is known costs no cryptography. A proof is
 * verified only for those whom every other rule allows, so that nobody else can make the engine work.
 */
import { type EngineError, type ErrorCode, engineErrorFrom, fail } from '../base/errors.ts';
import type { Principal } from '../base/principal.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { EdgeConnection } from './connection.ts';
import { type OfferedProof, offeredProof } from './offered-proof.ts';
import type { Policies } from './policies.ts';
import type { DownstreamRequest } from './request.ts';

/** Provided by store/proofs.ts; the address is that of the downstream. */
export interface ProofVerifiers {
  knownToken(token: string): Principal | undefined;
  /** Rejects with TOKEN_INVALID, TOKEN_EXPIRED, TOKEN_REVOKED, BOUNDARIES_NOT_ENFORCED or AUTHENTICATION_THROTTLED. */
  verifyToken(token: string, address: string): Promise<Principal>;
  /** Throws CLIENT_CERTIFICATE_UNKNOWN, _EXPIRED or _REVOKED, or AUTHENTICATION_THROTTLED. */
  verifyCertificate(fingerprint: string, address: string): Principal;
}

/** May pass, and as whom: undefined where nobody asks. Or why not. */
export type Admission = { readonly principal: Principal | undefined } | EngineError;

/** At once where no cryptography is needed; never rejects. */
export type Admit = (
  tunnel: Tunnel,
  connection: EdgeConnection,
  request?: DownstreamRequest,
) => Admission | Promise<Admission>;

export interface AdmissionNeeds {
  readonly policies: Pick<Policies, 'judge' | 'methodsOf' | 'awaitsProof'>;
  readonly proofs: ProofVerifiers;
}

const NOBODY: Admission = Object.freeze({ principal: undefined });

export const createAdmission = ({ policies, proofs }: AdmissionNeeds): Admit => {
  const judge = (tunnel: Tunnel, connection: EdgeConnection, principal?: Principal): Admission => {
    const denial = policies.judge(tunnel, connection, principal);
    if (!denial) return principal ? { principal } : NOBODY;
    return isMisdirected(denial.code, tunnel, connection) ? fail('MISDIRECTED_REQUEST') : denial;
  };

  /** Undefined when there is nothing to verify, or it takes longer. */
  const verified = (proof: OfferedProof, address: string): Principal | EngineError | undefined => {
    try {
      if (proof.kind === 'token') return proofs.knownToken(proof.token);
      if (proof.kind === 'certificate') return proofs.verifyCertificate(proof.fingerprint, address);
      return proof.kind === 'several' ? fail('AMBIGUOUS_PROOF') : undefined;
    } catch (thrown) {
      return engineErrorFrom(thrown);
    }
  };

  return (tunnel, connection, request) => {
    const methods = policies.methodsOf(tunnel);
    // What else denies comes first, and is all that is told: no proof is looked at for it.
    if (!methods || !policies.awaitsProof(tunnel, connection)) return judge(tunnel, connection);
    const proof = offeredProof(methods, connection, request);
    const { remoteAddress } = connection;
    const found = verified(proof, remoteAddress);
    if (found instanceof Error) return found;
    if (!found && proof.kind === 'token')
      return proofs
        .verifyToken(proof.token, remoteAddress)
        .then((principal) => judge(tunnel, connection, principal), engineErrorFrom);
    // A connection of its own would be asked for a certificate.
    if (!found && methods.certificate && (isForeign(tunnel, connection) || isOlder(tunnel, connection)))
      return fail('MISDIRECTED_REQUEST');
    return judge(tunnel, connection, found);
  };
};

/**
 * Whether a connection was made to another host, as one that carries requests may be: it has met the rules of that, and the downstream is
 * to make one to this (RFC 9110 7.4), which tells it nothing of the rules of this.
 */
const isForeign = ({ properties }: Tunnel, { serverName }: EdgeConnection): boolean =>
  properties.protocol === 'http' && serverName !== properties.hostname;

/** Whether a connection was made before its tunnel was opened: its TLS is what the tunnel that had the name then asked for. */
const isOlder = ({ properties, openedAt }: Tunnel, { acceptedAt = openedAt }: EdgeConnection): boolean =>
  properties.protocol === 'http' && acceptedAt < openedAt;

const isMisdirected = (code: ErrorCode, tunnel: Tunnel, connection: EdgeConnection): boolean =>
  isForeign(tunnel, connection)
    ? OF_CONNECTION.has(code)
    : code === 'TLS_FORBIDDEN' && isOlder(tunnel, connection);

/** Denials of a connection; those of a request would be the same on every other. */
const OF_CONNECTION: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ADDRESS_FORBIDDEN',
  'COUNTRY_FORBIDDEN',
  'TLS_FORBIDDEN',
  'TUNNEL_FORBIDDEN',
  'AGENT_GONE',
]);
