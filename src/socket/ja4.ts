/**
 * JA4, the fingerprint of a TLS client by its ClientHello, in the form `a_b_c` (FoxIO's public description, BSD 3-Clause part).
 *
 * Invariant: pure. GREASE counts nowhere: client-hello.ts has left it out.
 */
import { createHash } from 'node:crypto';
import type { ClientHello } from './client-hello.ts';

const EXTENSION = { serverName: 0, alpn: 16 } as const;
const NOTHING = '0'.repeat(12);

const VERSION_CODES = new Map([
  [0x0304, '13'],
  [0x0303, '12'],
  [0x0302, '11'],
  [0x0301, '10'],
  [0x0300, 's3'],
  [0x0002, 's2'],
]);

/** What part `a` says in clear, then 12 digits each of the hashes over the sorted ciphers and over extensions and signatures. */
export const ja4From = (hello: ClientHello): string =>
  [overviewOf(hello), digestOf(listOf(sorted(hello.ciphers))), digestOf(extensionsOf(hello))].join('_');

const overviewOf = ({ versions, ciphers, extensions, alpnProtocols }: ClientHello): string => {
  const version = VERSION_CODES.get(Math.max(...versions)) ?? '00';
  const name = extensions.includes(EXTENSION.serverName) ? 'd' : 'i';
  return `t${version}${name}${countOf(ciphers)}${countOf(extensions)}${alpnCodeFrom(alpnProtocols[0])}`;
};

const extensionsOf = ({ extensions, signatureAlgorithms }: ClientHello): string => {
  // The two that differ between connections of one client to several servers.
  const types = extensions.filter((type) => type !== EXTENSION.serverName && type !== EXTENSION.alpn);
  const text = listOf(sorted(types));
  return signatureAlgorithms.length === 0 ? text : `${text}_${listOf(signatureAlgorithms)}`;
};

const countOf = (list: readonly number[]): string => String(Math.min(list.length, 99)).padStart(2, '0');

/** First and last character of the first protocol, or of its bytes in hexadecimal when one of the two is no letter or digit. */
const alpnCodeFrom = (protocol: string | undefined): string => {
  if (protocol === undefined) return '00';
  const text = /^[0-9A-Za-z](?:.*[0-9A-Za-z])?$/s.test(protocol)
    ? protocol
    : Buffer.from(protocol, 'latin1').toString('hex');
  return `${text[0]}${text.at(-1)}`;
};

// A plain array would sort them as texts.
const sorted = (list: readonly number[]): Uint16Array => Uint16Array.from(list).sort();

const listOf = (list: Iterable<number>): string =>
  Array.from(list, (value) => value.toString(16).padStart(4, '0')).join(',');

const digestOf = (text: string): string =>
  text === '' ? NOTHING : createHash('sha256').update(text).digest('hex').slice(0, 12);
