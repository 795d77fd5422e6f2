/** The names that a server certificate is for, as the rooms that look at certificates compare them. */
import type { X509Certificate } from 'node:crypto';
import { addressFromBytes, bytesFromAddress } from './ip.ts';

/** DNS names and addresses in subjectAltName, lower case, addresses in their short form. */
export const namesOf = ({
  subjectAltName = '',
}: Pick<X509Certificate, 'subjectAltName'>): readonly string[] =>
  [...subjectAltName.matchAll(/(?:DNS|IP Address):([^,\s"]+)/g)].map(([, name = '']) => {
    const bytes = bytesFromAddress(name);
    return bytes ? addressFromBytes(bytes) : name.toLowerCase();
  });
