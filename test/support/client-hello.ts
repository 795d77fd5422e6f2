/** ClientHellos for tests: captured ones from test/fixtures/client-hello, and ones made by hand so that they may be wrong. */
import { readFileSync } from 'node:fs';

/** The bytes of a captured hello; lines that begin with # are notes. */
export const readHello = (name: string): Buffer => {
  const text = readFileSync(new URL(`../fixtures/client-hello/${name}.hex`, import.meta.url), 'latin1');
  return Buffer.from(text.replaceAll(/^#.*$|\s/gm, ''), 'hex');
};

const number = (value: number, size: number): Buffer => {
  const bytes = Buffer.alloc(size);
  bytes.writeUIntBE(value, 0, size);
  return bytes;
};

/** A length of `size` bytes and what it counts. */
export const vector = (size: number, ...parts: Buffer[]): Buffer => {
  const content = Buffer.concat(parts);
  return Buffer.concat([number(content.length, size), content]);
};

export const numbers = (...values: number[]): Buffer =>
  Buffer.concat(values.map((value) => number(value, 2)));

export const extension = (type: number, data: Buffer): Buffer =>
  Buffer.concat([number(type, 2), vector(2, data)]);

export const serverNameExtension = (name: string): Buffer =>
  extension(0, vector(2, Buffer.from([0]), vector(2, Buffer.from(name, 'latin1'))));

export const alpnExtension = (...protocols: string[]): Buffer =>
  extension(16, vector(2, ...protocols.map((protocol) => vector(1, Buffer.from(protocol, 'latin1')))));

export const versionsExtension = (...versions: number[]): Buffer =>
  extension(43, vector(1, numbers(...versions)));

export const groupsExtension = (...groups: number[]): Buffer => extension(10, vector(2, numbers(...groups)));

export const signaturesExtension = (...algorithms: number[]): Buffer =>
  extension(13, vector(2, numbers(...algorithms)));

/** Parts of a hello; what is left out is as a modest client would send it. */
export interface HelloParts {
  legacyVersion?: number;
  ciphers?: Buffer;
  compression?: Buffer;
  sessionId?: Buffer;
  /** null leaves out even their length, as TLS 1.2 allows. */
  extensions?: Buffer[] | null;
  /** Bytes behind everything. */
  trailer?: Buffer;
}

/** A handshake message, without records. */
export const messageFrom = (parts: HelloParts): Buffer => {
  const { legacyVersion = 0x0303, ciphers = numbers(0x1301), compression = Buffer.from([0]) } = parts;
  const { sessionId = Buffer.alloc(0), extensions = [], trailer = Buffer.alloc(0) } = parts;
  const body = Buffer.concat([
    number(legacyVersion, 2),
    Buffer.alloc(32, 7),
    vector(1, sessionId),
    vector(2, ciphers),
    vector(1, compression),
    extensions === null ? Buffer.alloc(0) : vector(2, ...extensions),
    trailer,
  ]);
  return Buffer.concat([Buffer.from([1]), vector(3, body)]);
};

/** A message cut into handshake records of at most `fragmentBytes` each. */
export const recordsFrom = (message: Buffer, fragmentBytes = 16_384): Buffer => {
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += fragmentBytes)
    records.push(Buffer.from([22, 3, 1]), vector(2, message.subarray(at, at + fragmentBytes)));
  return Buffer.concat(records);
};

/** A whole hello in one record. */
export const helloFrom = (parts: HelloParts): Buffer => recordsFrom(messageFrom(parts));
