/**
 * Which certificates a handshake may show: of several pairs, those for the name that the client asks for.
 *
 * Flow: terminate.ts asks with the server name of the ClientHello, which has been read before any TLS. An SNICallback would come too
 * late: the context that it names gives the handshake its last pair alone.
 * Invariant: of each kind of key one pair, the first that covers the name; where none covers it, the first of each kind, so that who asks
 * for another name reads ours in the error.
 * Limits: as much is made as there are choices; the name chooses among them and makes none.
 */
import { type CertificatePair, coversName } from './certificate-pair.ts';

/** OpenSSL holds one of each kind, and shows each client one that it can verify. */
const firstOfEachKind = (pairs: readonly CertificatePair[]): readonly CertificatePair[] =>
  pairs.filter(({ kind }, index) => pairs.findIndex((pair) => pair.kind === kind) === index);

/** The pairs for a server name, or for who gives none. */
export const pairsForName = (
  name: string | undefined,
  pairs: readonly CertificatePair[],
): readonly CertificatePair[] => {
  // Mostly there is nothing to choose, and names need not be compared handshake by handshake.
  if (pairs.length === 1) return pairs;
  const covering = name === undefined ? [] : pairs.filter((pair) => coversName(pair, name));
  return firstOfEachKind(covering.length > 0 ? covering : pairs);
};

/**
 * Makes the function that finds what belongs to the pairs of a server name.
 * @param make is asked once for each choice of pairs
 */
export const createPairChoice = <Made>(
  pairs: readonly CertificatePair[],
  make: (chosen: readonly CertificatePair[]) => Made,
) => {
  const madeByChoice = new Map<string, Made>();
  return (name: string | undefined): Made => {
    const chosen = pairsForName(name, pairs);
    const choice = chosen.map((pair) => pairs.indexOf(pair)).join(' ');
    const known = madeByChoice.get(choice);
    if (known) return known;
    const made = make(chosen);
    madeByChoice.set(choice, made);
    return made;
  };
};
