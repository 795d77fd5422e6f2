/** What breaks the rules of HTTP/2 is refused before any upstream sees it, and costs nobody else anything. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { connectDownstream } from '../support/downstream.ts';
import { startTcpUpstream, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import {
  CODE,
  codeOf,
  FLAG,
  type Frame,
  type FrameEnd,
  frame,
  headersFrame,
  PREFACE,
  pseudoFields,
  readFrames,
  resetFrame,
  SETTINGS,
  TYPE,
  windowFrame,
} from '../support/http2-frames.ts';
import { HOSTNAME } from './http-upstream.ts';
import { ask, connectHttp2, startBehind, startUpstream } from './http2-sides.ts';

interface Raw extends FrameEnd {
  readonly engine: TestEngine;
  /** Paths that the upstream was asked for. */
  readonly asked: string[];
  send(...frames: Buffer[]): void;
}

/** A connection that has said hello, to an engine whose upstream answers everything but `/held`, and that when its request is whole. */
const connectRaw = async (t: TestContext, upstream?: { port: number }): Promise<Raw> => {
  const asked: string[] = [];
  const usual = await startUpstream(t, 'http/1.1', (request, response) => {
    asked.push(request.url ?? '');
    if (request.url !== '/held') request.resume().on('end', () => response.end('ok'));
  });
  const engine = await startBehind(t, upstream ?? usual, 'http/1.1');
  const socket = await connectDownstream(engine, HOSTNAME, { alpn: ['h2'] });
  t.after(() => socket.destroy());
  const end = readFrames(socket);
  const send = (...frames: Buffer[]) => void socket.write(Buffer.concat(frames));
  send(PREFACE);
  await end.next(TYPE.settings);
  send(frame(TYPE.settings, FLAG.ack, 0));
  return Object.assign(end, { engine, asked, send });
};

const ok = (streamId: number) => headersFrame(streamId, pseudoFields(HOSTNAME, { ':path': '/good' }));

// ":status: 200" as nghttp2 writes it (RFC 7541 appendix A).
const OK_BYTE = 0x88;

const isOk = async (raw: Raw, streamId: number): Promise<void> => {
  raw.send(ok(streamId));
  assert.equal((await raw.next(TYPE.headers, streamId)).payload[0], OK_BYTE);
};

const isGoaway = ({ type }: Frame): boolean => type === TYPE.goaway;

/** The code of the refusal in the log, or that of the RST_STREAM. */
const refusalOf = async (raw: Raw, streamId: number): Promise<string> => {
  const answered = () =>
    raw.frames.find(
      (one) => one.streamId === streamId && (one.type === TYPE.headers || one.type === TYPE.reset),
    );
  await eventually(() => answered() !== undefined || raw.isEnded, 'an answer');
  const first = answered();
  if (!first) return `connection ended with ${codeOf(await raw.next(TYPE.goaway))}`;
  if (first.type === TYPE.reset) return `RST_STREAM ${codeOf(first)}`;
  return raw.engine.log.lines.map(({ fields }) => fields.code).find((code) => code) ?? 'answered';
};

const RESET = `RST_STREAM ${CODE.protocolError}`;
const MALFORMED = 'REQUEST_MALFORMED';
const fields = (changes: Record<string, string | null>, ...more: string[]) => [
  ...pseudoFields(HOSTNAME, changes),
  ...more,
];

describe('a request', () => {
  const CASES: Record<string, [string[], ...string[]]> = {
    'without :method': [fields({ ':method': null }), RESET],
    'without :scheme': [fields({ ':scheme': null }), RESET],
    'without :path': [fields({ ':path': null }), RESET],
    'without :authority and Host': [fields({ ':authority': null }), RESET],
    'with two :method': [fields({}, ':method', 'POST'), RESET],
    'with two :path': [[':path', '/x', ...fields({})], RESET],
    'with two :authority': [[':authority', HOSTNAME, ...fields({})], RESET],
    'with a pseudo-header behind a header': [['x-a', 'b', ...fields({})], RESET],
    'with a pseudo-header of answers': [[':status', '200', ...fields({})], RESET],
    'with a pseudo-header that nobody knows': [[':foo', 'bar', ...fields({})], RESET],
    'with :protocol and no CONNECT': [[':protocol', 'websocket', ...fields({})], RESET],
    'with an empty :path': [fields({ ':path': '' }), RESET],
    'with a :path that is none': [fields({ ':path': 'x' }), RESET],
    'with an absolute :path': [fields({ ':path': `https://${HOSTNAME}/` }), RESET],
    'with an absolute :path and another :scheme': [
      fields({ ':scheme': 'foo', ':path': `https://${HOSTNAME}/` }),
      MALFORMED,
    ],
    'with a blank in :path': [fields({ ':path': '/a HTTP/1.1' }), RESET, MALFORMED],
    'with a line break in :path': [fields({ ':path': '/a\r\nX: y' }), RESET],
    'with a fragment in :path': [fields({ ':path': '/a#b' }), MALFORMED],
    'with the asterisk for GET': [fields({ ':path': '*' }), RESET],
    'with a blank in :method': [fields({ ':method': 'GET /' }), RESET],
    'with an endless :method': [fields({ ':method': 'A'.repeat(33) }), MALFORMED],
    'with a user in :authority': [fields({ ':authority': `user@${HOSTNAME}` }), RESET, MALFORMED],
    'with a blank in :authority': [fields({ ':authority': `${HOSTNAME} x` }), RESET],
    'with a path in :authority': [fields({ ':authority': `${HOSTNAME}/x` }), RESET, MALFORMED],
    'with a Host that disagrees': [fields({}, 'host', 'other.t.localhost'), MALFORMED],
    'with a Host that disagrees about the port': [fields({}, 'host', `${HOSTNAME}:1`), MALFORMED],
    'with two Hosts': [fields({ ':authority': null }, 'host', HOSTNAME, 'host', HOSTNAME), RESET],
    'with a name in upper case': [fields({}, 'X-A', 'b'), RESET],
    'with Connection': [fields({}, 'connection', 'close'), RESET],
    'with Keep-Alive': [fields({}, 'keep-alive', '5'), RESET],
    'with Proxy-Connection': [fields({}, 'proxy-connection', 'keep-alive'), RESET],
    'with Transfer-Encoding': [fields({}, 'transfer-encoding', 'chunked'), RESET],
    'with Upgrade': [fields({}, 'upgrade', 'h2c'), RESET],
    'with TE for more than trailers': [fields({}, 'te', 'gzip'), RESET],
    'with two lengths': [fields({}, 'content-length', '0', 'content-length', '0'), RESET],
    'with a length that is no number': [fields({}, 'content-length', '+0'), RESET],
    'with a length and no body': [fields({ ':method': 'POST' }, 'content-length', '5'), RESET],
    'with an Expect that nobody knows': [fields({}, 'expect', 'everything'), 'EXPECTATION_FAILED'],
    'with more than 32 KiB of headers': [
      fields({}, ...Array.from({ length: 5 }, (_, i) => [`x-${i}`, 'y'.repeat(8_000)]).flat()),
      `RST_STREAM ${CODE.enhanceYourCalm}`,
    ],
    'with more than 200 headers': [
      fields({}, ...Array.from({ length: LIMITS.headerLinesMax }, (_, i) => [`x-${i}`, 'y']).flat()),
      `RST_STREAM ${CODE.enhanceYourCalm}`,
    ],
  };
  for (const [what, [list, ...refusals]] of Object.entries(CASES))
    test(`${what} is refused, and the next one is not`, async (t) => {
      const raw = await connectRaw(t);
      const block = headersFrame(1, list);
      // A header block that is larger than a frame goes on in CONTINUATION.
      const payload = block.subarray(9);
      const parts = [];
      for (let at = 0; at === 0 || at < payload.length; at += 16_000)
        parts.push(payload.subarray(at, at + 16_000));
      raw.send(
        ...parts.map((part, i) => {
          const isLast = i === parts.length - 1 ? FLAG.endHeaders : 0;
          return frame(
            i === 0 ? TYPE.headers : TYPE.continuation,
            isLast | (i === 0 ? FLAG.endStream : 0),
            1,
            part,
          );
        }),
      );
      const refusal = await refusalOf(raw, 1);
      assert.ok(refusals.includes(refusal), refusal);
      await isOk(raw, 3);
      assert.deepEqual(raw.asked, ['/good']);
    });

  test('loses the headers that are none; no upstream sees anything of them', async (t) => {
    let received = '';
    const upstream = await startTcpUpstream(t, (socket) =>
      socket.on('data', (chunk) => {
        received += chunk.toString('latin1');
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      }),
    );
    const raw = await connectRaw(t, upstream);
    const bad = ['x a', '1', 'x:a', '2', '', '3', 'x-a', '4\r\nx-c: d', 'x-a', '5\0'];
    raw.send(headersFrame(1, fields({}, ...bad, 'x-good', 'yes')));
    // A later node:http2 may refuse the whole request, which is as well.
    await eventually(() => raw.frames.some(({ streamId }) => streamId === 1), 'an answer');
    assert.match(`${received}x-good: yes`, /x-good: yes/);
    assert.doesNotMatch(received, /x a|x:a|x-a|x-c/);
  });

  for (const [what, length, body] of [
    ['longer', '2', 'body'],
    ['shorter', '10', 'body'],
  ] as const)
    test(`whose body is ${what} than it said is reset, and its upstream is not told a whole one`, async (t) => {
      const raw = await connectRaw(t);
      const list = fields({ ':method': 'POST', ':path': '/held' }, 'content-length', length);
      raw.send(headersFrame(1, list, FLAG.endHeaders), frame(TYPE.data, FLAG.endStream, 1, body));
      // Later versions of node:http2 give the whole connection up.
      const refusal = await refusalOf(raw, 1);
      if (refusal === RESET) await isOk(raw, 3);
      else assert.match(refusal, /^connection ended/);
    });

  test('may be OPTIONS for the asterisk, and may have a Host that agrees', async (t) => {
    const raw = await connectRaw(t);
    raw.send(headersFrame(1, fields({ ':method': 'OPTIONS', ':path': '*' }, 'host', HOSTNAME.toUpperCase())));
    assert.equal((await raw.next(TYPE.headers, 1)).payload[0], OK_BYTE);
    assert.deepEqual(raw.asked, ['*']);
  });

  test('that is answered before its body has come is reset only behind the whole answer', async (t) => {
    const raw = await connectRaw(t);
    const list = pseudoFields('nobody.t.localhost', { ':method': 'POST' });
    raw.send(headersFrame(1, list, FLAG.endHeaders));
    await raw.next(TYPE.data, 1);
    raw.send(frame(TYPE.data, 0, 1, 'of no use'));
    assert.equal(codeOf(await raw.next(TYPE.reset, 1)), CODE.noError);
    const own = raw.frames.filter(({ streamId }) => streamId === 1);
    assert.deepEqual(
      own.map(({ type }) => type),
      [TYPE.headers, TYPE.data, TYPE.reset],
    );
    assert.equal(own[1]?.flags, FLAG.endStream);
    await isOk(raw, 3);
  });
});

describe('a connection', () => {
  const GOOD = pseudoFields(HOSTNAME);
  const CASES: Record<string, Buffer> = {
    'with DATA on no stream': frame(TYPE.data, 0, 0, 'x'),
    'with DATA on a stream that was never opened': frame(TYPE.data, 0, 5, 'x'),
    'with a frame larger than 16 KiB': frame(TYPE.data, 0, 1, Buffer.alloc(20_000)),
    'with a window that overflows': windowFrame(0, 2 ** 31 - 1),
    'with a window that grows by nothing': windowFrame(0, 0),
    'with SETTINGS that are no settings': frame(TYPE.settings, 0, 0, 'xxx'),
    'with SETTINGS on a stream': frame(TYPE.settings, 0, 1),
    'with a PING that is too short': frame(TYPE.ping, 0, 0, 'x'),
    'with a stream that only the engine may open': headersFrame(2, GOOD),
    'with a header block that cannot be read': frame(TYPE.headers, 5, 3, Buffer.alloc(8, 0xff)),
    'with a frame between the parts of a header block': Buffer.concat([
      headersFrame(3, GOOD, FLAG.endStream),
      frame(TYPE.ping, 0, 0, '12345678'),
    ]),
    'with HTTP/1.1': Buffer.from(`GET / HTTP/1.1\r\nHost: ${HOSTNAME}\r\n\r\n`),
  };
  for (const [what, bytes] of Object.entries(CASES))
    test(`${what} is told so, and its requests reach no upstream`, async (t) => {
      const raw = await connectRaw(t);
      raw.send(bytes);
      assert.notEqual(codeOf(await raw.next(TYPE.goaway)), CODE.noError);
      raw.socket.destroy();
      const session = await connectHttp2(t, raw.engine);
      assert.equal((await ask(session)).status, 200);
      assert.deepEqual(raw.asked, ['/']);
    });
});

describe('a flood', () => {
  const repeat = (count: number, make: (index: number) => Buffer) =>
    Buffer.concat(Array.from({ length: count }, (_, i) => make(i)));
  const streamOf = (index: number) => 2 * index + 1;
  const HELD = pseudoFields(HOSTNAME, { ':path': '/held' });

  const CASES: Record<string, { bytes: () => Buffer; ends: boolean; isUnread?: boolean }> = {
    'of requests that are taken back (rapid reset)': {
      bytes: () =>
        repeat(5_000, (i) => Buffer.concat([headersFrame(streamOf(i), HELD), resetFrame(streamOf(i))])),
      ends: true,
    },
    'of requests that make the engine reset them': {
      bytes: () =>
        repeat(2_000, (i) => Buffer.concat([headersFrame(streamOf(i), HELD), windowFrame(streamOf(i), 0)])),
      ends: false,
    },
    'of requests beyond what the engine allows': {
      bytes: () => repeat(5_000, (i) => headersFrame(streamOf(i), HELD)),
      ends: true,
    },
    'of CONTINUATION': {
      bytes: () =>
        Buffer.concat([
          headersFrame(1, HELD, FLAG.endStream),
          repeat(10_000, () => frame(TYPE.continuation, 0, 1, Buffer.of(0, 1, 97, 1, 98))),
        ]),
      ends: true,
    },
    'of SETTINGS whose answers nobody reads': {
      bytes: () => repeat(300_000, () => SETTINGS),
      ends: true,
      isUnread: true,
    },
    // The engine reads no further while its answers do not leave.
    'of PING whose answers nobody reads': {
      bytes: () => repeat(300_000, () => frame(TYPE.ping, 0, 0, '12345678')),
      ends: false,
      isUnread: true,
    },
    'of empty DATA': {
      bytes: () =>
        Buffer.concat([headersFrame(1, HELD, FLAG.endHeaders), repeat(20_000, () => frame(TYPE.data, 0, 1))]),
      ends: true,
    },
    'of PRIORITY': {
      bytes: () => repeat(50_000, () => frame(TYPE.priority, 0, 3, '\0\0\0\0\x10')),
      ends: false,
    },
    'of windows': { bytes: () => repeat(50_000, () => windowFrame(0, 1)), ends: false },
    'of frames of no known type': { bytes: () => repeat(50_000, () => frame(99, 0, 0, 'x')), ends: false },
  };

  for (const [what, { bytes, ends, isUnread = false }] of Object.entries(CASES))
    test(`${what} ${ends ? 'ends its connection' : 'is borne'}, and the engine goes on as before`, async (t) => {
      const raw = await connectRaw(t);
      if (isUnread) raw.socket.pause();
      const beforeBytes = process.memoryUsage().rss;
      const flood = bytes();
      raw.send(flood);
      if (ends && !isUnread) await eventually(() => raw.isEnded || raw.frames.some(isGoaway), 'its end');
      const other = await connectHttp2(t, raw.engine);
      for (let count = 0; count < 5; count += 1) assert.equal((await ask(other)).status, 200);
      // Reading goes on, and comes to the end.
      if (isUnread) raw.socket.resume();
      if (ends && isUnread) await raw.ended();
      const grownBytes = process.memoryUsage().rss - beforeBytes - 2 * flood.length;
      assert.ok(grownBytes < 200 * 1_048_576, `${grownBytes} bytes more`);
    });
});
