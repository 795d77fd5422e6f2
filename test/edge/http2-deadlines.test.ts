/** Every wait on an HTTP/2 connection has an end as well, towards the downstream and towards the upstream. */
import assert from 'node:assert/strict';
import { type ClientHttp2Session, type ClientHttp2Stream, connect, performServerHandshake } from 'node:http2';
import type { Duplex } from 'node:stream';
import { describe, type TestContext, test } from 'node:test';
import { newAgentId } from '../../src/base/ids.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { createDuplexPair } from '../support/duplex-pair.ts';
import { eventually } from '../support/eventually.ts';
import {
  CODE,
  codeOf,
  FLAG,
  type FrameEnd,
  frame,
  headersFrame,
  MAGIC_LENGTH,
  PREFACE,
  pseudoFields,
  readFrames,
  SETTINGS,
  TYPE,
} from '../support/http2-frames.ts';
import { CONNECTION, settled, startEdge } from './start-edge.ts';

type TestEdge = ReturnType<typeof startEdge>;

const HOSTNAME = 'web.t.localhost';
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** The downstream's end of a new HTTP/2 connection. */
const connectEnd = ({ edge }: TestEdge): Duplex => {
  const [ours, theirs] = createDuplexPair(262_144);
  edge.accept(ours, { ...CONNECTION, alpnProtocol: 'h2' });
  return theirs;
};

/** A downstream that keeps the rules, and answers what HTTP/2 makes it answer. */
const connectSession = (t: TestContext, edge: TestEdge): ClientHttp2Session => {
  const socket = connectEnd(edge);
  const session = connect(`https://${HOSTNAME}`, { createConnection: () => socket });
  session.on('error', () => {});
  t.after(() => session.destroy());
  return session;
};

/** A downstream that says only what the test says. */
const connectRaw = (edge: TestEdge, ...frames: Buffer[]): FrameEnd => {
  const end = readFrames(connectEnd(edge));
  end.socket.write(Buffer.concat([PREFACE, frame(TYPE.settings, FLAG.ack, 0), ...frames]));
  return end;
};

interface Asked {
  readonly stream: ClientHttp2Stream;
  readonly status: number | undefined;
  readonly text: string;
}

const request = (session: ClientHttp2Session, method = 'GET', authority = HOSTNAME): Asked => {
  const stream = session.request({ ':authority': authority, ':path': '/', ':method': method });
  let status: number | undefined;
  let text = '';
  stream.on('error', () => {});
  stream.on('response', (headers) => {
    status = Number((headers as Record<string, unknown>)[':status']);
  });
  stream.on('data', (chunk) => {
    text += chunk;
  });
  return {
    stream,
    get status() {
      return status;
    },
    get text() {
      return text;
    },
  };
};

/** Moves the clock in steps, so that what comes of each step can come. */
const pass = async ({ clock }: TestEdge, ms: number): Promise<void> => {
  for (let left = ms; left > 0; left -= 10_000) {
    clock.advance(Math.min(left, 10_000));
    await settled();
  }
};

const isGone = ({ edge }: TestEdge) => eventually(() => edge.connectionCount === 0, 'the connection is gone');

describe('a connection of a downstream', () => {
  test('that asks nothing is told goodbye when it has been idle for long enough, and not before', async (t) => {
    const edge = startEdge(t, { idleMs: 90_000 });
    // Nobody has looked at the clock for a while.
    edge.clock.advance(600_000);
    const end = connectRaw(edge);
    await end.next(TYPE.settings);
    await pass(edge, 80_000);
    assert.equal(end.isEnded, false);
    await pass(edge, 20_000);
    assert.equal(codeOf(await end.next(TYPE.goaway)), CODE.noError);
    await end.ended();
    assert.equal(edge.edge.connectionCount, 1, 'the peer is given time to end its half');
    await pass(edge, LIMITS.lingerMsMax + 2_000);
    await isGone(edge);
  });

  test('that says goodbye is gone, and everything on it', async (t) => {
    const edge = startEdge(t);
    const end = connectRaw(edge, headersFrame(1, pseudoFields(HOSTNAME)));
    const upstream = (await edge.dial(0)).grant();
    await upstream.until((text) => text.includes('GET /'));
    end.socket.end();
    await isGone(edge);
    await eventually(() => upstream.socket.destroyed, 'the stream ends');
    assert.equal(edge.log.withCode('REQUEST_ABORTED').length, 1);
  });

  test('that is quiet while an answer is made is asked for a sign of life, and left alone', async (t) => {
    const edge = startEdge(t, { idleMs: 5_000 });
    const asked = request(connectSession(t, edge));
    const upstream = (await edge.dial(0)).grant();
    upstream.socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n');
    await eventually(() => asked.status === 200, 'the head comes');
    await pass(edge, 5 * LIMITS.http2QuietMsMax);
    upstream.socket.write('data: 1\n\n');
    await eventually(() => asked.text === 'data: 1\n\n', 'and so does the event');
  });

  for (const [what, bytes] of [
    ['answers nothing any more', Buffer.alloc(0)],
    ['has broken the rules', frame(TYPE.data, 0, 0, 'x')],
  ] as const)
    test(`that ${what} does not hold its upstream for ever`, async (t) => {
      const edge = startEdge(t);
      const end = connectRaw(edge, headersFrame(1, pseudoFields(HOSTNAME)));
      const upstream = (await edge.dial(0)).grant();
      await upstream.until((text) => text.includes('GET /'));
      end.socket.write(bytes);
      await settled();
      await pass(edge, 3 * LIMITS.http2QuietMsMax);
      await isGone(edge);
      await eventually(() => upstream.socket.destroyed, 'the stream ends');
    });

  test('that is gone without a word does not hold up the end of the engine', async (t) => {
    const edge = startEdge(t);
    connectRaw(edge, headersFrame(1, pseudoFields(HOSTNAME)));
    const upstream = (await edge.dial(0)).grant();
    await upstream.until((text) => text.includes('GET /'));
    edge.edge.drain();
    for (let ms = 0; ms < 2 * LIMITS.http2DrainQuietMsMax + 6_000; ms += 1_000) {
      edge.clock.advance(1_000);
      await settled();
    }
    await isGone(edge);
  });

  test('that leaves room for no answer has its streams reset in time', async (t) => {
    const edge = startEdge(t, { idleMs: 8_000 });
    // SETTINGS_INITIAL_WINDOW_SIZE = 0 (RFC 9113 6.5.2).
    const noWindow = frame(TYPE.settings, 0, 0, '\0\x04\0\0\0\0');
    const end = connectRaw(edge, noWindow, headersFrame(1, pseudoFields(HOSTNAME)));
    const upstream = (await edge.dial(0)).grant();
    await upstream.until((text) => text.includes('GET /'));
    upstream.socket.write(OK);
    await end.next(TYPE.headers, 1);
    assert.equal(edge.edge.pooledCount, 1, 'the upstream is free for others');
    await pass(edge, 12_000);
    assert.equal(codeOf(await end.next(TYPE.reset, 1)), CODE.cancel);
  });

  test('is told that the engine drains, and what runs on it finishes', async (t) => {
    const edge = startEdge(t);
    const session = connectSession(t, edge);
    const asked = request(session);
    const upstream = (await edge.dial(0)).grant();
    await upstream.until((text) => text.includes('GET /'));
    edge.edge.drain();
    await eventually(() => session.closed, 'GOAWAY comes');
    // Slow, but there: it answers what it is asked.
    for (let ms = 0; ms < 4 * LIMITS.http2DrainQuietMsMax; ms += 1_000) {
      edge.clock.advance(1_000);
      await settled();
    }
    assert.equal(asked.stream.destroyed, false);
    const late = request(connectSession(t, edge));
    await eventually(() => late.status === 503, 'a new connection is refused');
    upstream.socket.write(OK);
    await eventually(() => asked.text === 'ok', 'the answer is whole');
    await pass(edge, LIMITS.lingerMsMax + 5_000);
    await isGone(edge);
  });
});

describe('a request over HTTP/2', () => {
  test('that stops in the middle of its body is answered 408, and its connection goes on', async (t) => {
    const edge = startEdge(t, { requestBodyIdleMs: 5_000 });
    const session = connectSession(t, edge);
    const asked = request(session, 'POST');
    asked.stream.write('half');
    const upstream = (await edge.dial(0)).grant();
    await upstream.until((text) => text.includes('half'));
    await pass(edge, 7_000);
    await eventually(() => asked.status === 408, 'it is refused');
    await pass(edge, 2_000);
    await eventually(() => asked.stream.destroyed, 'its upload is stopped');
    await eventually(() => upstream.socket.destroyed, 'the stream is not used again');
    assert.equal(edge.log.withCode('REQUEST_TIMEOUT').length, 1);
    const next = request(session);
    (await edge.dial(1)).grant().socket.write(OK);
    await eventually(() => next.text === 'ok', 'the next one is answered');
  });

  test('that is not answered is answered for with 504', async (t) => {
    const edge = startEdge(t, { responseMs: 5_000 });
    const asked = request(connectSession(t, edge));
    const upstream = (await edge.dial(0)).grant();
    await upstream.until((text) => text.includes('GET /'));
    await pass(edge, 7_000);
    await eventually(() => asked.status === 504, 'it is refused');
    await eventually(() => upstream.socket.destroyed, 'the stream ends');
  });

  test('whose answer falls silent is reset, and cannot take it for whole', async (t) => {
    const edge = startEdge(t, { streamIdleMs: 20_000 });
    const asked = request(connectSession(t, edge));
    const upstream = (await edge.dial(0)).grant();
    upstream.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
    await eventually(() => asked.text === 'half', 'a part comes');
    await pass(edge, 22_000);
    await eventually(() => asked.stream.destroyed, 'the stream ends');
    assert.equal(asked.stream.rstCode, 2);
    assert.equal(asked.stream.readableEnded, false);
    assert.equal(edge.log.withCode('STREAM_IDLE').length, 1);
  });
});

describe('an upstream of HTTP/2', () => {
  const AUTHORITY = 'two.t.localhost';
  const start = (t: TestContext, options: Parameters<typeof startEdge>[1] = {}) => {
    const edge = startEdge(t, options);
    edge.registry.open(
      { agentId: newAgentId(), credentialId: 'crd_1' },
      { hostname: 'two', httpVersion: 'h2c' },
    );
    return { edge, session: connectSession(t, edge) };
  };

  test('that never says a word is answered for with 504', async (t) => {
    const { edge, session } = start(t);
    const asked = request(session, 'GET', AUTHORITY);
    const upstream = (await edge.dial(0)).grant();
    await eventually(() => upstream.text.startsWith('PRI * HTTP/2.0'), 'it is spoken to');
    await pass(edge, LIMITS.upstreamHandshakeMsMax + 2_000);
    await eventually(() => asked.status === 504, 'it is refused');
    await eventually(() => upstream.socket.destroyed, 'the stream ends');
  });

  test('that is idle is let go in time', async (t) => {
    const { edge, session } = start(t, { idleMs: 20_000 });
    const asked = request(session, 'GET', AUTHORITY);
    const [server, socket] = await serve(edge);
    server.on('stream', (stream) => stream.end('ok'));
    await eventually(() => asked.text === 'ok', 'it answers');
    await pass(edge, 15_000);
    assert.equal(socket.destroyed, false);
    await pass(edge, 10_000);
    await eventually(() => socket.destroyed, 'the stream ends');
  });

  test('that says GOAWAY and stays is let go with its last answer', async (t) => {
    const { edge, session } = start(t);
    const asked = request(session, 'GET', AUTHORITY);
    const [server, socket] = await serve(edge);
    server.on('stream', (stream) => {
      server.goaway();
      stream.end('ok');
    });
    await eventually(() => asked.text === 'ok', 'it answers');
    await eventually(() => socket.destroyed, 'the stream ends');
    assert.equal(edge.edge.pooledCount, 0);
  });

  test('that gives up on its connection without ending it does not hold its downstreams', async (t) => {
    const { edge, session } = start(t, { responseMs: 3_600_000 });
    const asked = request(session, 'GET', AUTHORITY);
    const upstream = readFrames((await edge.dial(0)).grant().socket, MAGIC_LENGTH);
    upstream.socket.write(SETTINGS);
    await upstream.next(TYPE.headers, 1);
    // DATA before its head: the engine says GOAWAY, and this upstream does not mind.
    upstream.socket.write(frame(TYPE.data, 0, 1, 'x'));
    await upstream.next(TYPE.goaway);
    await settled();
    await pass(edge, 3 * LIMITS.http2QuietMsMax);
    await eventually(() => asked.status === 502, 'it is refused');
  });

  test('whose stream ends before it was ready is answered for with 502', async (t) => {
    const { edge, session } = start(t);
    const asked = request(session, 'GET', AUTHORITY);
    (await edge.dial(0)).grant().cut();
    await eventually(() => asked.status === 502, 'it is refused');
  });
});

/** Answers the first dial with a server of HTTP/2. */
const serve = async (edge: TestEdge) => {
  const { socket } = (await edge.dial(0)).grant();
  const server = performServerHandshake(socket);
  server.on('error', () => {});
  server.prependListener('stream', (stream) => stream.on('error', () => {}));
  return [server, socket] as const;
};
