/**
 * Writes a private key and its certificates into one password-protected file (PKCS#12, RFC 7292).
 *
 * Flow: authority.ts makes one for each client certificate; browsers, phones, keychains, OpenSSL and Java import it.
 * Invariant: both the certificates and the key are encrypted, and the whole is authenticated, by what OpenSSL 3 chooses itself: PBES2
 * with AES-256 and HMAC-SHA-256. The layout is OpenSSL's too, as importers are tested with its files.
 */
import { createCipheriv, createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';

export interface Pkcs12Contents {
  /** Shown by importers. */
  readonly name: string;
  readonly password: string;
  /** DER; the leaf, then its authorities. */
  readonly certificates: readonly Buffer[];
  /** PKCS#8 in DER. */
  readonly key: Buffer;
}

// More would not help a random password, and phones are slow.
const ITERATIONS = 10_000;
const SALT_BYTES = 16;

const TAG = {
  integer: 0x02,
  octets: 0x04,
  nothing: 0x05,
  oid: 0x06,
  bmp: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const;

const OID = {
  data: '1.2.840.113549.1.7.1',
  encryptedData: '1.2.840.113549.1.7.6',
  shroudedKeyBag: '1.2.840.113549.1.12.10.1.2',
  certificateBag: '1.2.840.113549.1.12.10.1.3',
  x509Certificate: '1.2.840.113549.1.9.22.1',
  friendlyName: '1.2.840.113549.1.9.20',
  localKeyId: '1.2.840.113549.1.9.21',
  pbes2: '1.2.840.113549.1.5.13',
  pbkdf2: '1.2.840.113549.1.5.12',
  hmacSha256: '1.2.840.113549.2.9',
  aes256Cbc: '2.16.840.1.101.3.4.1.42',
  sha256: '2.16.840.1.101.3.4.2.1',
} as const;

export const createPkcs12 = ({ name, password, certificates, key }: Pkcs12Contents): Buffer => {
  const keyId = createHash('sha1').update(certificates[0]!).digest();
  const attributes = set(
    sequence(oid(OID.friendlyName), set(element(TAG.bmp, bmpFrom(name)))),
    sequence(oid(OID.localKeyId), set(octets(keyId))),
  );
  // The attributes join the key and its own certificate; the authorities have none.
  const certificateBags = certificates.map((certificate, at) =>
    sequence(
      oid(OID.certificateBag),
      tagged(0, sequence(oid(OID.x509Certificate), tagged(0, octets(certificate)))),
      at === 0 ? attributes : Buffer.alloc(0),
    ),
  );
  const keyBag = sequence(oid(OID.shroudedKeyBag), tagged(0, shrouded(key, password)), attributes);
  const safes = sequence(encrypted(sequence(...certificateBags), password), plain(sequence(keyBag)));
  return sequence(integer(3), plain(safes), macOver(safes, password));
};

const plain = (content: Buffer): Buffer => sequence(oid(OID.data), tagged(0, octets(content)));

const encrypted = (content: Buffer, password: string): Buffer => {
  const { algorithm, ciphertext } = encrypt(content, password);
  // [0] IMPLICIT OCTET STRING.
  const inner = sequence(oid(OID.data), algorithm, element(0x80, ciphertext));
  return sequence(oid(OID.encryptedData), tagged(0, sequence(integer(0), inner)));
};

const shrouded = (key: Buffer, password: string): Buffer => {
  const { algorithm, ciphertext } = encrypt(key, password);
  return sequence(algorithm, octets(ciphertext));
};

/** PBES2 (RFC 8018 section 6.2). */
const encrypt = (content: Buffer, password: string): { algorithm: Buffer; ciphertext: Buffer } => {
  const salt = randomBytes(SALT_BYTES);
  const iv = randomBytes(16);
  const cipher = createCipheriv('aes-256-cbc', pbkdf2Sync(password, salt, ITERATIONS, 32, 'sha256'), iv);
  const derivation = sequence(
    octets(salt),
    integer(ITERATIONS),
    sequence(oid(OID.hmacSha256), element(TAG.nothing)),
  );
  return {
    algorithm: sequence(
      oid(OID.pbes2),
      sequence(sequence(oid(OID.pbkdf2), derivation), sequence(oid(OID.aes256Cbc), octets(iv))),
    ),
    ciphertext: Buffer.concat([cipher.update(content), cipher.final()]),
  };
};

const macOver = (content: Buffer, password: string): Buffer => {
  const salt = randomBytes(SALT_BYTES);
  const digest = createHmac('sha256', macKeyFrom(password, salt)).update(content).digest();
  const digestInfo = sequence(sequence(oid(OID.sha256), element(TAG.nothing)), octets(digest));
  return sequence(digestInfo, octets(salt), integer(ITERATIONS));
};

/** RFC 7292 appendix B.2 for one block of SHA-256, which is as long as the key of its HMAC. */
const macKeyFrom = (password: string, salt: Buffer): Buffer => {
  const blockBytes = 64;
  const purpose = Buffer.alloc(blockBytes, 3);
  const secret = Buffer.concat([bmpFrom(password), Buffer.alloc(2)]);
  let hash = Buffer.concat([purpose, repeated(salt, blockBytes), repeated(secret, blockBytes)]);
  for (let round = 0; round < ITERATIONS; round += 1) hash = createHash('sha256').update(hash).digest();
  return hash;
};

/** Repeated up to the next multiple of `blockBytes`. */
const repeated = (bytes: Buffer, blockBytes: number): Buffer =>
  Buffer.alloc(Math.ceil(bytes.length / blockBytes) * blockBytes, bytes);

const bmpFrom = (text: string): Buffer => Buffer.from(text, 'utf16le').swap16();

/** One element in DER (X.690). */
const element = (tag: number, ...parts: readonly Buffer[]): Buffer => {
  const content = Buffer.concat(parts);
  const { length } = content;
  const bytes = length > 0xff ? [0x82, length >> 8, length & 0xff] : [0x81, length];
  return Buffer.concat([Buffer.from([tag, ...(length < 0x80 ? [length] : bytes)]), content]);
};

const sequence = (...parts: readonly Buffer[]): Buffer => element(TAG.sequence, ...parts);
const set = (...parts: readonly Buffer[]): Buffer => element(TAG.set, ...parts);
const octets = (content: Buffer): Buffer => element(TAG.octets, content);
/** Explicit, context-specific. */
const tagged = (number: number, content: Buffer): Buffer => element(0xa0 + number, content);

/** Below 32,768, which needs no third byte. */
const integer = (value: number): Buffer =>
  element(TAG.integer, Buffer.from(value < 0x80 ? [value] : [value >> 8, value & 0xff]));

const oid = (text: string): Buffer => {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number);
  const bytes = [first * 40 + second, ...rest].flatMap((arc) => {
    const digits = [arc & 0x7f];
    for (let left = arc >> 7; left > 0; left >>= 7) digits.unshift((left & 0x7f) | 0x80);
    return digits;
  });
  return element(TAG.oid, Buffer.from(bytes));
};
