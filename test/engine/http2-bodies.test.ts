/** Bodies over HTTP/2: whole and unchanged, as they are made, no faster than the slower side takes them, and cut where they are cut. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type ClientHttp2Stream, constants } from 'node:http2';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describe, type TestContext, test } from 'node:test';
import { resetStream } from '../../src/edge/http2/reset.ts';
import { startTcpUpstream, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { startScriptedUpstream } from './http-upstream.ts';
import {
  answerOf,
  ask,
  connectHttp2,
  type Listener,
  openStream,
  startBehind,
  startHttp2Upstream,
  startUpstream,
  UPSTREAM_VERSIONS,
  type UpstreamVersion,
} from './http2-sides.ts';

const MIB = 1_048_576;
const BLOCK = randomBytes(MIB);

/** Blocks that differ in their first bytes, so that one out of place shows. */
function* blocks(count: number): Generator<Buffer> {
  for (let index = 0; index < count; index += 1) {
    BLOCK.writeUInt32BE(index);
    yield Buffer.from(BLOCK);
  }
}

const hashOf = async (source: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<string> => {
  const hash = createHash('sha256');
  for await (const chunk of source) hash.update(chunk);
  return hash.digest('hex');
};

const start = async (t: TestContext, version: UpstreamVersion, onRequest: Listener) => {
  const engine = await startBehind(t, await startUpstream(t, version, onRequest), version);
  return { engine, session: await connectHttp2(t, engine) };
};

const nothingLeft = (engine: TestEngine, downstreams = 1) =>
  eventually(() => {
    const counts = engine.engine.counts();
    return counts.downstreams === downstreams && counts.dials === 0;
  }, 'nothing is left of the exchange');

/** Reads until what has come satisfies the test's condition. */
const readUntil = async (stream: ClientHttp2Stream, isEnough: (text: string) => boolean): Promise<string> => {
  let text = '';
  while (!isEnough(text)) {
    const chunk: Buffer | null = stream.read();
    if (chunk) text += chunk.toString('latin1');
    else if (stream.readableEnded || stream.destroyed) throw new Error(`the stream ended after: ${text}`);
    else await Promise.race(['readable', 'end', 'close'].map((event) => once(stream, event)));
  }
  return text;
};

/** How a stream ended for who asked: by which code of RST_STREAM, and whether its end looked like the end of an answer. */
const fateOf = async (stream: ClientHttp2Stream): Promise<{ code: number; isEnded: boolean }> => {
  let isEnded = false;
  stream
    .on('error', () => {})
    .on('end', () => {
      isEnded = true;
    });
  stream.resume();
  await eventually(() => stream.destroyed, 'the stream ends');
  return { code: stream.rstCode, isEnded };
};

for (const version of UPSTREAM_VERSIONS)
  describe(`through to an upstream that speaks ${version}`, () => {
    for (const headers of [{ 'content-length': 16 * MIB }, {}]) {
      const framing = Object.keys(headers)[0] ?? 'its end';

      test(`16 MiB are downloaded by ${framing}`, async (t) => {
        const { session } = await start(t, version, (_request, response) => {
          response.writeHead(200, headers);
          Readable.from(blocks(16)).pipe(response);
        });
        const stream = openStream(session).end();
        assert.equal(await hashOf(stream), await hashOf(blocks(16)));
      });

      test(`16 MiB are uploaded by ${framing}`, async (t) => {
        const { session } = await start(t, version, async (request, response) => {
          response.end(await hashOf(request));
        });
        const stream = openStream(session, { ':method': 'POST', ...headers });
        const answer = answerOf(stream);
        await pipeline(Readable.from(blocks(16)), stream, { end: true }).catch(() => {});
        assert.equal(String((await answer).body), await hashOf(blocks(16)));
      });
    }

    test('a server-sent event arrives before the next one is made', async (t) => {
      let atUpstream: ServerResponse | undefined;
      const { session } = await start(t, version, (_request, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.flushHeaders();
        atUpstream = response;
      });
      const stream = openStream(session).end();
      await once(stream, 'response');
      for (const event of ['data: event-1\n\n', 'data: event-2\n\n', 'data: event-3\n\n']) {
        atUpstream?.write(event);
        assert.equal(await readUntil(stream, (text) => text.length >= event.length), event);
      }
      atUpstream?.end();
      assert.deepEqual(await fateOf(stream), { code: 0, isEnded: true });
    });

    test('a request body arrives before its next part is made, and the answer may come with it', async (t) => {
      const { session } = await start(t, version, (request, response) => {
        response.writeHead(200);
        request.on('data', (chunk) => response.write(chunk));
        request.on('end', () => response.end());
      });
      const stream = openStream(session, { ':method': 'POST' });
      for (const part of ['one', 'two', 'three']) {
        stream.write(part);
        assert.equal(await readUntil(stream, (text) => text.length >= part.length), part);
      }
      stream.end();
      assert.deepEqual(await fateOf(stream), { code: 0, isEnded: true });
    });

    test('a downstream that does not read one stream holds back its upstream, and no other stream', async (t) => {
      let sentBytes = 0;
      const { engine, session } = await start(t, version, (request, response) => {
        if (request.url === '/other') return void response.end('other');
        Readable.from(blocks(64))
          .on('data', () => {
            sentBytes += MIB;
          })
          .pipe(response);
      });
      const slow = openStream(session).end();
      await once(slow, 'response');
      slow.pause();
      await stillness(() => sentBytes);
      assert.ok(sentBytes < 40 * MIB, `${sentBytes} bytes were read`);
      for (let count = 0; count < 10; count += 1)
        assert.equal(String((await ask(session, { ':path': '/other' })).body), 'other');
      assert.equal(await hashOf(slow), await hashOf(blocks(64)));
      await nothingLeft(engine);
    });

    test('an upstream that does not read one body holds back its downstream, and no other stream', async (t) => {
      const held: IncomingMessage[] = [];
      const { session } = await start(t, version, async (request, response) => {
        if (request.url === '/other') return void request.resume().on('end', () => response.end('other'));
        held.push(request);
        await once(request, 'go');
        response.end(await hashOf(request));
      });
      const slow = openStream(session, { ':method': 'POST' });
      const answer = answerOf(slow);
      let sentBytes = 0;
      const source = Readable.from(blocks(32)).on('data', () => {
        sentBytes += MIB;
      });
      source.pipe(slow);
      await stillness(() => sentBytes);
      assert.ok(sentBytes < 24 * MIB, `${sentBytes} bytes were read`);
      const other = await ask(session, { ':path': '/other', ':method': 'POST' }, Buffer.alloc(100_000));
      assert.equal(String(other.body), 'other');
      held[0]?.emit('go');
      assert.equal(String((await answer).body), await hashOf(blocks(32)));
    });

    test('a stream that is given up frees its upstream at once, and the connection goes on', async (t) => {
      const gone: Promise<unknown>[] = [];
      const { engine, session } = await start(t, version, (request, response) => {
        if (request.url === '/next') return void response.end('next');
        gone.push(once(response, 'close'));
        response.write('part');
      });
      for (const method of ['GET', 'POST']) {
        const stream = openStream(session, { ':method': method });
        if (method === 'GET') stream.end();
        stream.on('error', () => {});
        await readUntil(stream, (text) => text === 'part');
        stream.close(constants.NGHTTP2_CANCEL);
        await gone.at(-1);
      }
      assert.equal(String((await ask(session, { ':path': '/next' })).body), 'next');
      await nothingLeft(engine);
      assert.equal(engine.log.withCode('REQUEST_ABORTED').length, 2);
    });

    test('an upload that is given up is no whole request to its upstream', async (t) => {
      let hasBegun = false;
      let isAborted = false;
      let isWhole = false;
      const { session } = await start(t, version, (request, response) => {
        response
          .on('error', () => {})
          .on('close', () => {
            isAborted = true;
          });
        request
          .on('error', () => {})
          .on('data', () => {
            hasBegun = true;
          })
          .on('end', () => {
            isWhole = request.complete && !request.aborted;
          });
      });
      const lengths = [{}, { 'content-length': 8 }];
      for (const [code, length] of [0, constants.NGHTTP2_CANCEL].flatMap((c) =>
        lengths.map((l) => [c, l] as const),
      )) {
        hasBegun = false;
        isAborted = false;
        const stream = openStream(session, { ':method': 'POST', ...length }).on('error', () => {});
        stream.write('part');
        await eventually(() => hasBegun, 'the part arrives');
        resetStream(stream, code);
        await eventually(() => isAborted, 'the upstream hears of it');
        assert.equal(isWhole, false);
      }
    });

    test('interim responses pass, 100-continue is asked of the upstream, and the body waits for it', async (t) => {
      let hasAsked = false;
      const upstream = await startScriptedHttp(t, version, () => {
        hasAsked = true;
      });
      const session = await connectHttp2(t, await startBehind(t, upstream, version));
      const stream = openStream(session, { ':method': 'POST', expect: '100-continue', 'content-length': 4 });
      const answer = answerOf(stream);
      await once(stream, 'continue');
      assert.ok(hasAsked);
      stream.end('body');
      const { status, interim, body } = await answer;
      assert.deepEqual([status, interim, String(body)], [200, [100, 103], 'body']);
    });

    test('an answer may come before its request is whole, and the upload then stops', async (t) => {
      const { engine, session } = await start(t, version, (_request, response) => {
        response.writeHead(413);
        response.end('too much');
      });
      const stream = openStream(session, { ':method': 'POST' });
      const answer = answerOf(stream);
      stream.write('a part');
      const { status, body } = await answer;
      assert.deepEqual([status, String(body)], [413, 'too much']);
      // node:http2 as a client closes its side with the answer; a peer that does not is told by RST_STREAM (http2-strictness.test.ts).
      await fateOf(stream);
      assert.equal(String((await ask(session)).status), '413');
      await nothingLeft(engine);
    });
  });

/** Resolves when a count has not moved for half a second: the other side is held back. */
const stillness = async (count: () => number): Promise<void> => {
  let last = -1;
  let sinceMs = 0;
  await eventually(() => {
    if (count() !== last) sinceMs = performance.now();
    last = count();
    return last > 0 && performance.now() - sinceMs > 500;
  }, 'the writer is held back');
};

/** An upstream that says 100, then 103, then gives the body back. */
const startScriptedHttp = async (t: TestContext, version: UpstreamVersion, onExpect: () => void) => {
  if (version === 'http/1.1')
    return startScriptedUpstream(t, (head, socket) => {
      if (!/^expect: 100-continue$/im.test(head)) return;
      onExpect();
      socket.write('HTTP/1.1 100 Continue\r\n\r\n');
      socket.once('data', (body) =>
        socket.write(
          `HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n${body}`,
        ),
      );
    });
  return startHttp2Upstream(t, (stream, headers) => {
    if (headers.expect !== '100-continue') return;
    onExpect();
    stream.additionalHeaders({ ':status': 100 });
    stream.once('data', (body) => {
      stream.additionalHeaders({ ':status': 103, link: '</x>' });
      stream.respond({ 'content-length': 4 });
      stream.end(body);
    });
  });
};

describe('an upstream that breaks its answer off', () => {
  const CASES: [string, string][] = [
    ['a length', 'Content-Length: 10\r\n\r\nfive5'],
    ['chunks', 'Transfer-Encoding: chunked\r\n\r\n5\r\nfive5\r\n'],
    ['an end with its connection, and resets it', '\r\nfive5'],
  ];
  for (const [what, rest] of CASES)
    test(`after it promised ${what} has its stream reset, and the connection goes on`, async (t) => {
      const upstream = await startScriptedUpstream(t, (head, socket) => {
        if (head.startsWith('GET /next')) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext');
        else socket.write(`HTTP/1.1 200 OK\r\n${rest}`);
      });
      const engine = await startBehind(t, upstream, 'http/1.1');
      const session = await connectHttp2(t, engine);
      const stream = openStream(session).end();
      stream.on('error', () => {});
      await readUntil(stream, (text) => text === 'five5');
      upstream.connections[0]?.socket.resetAndDestroy();
      assert.deepEqual(await fateOf(stream), { code: constants.NGHTTP2_INTERNAL_ERROR, isEnded: false });
      assert.equal(String((await ask(session, { ':path': '/next' })).body), 'next');
      assert.equal(engine.log.withCode('UPSTREAM_CLOSED').length, 1);
    });

  for (const code of [
    constants.NGHTTP2_INTERNAL_ERROR,
    constants.NGHTTP2_CANCEL,
    // An end to node:http2 and many others, but not one that the upstream has called so.
    constants.NGHTTP2_NO_ERROR,
  ])
    for (const length of [{}, { 'content-length': 10 }])
      test(`with RST_STREAM ${code} ${Object.keys(length)} has its stream reset, and the connection goes on`, async (t) => {
        const upstream = await startHttp2Upstream(t, (stream, headers) => {
          stream.respond(length);
          if (headers[':path'] === '/next') return void stream.end('next');
          stream.write('five5', () => setImmediate(() => resetStream(stream, code)));
        });
        const engine = await startBehind(t, upstream, 'h2c');
        const session = await connectHttp2(t, engine);
        const stream = openStream(session).end();
        assert.deepEqual(await fateOf(stream), { code: constants.NGHTTP2_INTERNAL_ERROR, isEnded: false });
        if (!('content-length' in length))
          assert.equal(String((await ask(session, { ':path': '/next' })).body), 'next');
        assert.equal(upstream.sessions.length, 1);
        assert.equal(engine.log.withCode('UPSTREAM_CLOSED').length, 1);
      });

  const startTunnelled = async (t: TestContext) => {
    const sockets: Socket[] = [];
    const upstream = await startTcpUpstream(t, (socket) => {
      sockets.push(socket);
      socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\n\r\nhello'));
    });
    const engine = await startBehind(t, upstream, 'http/1.1');
    const session = await connectHttp2(t, engine);
    const stream = session.request({ ':method': 'CONNECT', ':authority': 'host:1' }, { endStream: false });
    stream.on('error', () => {});
    await readUntil(stream, (text) => text === 'hello');
    return { engine, stream, socket: sockets[0] as Socket };
  };

  test('inside a CONNECT has its stream reset by the code of a CONNECT', async (t) => {
    const { socket, stream } = await startTunnelled(t);
    socket.resetAndDestroy();
    assert.deepEqual(await fateOf(stream), { code: constants.NGHTTP2_CONNECT_ERROR, isEnded: false });
  });

  for (const code of [constants.NGHTTP2_NO_ERROR, constants.NGHTTP2_CANCEL])
    test(`inside a CONNECT is told when its downstream resets it with code ${code}, and may not go on`, async (t) => {
      const { engine, socket, stream } = await startTunnelled(t);
      socket.on('error', () => {});
      const more = () => {
        while (!socket.destroyed && socket.write(Buffer.alloc(65_536)));
      };
      socket.on('drain', more);
      more();
      resetStream(stream, code);
      await eventually(() => socket.destroyed, 'the upstream connection ends');
      await nothingLeft(engine);
    });

  test('with its connection has every stream on it reset', async (t) => {
    const upstream = await startHttp2Upstream(t, (stream) => {
      stream.respond();
      stream.write('part');
    });
    const engine = await startBehind(t, upstream, 'h2c');
    const session = await connectHttp2(t, engine);
    const streams = Array.from({ length: 5 }, () =>
      openStream(session)
        .end()
        .on('error', () => {}),
    );
    for (const stream of streams) await readUntil(stream, (text) => text === 'part');
    upstream.cut();
    for (const stream of streams)
      assert.deepEqual(await fateOf(stream), { code: constants.NGHTTP2_INTERNAL_ERROR, isEnded: false });
    await nothingLeft(engine);
  });
});
