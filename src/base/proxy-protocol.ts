/**
 * The PROXY protocol, versions 1 and 2 (HAProxy's proxy-protocol.txt): how a proxy tells for whom a connection is.
 *
 * Flow: socket/proxy-header.ts reads headers of trusted proxies with the parser; whoever opens a raw stream for an upstream that asked
 * for a header writes it with `proxyHeaderFor`.
 * Invariant: pure; looks at nothing behind the header; a header that could be read in two ways is refused; addresses come out canonical
 * (base/ip.ts). What is valid but tells no TCP address (LOCAL, UNKNOWN, Unix sockets, UDP) is a header without a source.
 * Limits: proxyLineBytesMax, proxyHeaderBytesMax.
 */
import { type EngineError, fail } from './errors.ts';
import { addressFromBytes, bytesFromAddress, MAPPED_PREFIX } from './ip.ts';
import { LIMITS } from './limits.ts';

export type ProxyVersion = 'v1' | 'v2';

/** One end of a TCP connection. */
export interface Endpoint {
  /** Canonical; '' where it is not known. */
  readonly address: string;
  readonly port: number;
}

/** What a header says. Without a source the connection is the proxy's own, or for somebody whose address it cannot tell. */
export interface ProxyHeader {
  readonly source?: Endpoint;
  /** What the source connected to. */
  readonly destination?: Endpoint;
}

/** Takes bytes until a header is complete. */
export interface ProxyHeaderParser {
  /**
   * @returns the header once it is complete; do not push again after that, nor after an error
   * @throws PROXY_HEADER_MALFORMED
   */
  push(chunk: Buffer): ProxyHeader | undefined;
  /** What was pushed behind the header. */
  readonly rest: Buffer;
}

const LINE_START = Buffer.from('PROXY ');
const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const FIXED_BYTES = 16;
const LF = 0x0a;

const COMMAND = { local: 0, proxy: 1 } as const;
const FAMILY_MAX = 3;
const TRANSPORT_MAX = 2;
// Family and transport in one byte.
const TCP4 = 0x11;
const TCP6 = 0x21;

const NO_SOURCE: ProxyHeader = {};

const malformed = (problem: string): EngineError => fail('PROXY_HEADER_MALFORMED', { problem });

/** A header and its length, or undefined when it has not wholly arrived. */
type Parsed = { readonly header: ProxyHeader; readonly bytes: number } | undefined;

/** Makes a parser for one connection. */
export const createProxyHeaderParser = (): ProxyHeaderParser => {
  // Copied at every further chunk: until a header is complete there is less than its bound, and nearly all come in one.
  let received: Buffer = Buffer.alloc(0);
  let headerBytes = 0;
  return {
    push(chunk) {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      const parsed = parsedFrom(received);
      headerBytes = parsed?.bytes ?? 0;
      return parsed?.header;
    },
    get rest() {
      return received.subarray(headerBytes);
    },
  };
};

const parsedFrom = (received: Buffer): Parsed => {
  if (beginsLike(received, LINE_START)) return lineFrom(received);
  if (beginsLike(received, SIGNATURE)) return binaryFrom(received);
  throw malformed('it begins with something else');
};

/** Whether `received` begins with `opening`, or is too short to tell. */
const beginsLike = (received: Buffer, opening: Buffer): boolean => {
  const length = Math.min(received.length, opening.length);
  return received.compare(opening, 0, length, 0, length) === 0;
};

/** Version 1: a line of text. */
const lineFrom = (received: Buffer): Parsed => {
  const end = received.subarray(0, LIMITS.proxyLineBytesMax).indexOf(LF);
  if (end < 0) {
    if (received.length < LIMITS.proxyLineBytesMax) return undefined;
    throw malformed(`its line is longer than ${LIMITS.proxyLineBytesMax} bytes`);
  }
  const line = received.toString('latin1', 0, end + 1);
  return { header: headerFromLine(line), bytes: end + 1 };
};

// Behind UNKNOWN anything may stand, and none of it counts.
const UNKNOWN_LINE = /^PROXY UNKNOWN(?: [^\n]*)?\r\n$/;
const PORT = '(0|[1-9]\\d{0,4})';
const ADDRESS_LINE = new RegExp(`^PROXY TCP([46]) ([\\da-fA-F.:]+) ([\\da-fA-F.:]+) ${PORT} ${PORT}\r\n$`);

const headerFromLine = (line: string): ProxyHeader => {
  if (UNKNOWN_LINE.test(line)) return NO_SOURCE;
  const [, family, source = '', destination = '', sourcePort, destinationPort] =
    ADDRESS_LINE.exec(line) ?? [];
  if (family === undefined) throw malformed('its line cannot be read');
  const endpointFrom = (address: string, port: string | undefined): Endpoint => {
    const bytes = bytesFromAddress(address);
    if (bytes?.length !== (family === '4' ? 4 : 16)) throw malformed('an address is not of its family');
    if (Number(port) > 65_535) throw malformed('a port is larger than 65535');
    return { address: addressFromBytes(bytes), port: Number(port) };
  };
  return {
    source: endpointFrom(source, sourcePort),
    destination: endpointFrom(destination, destinationPort),
  };
};

/** Version 2: sixteen fixed bytes, then addresses and notes (TLVs), which are skipped. */
const binaryFrom = (received: Buffer): Parsed => {
  if (received.length < FIXED_BYTES) return undefined;
  const version = received.readUInt8(12) >> 4;
  const command = received.readUInt8(12) & 0x0f;
  if (version !== 2) throw malformed(`its version is ${version}`);
  if (command > COMMAND.proxy) throw malformed(`its command is ${command}`);
  const bytes = FIXED_BYTES + received.readUInt16BE(14);
  if (bytes > LIMITS.proxyHeaderBytesMax)
    throw malformed(`it is longer than ${LIMITS.proxyHeaderBytesMax} bytes`);
  // Of a LOCAL connection nothing else counts, not even what would be wrong elsewhere.
  const kind = command === COMMAND.local ? 0 : received.readUInt8(13);
  if (kind >> 4 > FAMILY_MAX || (kind & 0x0f) > TRANSPORT_MAX)
    throw malformed('its address family or transport does not exist');
  const addressBytes = kind === TCP4 ? 4 : kind === TCP6 ? 16 : 0;
  if (bytes < FIXED_BYTES + 2 * addressBytes + (addressBytes && 4))
    throw malformed('it is too short for its addresses');
  if (received.length < bytes) return undefined;
  return { header: addressBytes ? headerFromBlock(received, addressBytes) : NO_SOURCE, bytes };
};

const headerFromBlock = (received: Buffer, addressBytes: number): ProxyHeader => {
  const endpointAt = (index: 0 | 1): Endpoint => {
    const start = FIXED_BYTES + index * addressBytes;
    return {
      address: addressFromBytes(received.subarray(start, start + addressBytes)),
      port: received.readUInt16BE(FIXED_BYTES + 2 * addressBytes + 2 * index),
    };
  };
  return { source: endpointAt(0), destination: endpointAt(1) };
};

/**
 * The header that a connection to an upstream begins with. Where only one end is IPv6, the other is mapped into it; where one is not
 * known, the header tells nothing (UNKNOWN, LOCAL).
 * @param source the downstream
 * @param destination what the downstream connected to
 */
export const proxyHeaderFor = (version: ProxyVersion, source: Endpoint, destination: Endpoint): Buffer => {
  const from = bytesFromAddress(source.address);
  const to = bytesFromAddress(destination.address);
  if (!from || !to) return version === 'v1' ? Buffer.from('PROXY UNKNOWN\r\n') : binary(COMMAND.local, 0);
  const isIPv4 = from.length === 4 && to.length === 4;
  if (version === 'v1') {
    const textOf = ({ address }: Endpoint) =>
      isIPv4 || address.includes(':') ? address : `::ffff:${address}`;
    const ends = `${textOf(source)} ${textOf(destination)} ${source.port} ${destination.port}`;
    return Buffer.from(`PROXY ${isIPv4 ? 'TCP4' : 'TCP6'} ${ends}\r\n`);
  }
  const block = isIPv4 ? [...from, ...to] : [...mapped(from), ...mapped(to)];
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(source.port, 0);
  ports.writeUInt16BE(destination.port, 2);
  return binary(COMMAND.proxy, isIPv4 ? TCP4 : TCP6, Buffer.from([...block, ...ports]));
};

const mapped = (address: Uint8Array): readonly number[] =>
  address.length === 4 ? [...MAPPED_PREFIX, ...address] : [...address];

const binary = (command: number, kind: number, block: Buffer = Buffer.alloc(0)): Buffer =>
  Buffer.concat([
    SIGNATURE,
    Buffer.from([0x20 | command, kind, block.length >> 8, block.length & 255]),
    block,
  ]);
