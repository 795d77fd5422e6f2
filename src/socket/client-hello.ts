/**
 * Incremental parser of the TLS ClientHello (RFC 8446 4.1.2 and 5.1, RFC 6066 3, RFC 7301 3.1): what a peer wants, before any TLS.
 *
 * Flow: peek.ts pushes what the socket read; the answer goes to dispatch.ts; `received` goes back into the socket, so that OpenSSL
 * reads the same bytes again and judges whatever is not read here.
 * Invariant: pure; looks at each byte a bounded number of times, however the hello is cut into segments and records; throws nothing but
 * an EngineError. Where a hello could be read in two ways it is refused, so that OpenSSL never sees another name than we did.
 * Limits: clientHelloBytesMax, refused as soon as a length says so.
 */
import { type EngineError, fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';

/** What a peer offers. Lists keep the peer's order; GREASE values (RFC 8701) are left out. */
export interface ClientHello {
  /** Lower case, without a trailing dot, valid as a host name. */
  readonly serverName?: string;
  readonly alpnProtocols: readonly string[];
  /** 0x0303 is TLS 1.2, 0x0304 TLS 1.3. */
  readonly versions: readonly number[];
  /** Key exchange groups. */
  readonly groups: readonly number[];
  readonly ciphers: readonly number[];
  /** Types of all extensions, those that are not read included. */
  readonly extensions: readonly number[];
  readonly signatureAlgorithms: readonly number[];
  /** Length on the wire, record headers included. */
  readonly bytes: number;
}

/** Takes bytes until a ClientHello is complete. */
export interface ClientHelloParser {
  /**
   * @returns the hello once it is complete; do not push again after that, nor after an error
   * @throws CLIENT_HELLO_MALFORMED, CLIENT_HELLO_TOO_LARGE, PLAIN_HTTP_ON_TLS_PORT
   */
  push(chunk: Buffer): ClientHello | undefined;
  /** Every byte that was pushed, also those behind the hello. */
  readonly received: Buffer;
}

const HANDSHAKE_RECORD = 22;
const RECORD_HEADER_BYTES = 5;
const CLIENT_HELLO = 1;
const MESSAGE_HEADER_BYTES = 4;
const TLS_1_2 = 0x0303;
const EXTENSION = { serverName: 0, groups: 10, signatures: 13, alpn: 16, versions: 43 } as const;

// A PROXY header that nobody may send here is no request.
const METHOD = /^(?!PROXY )[A-Z]{3,16} /;
const METHOD_BEGUN = /^[A-Z]{1,16}$/;

const malformed = (): EngineError => fail('CLIENT_HELLO_MALFORMED');

/**
 * @param bytesMax refuse a larger hello
 */
export const createClientHelloParser = (bytesMax: number = LIMITS.clientHelloBytesMax): ClientHelloParser => {
  // The first chunk is kept as it is, since nearly every hello comes in one; only a second one makes us copy.
  let buffer: Buffer = Buffer.alloc(0);
  let length = 0;
  // Whole records only: payload of those before `recordStart`.
  let recordStart = 0;
  const fragments: Buffer[] = [];
  let fragmentBytes = 0;
  let messageBytes = 0;

  const append = (chunk: Buffer): void => {
    if (length === 0) buffer = chunk;
    else {
      if (length + chunk.length > buffer.length) {
        const larger = Buffer.allocUnsafe(2 * (length + chunk.length));
        buffer.copy(larger, 0, 0, length);
        buffer = larger;
      }
      chunk.copy(buffer, length);
    }
    length += chunk.length;
  };

  const checkSize = (bytes: number): void => {
    if (bytes > bytesMax) throw fail('CLIENT_HELLO_TOO_LARGE', { limit: bytesMax });
  };

  /** Moves the next record's payload to `fragments`; false when it has not wholly arrived. */
  const takeRecord = (): boolean => {
    if (length - recordStart < RECORD_HEADER_BYTES) return false;
    if (buffer[recordStart] !== HANDSHAKE_RECORD || buffer[recordStart + 1] !== 3) throw malformed();
    const start = recordStart + RECORD_HEADER_BYTES;
    const end = start + buffer.readUInt16BE(start - 2);
    // RFC 8446 5.1: no empty handshake fragments.
    if (end === start) throw malformed();
    checkSize(end);
    if (length < end) return false;
    fragments.push(buffer.subarray(start, end));
    fragmentBytes += end - start;
    recordStart = end;
    return true;
  };

  const takeMessage = (): Buffer | undefined => {
    while (takeRecord()) {
      if (messageBytes === 0 && fragmentBytes >= MESSAGE_HEADER_BYTES) {
        const header = joined(fragments);
        if (header[0] !== CLIENT_HELLO) throw malformed();
        messageBytes = MESSAGE_HEADER_BYTES + header.readUIntBE(1, 3);
        checkSize(RECORD_HEADER_BYTES + messageBytes);
      }
      if (messageBytes !== 0 && fragmentBytes >= messageBytes) return joined(fragments);
    }
    return undefined;
  };

  return {
    push(chunk) {
      append(chunk);
      if (length === 0) return undefined;
      if (buffer[0] !== HANDSHAKE_RECORD) {
        const opening = buffer.toString('latin1', 0, Math.min(length, 17));
        if (METHOD.test(opening)) throw fail('PLAIN_HTTP_ON_TLS_PORT');
        if (METHOD_BEGUN.test(opening) && length < 17) return undefined;
        throw malformed();
      }
      const message = takeMessage();
      if (!message) return undefined;
      // Nothing may follow a ClientHello in its record: no peer has anything to say before the answer.
      if (message.length !== messageBytes) throw malformed();
      return clientHelloFrom(message.subarray(MESSAGE_HEADER_BYTES), recordStart);
    },
    get received() {
      return buffer.subarray(0, length);
    },
  };
};

const joined = (fragments: readonly Buffer[]): Buffer =>
  fragments.length === 1 ? (fragments[0] as Buffer) : Buffer.concat(fragments);

/** Bytes and how far they have been read. */
interface Cursor {
  readonly bytes: Buffer;
  at: number;
}

const cursorFrom = (bytes: Buffer): Cursor => ({ bytes, at: 0 });
const isAtEnd = (cursor: Cursor): boolean => cursor.at === cursor.bytes.length;

const takeBytes = (cursor: Cursor, count: number): Buffer => {
  const start = cursor.at;
  if (start + count > cursor.bytes.length) throw malformed();
  cursor.at = start + count;
  return cursor.bytes.subarray(start, cursor.at);
};

const takeNumber = (cursor: Cursor, size: 1 | 2): number => {
  if (cursor.at + size > cursor.bytes.length) throw malformed();
  const value = cursor.bytes.readUIntBE(cursor.at, size);
  cursor.at += size;
  return value;
};

/** A vector of RFC 8446 3.4: a length of `size` bytes, then as many bytes. */
const takeVector = (cursor: Cursor, size: 1 | 2): Buffer => takeBytes(cursor, takeNumber(cursor, size));

/** The one vector that `bytes` consist of, not empty. */
const onlyVector = (bytes: Buffer, size: 1 | 2): Buffer => {
  const cursor = cursorFrom(bytes);
  const vector = takeVector(cursor, size);
  if (vector.length === 0 || !isAtEnd(cursor)) throw malformed();
  return vector;
};

const clientHelloFrom = (body: Buffer, bytes: number): ClientHello => {
  const cursor = cursorFrom(body);
  const legacyVersion = takeNumber(cursor, 2);
  takeBytes(cursor, 32); // random
  if (takeVector(cursor, 1).length > 32) throw malformed(); // legacy session id
  const ciphers = numbersFrom(takeVector(cursor, 2));
  if (takeVector(cursor, 1).length === 0) throw malformed(); // compression methods
  // TLS 1.2 and older may end here.
  const extensions = isAtEnd(cursor) ? NO_EXTENSIONS : extensionsFrom(takeVector(cursor, 2));
  if (!isAtEnd(cursor)) throw malformed();
  const { serverName, alpnProtocols = [], versions, groups = [], signatureAlgorithms = [] } = extensions;
  return {
    ...(serverName !== undefined && { serverName }),
    alpnProtocols,
    // RFC 8446 4.2.1: without the extension no more than TLS 1.2 may be negotiated, whatever the old field says.
    versions: versions ?? [Math.min(legacyVersion, TLS_1_2)],
    groups,
    ciphers,
    extensions: extensions.types,
    signatureAlgorithms,
    bytes,
  };
};

/** The extensions that are read; a missing field was not sent. */
interface Extensions {
  readonly types: number[];
  serverName?: string;
  alpnProtocols?: string[];
  versions?: number[];
  groups?: number[];
  signatureAlgorithms?: number[];
}

const NO_EXTENSIONS: Extensions = { types: [] };

/** RFC 8446 4.2: one that came twice is refused, else the last one would win here and perhaps the first one in OpenSSL. */
const extensionsFrom = (bytes: Buffer): Extensions => {
  const extensions: Extensions = { types: [] };
  const cursor = cursorFrom(bytes);
  while (!isAtEnd(cursor)) {
    const type = takeNumber(cursor, 2);
    const data = takeVector(cursor, 2);
    if (!isGrease(type)) extensions.types.push(type);
    if (type === EXTENSION.serverName) {
      if (extensions.serverName !== undefined) throw malformed();
      extensions.serverName = serverNameFrom(data);
    } else if (type === EXTENSION.alpn) {
      if (extensions.alpnProtocols) throw malformed();
      extensions.alpnProtocols = alpnProtocolsFrom(data);
    } else if (type === EXTENSION.versions) {
      if (extensions.versions) throw malformed();
      extensions.versions = numbersFrom(onlyVector(data, 1));
    } else if (type === EXTENSION.groups) {
      if (extensions.groups) throw malformed();
      extensions.groups = numbersFrom(onlyVector(data, 2));
    } else if (type === EXTENSION.signatures) {
      if (extensions.signatureAlgorithms) throw malformed();
      extensions.signatureAlgorithms = numbersFrom(onlyVector(data, 2));
    }
  }
  return extensions;
};

// Underscores are no part of a host name (RFC 952) but of many real ones.
const HOST_NAME = /^(?!.{254})[a-z0-9_][a-z0-9_-]{0,62}(?:\.[a-z0-9_][a-z0-9_-]{0,62})*$/;

/** RFC 6066 3 allows a list by type, but only one type was ever defined: like OpenSSL we take exactly one host name. */
const serverNameFrom = (data: Buffer): string => {
  const cursor = cursorFrom(onlyVector(data, 2));
  const type = takeNumber(cursor, 1);
  const name = takeVector(cursor, 2).toString('latin1').toLowerCase().replace(/\.$/, '');
  if (type !== 0 || !isAtEnd(cursor) || !HOST_NAME.test(name)) throw malformed();
  return name;
};

const alpnProtocolsFrom = (data: Buffer): string[] => {
  const cursor = cursorFrom(onlyVector(data, 2));
  const protocols: string[] = [];
  while (!isAtEnd(cursor)) {
    const protocol = takeVector(cursor, 1).toString('latin1');
    // RFC 7301 3.1: no empty names.
    if (protocol === '') throw malformed();
    protocols.push(protocol);
  }
  return protocols;
};

const numbersFrom = (vector: Buffer): number[] => {
  if (vector.length === 0 || vector.length % 2 !== 0) throw malformed();
  const numbers: number[] = [];
  for (let at = 0; at < vector.length; at += 2) {
    const value = vector.readUInt16BE(at);
    if (!isGrease(value)) numbers.push(value);
  }
  return numbers;
};

/** RFC 8701: 0x0a0a, 0x1a1a ... 0xfafa, sent only to find peers that choke on the unknown. */
const isGrease = (value: number): boolean => (value & 0x0f0f) === 0x0a0a && value >> 8 === (value & 0xff);
