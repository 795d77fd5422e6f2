/**
 * Which certificates a handshake may show: of several pairs, those for the name that the client asks for.
 *
 * Flow: terminate.ts gives its server the callback, and makes new contexts when the pairs change.
 * Invariant: of each kind of key one pair, the first that covers the name; where none covers it, the first of each kind, so that who asks
 * for another name reads ours in the error.
 * Limits: as many contexts as there are choices; the name chooses among them and makes none.
 */
import { createSecureContext, type SecureContext, type TlsOptions } from 'node:tls';
import { type CertificatePair, coversName } from './certificate-pair.ts';

/** OpenSSL holds one of each kind, and shows each client one that it can verify. */
export const firstOfEachKind = (pairs: readonly CertificatePair[]): readonly CertificatePair[] =>
  pairs.filter(({ kind }, index) => pairs.findIndex((pair) => pair.kind === kind) === index);

/** The pairs for a server name. */
export const pairsForName = (name: string, pairs: readonly CertificatePair[]): readonly CertificatePair[] => {
  const covering = pairs.filter((pair) => coversName(pair, name));
  return firstOfEachKind(covering.length > 0 ? covering : pairs);
};

/**
 * Makes the function that finds the context for a server name.
 * @param options of the context that is used when no name is given
 */
export const createContextChoice = (pairs: readonly CertificatePair[], options: TlsOptions) => {
  const contexts = new Map<string, SecureContext>();
  return (name: string): SecureContext => {
    const chosen = pairsForName(name, pairs);
    const choice = chosen.map((pair) => pairs.indexOf(pair)).join(' ');
    const known = contexts.get(choice);
    if (known) return known;
    const context = createSecureContext({
      ...options,
      cert: chosen.map(({ cert }) => cert),
      key: chosen.map(({ key }) => key),
    });
    contexts.set(choice, context);
    return context;
  };
};
