/** Damages HTTP messages where parsers are known to differ: line ends, white space, colons, numbers, and the headers that frame. */
import type { Random } from './random.ts';

// One character is one byte.
const BYTES = [
  ...'\r\n\0\t :;,/#?*"\'\\+-0159aAfFxXgG(){}@[]',
  '\x01',
  '\x0b',
  '\x0c',
  '\x1b',
  '\x7f',
  '\x80',
  '\xa0',
  '\xff',
];

const SNIPPETS = [
  '\r\n',
  '\r\n\r\n',
  '\n\n',
  '\r\r\n',
  '\r\n ',
  '\r\n\t',
  ' :',
  ': ',
  ' chunked',
  ', chunked',
  'chunked, ',
  '0\r\n\r\n',
  '0\r\nA: b\r\n\r\n',
  '00005\r\n',
  '5;a=b\r\n',
  '5 \r\n',
  '0x5\r\n',
  'ffffffffffffffff5\r\n',
  'GET / HTTP/1.1\r\nHost: z\r\n\r\n',
  'http://x.test',
  '//',
  ' HTTP/1.1',
];

const LINES = [
  'Transfer-Encoding: chunked',
  'transfer-encoding: CHUNKED',
  'Transfer-Encoding : chunked',
  'Transfer-Encoding:\x0bchunked',
  'Transfer-Encoding: identity',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding:',
  'Content-Length: 5',
  'content-length:05',
  'Content-Length: 5, 5',
  'Content-Length: +5',
  'Content-Length: 0x5',
  'Content-Length: 5 5',
  'Content-Length: 18446744073709551621',
  'Content-Length:',
  'Host: other.test',
  'Connection: close',
  'Connection: keep-alive, Content-Length',
  'Connection: upgrade',
  'Upgrade: websocket',
  'Expect: 100-continue',
  'Trailer: A',
  ': nameless',
  'a',
  ' folded: line',
];

const cut = (text: string, at: number, length: number, instead: string): string =>
  text.slice(0, at) + instead + text.slice(at + length);

/** Applies one change to the lines of a message. */
const changeLines = (text: string, random: Random): string => {
  const lines = text.split('\r\n');
  const at = random.below(lines.length);
  const line = lines[at] as string;
  switch (random.below(5)) {
    case 0:
      lines.splice(at, 1);
      break;
    case 1:
      lines.splice(random.below(lines.length), 0, line);
      break;
    case 2:
      lines[at] = random.below(2) === 0 ? line.toUpperCase() : line.toLowerCase();
      break;
    default:
      lines.splice(1 + random.below(lines.length), 0, random.pick(LINES));
  }
  return lines.join('\r\n');
};

/** Applies one change to the bytes of a message. */
const changeBytes = (text: string, random: Random): string => {
  const at = random.below(text.length);
  switch (random.below(5)) {
    case 0:
      return cut(text, at, 1, random.pick(BYTES));
    case 1:
      return cut(text, at, 0, random.pick(BYTES));
    case 2:
      return cut(text, at, 1 + random.below(3), '');
    case 3:
      return cut(text, at, 0, random.pick(SNIPPETS));
    default:
      return cut(text, at, 1, String.fromCharCode(random.below(256)));
  }
};

/** A message of the corpus, as one character a byte, changed in none to three places; sometimes with another behind it, or cut short. */
export const mutate = (corpus: readonly string[], random: Random): string => {
  let text = random.pick(corpus);
  if (random.below(6) === 0) text += random.pick(corpus);
  for (let count = random.below(4); count > 0; count -= 1)
    text = random.below(3) === 0 ? changeLines(text, random) : changeBytes(text, random);
  return random.below(20) === 0 ? text.slice(0, random.below(text.length)) : text;
};

/** The bytes in one piece or in several. */
export const split = (bytes: Buffer, random: Random): Buffer[] => {
  const pieces: Buffer[] = [];
  for (let start = 0; start < bytes.length; ) {
    const end = random.below(2) === 0 ? bytes.length : start + 1 + random.below(bytes.length - start);
    pieces.push(bytes.subarray(start, end));
    start = end;
  }
  return pieces;
};
