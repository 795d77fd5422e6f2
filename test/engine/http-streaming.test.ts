/** Bodies of any size run through while they are made, unchanged, and no faster than the slower side takes them. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describe, test } from 'node:test';
import { readUntil, startRequest } from '../support/downstream.ts';
import { startHttpUpstream } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import {
  connectAsker,
  HOSTNAME,
  requestText,
  startPublished,
  startScriptedUpstream,
} from './http-upstream.ts';

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

describe('64 MiB arrive as they were sent', () => {
  for (const headers of [{ 'content-length': 64 * MIB }, { 'transfer-encoding': 'chunked' }]) {
    const framing = Object.keys(headers)[0] as string;

    test(`downloaded by ${framing}`, async (t) => {
      const upstream = await startHttpUpstream(t, (_request, response) => {
        response.writeHead(200, headers);
        Readable.from(blocks(64)).pipe(response);
      });
      const request = startRequest(await startPublished(t, upstream), HOSTNAME, '/').end();
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      assert.equal(await hashOf(response), await hashOf(blocks(64)));
    });

    test(`uploaded by ${framing}`, async (t) => {
      const upstream = await startHttpUpstream(t, async (request, response) => {
        response.end(await hashOf(request));
      });
      const engine = await startPublished(t, upstream);
      const request = startRequest(engine, HOSTNAME, '/', { method: 'POST', headers });
      const responded = once(request, 'response') as Promise<[IncomingMessage]>;
      await pipeline(Readable.from(blocks(64)), request);
      const [response] = await responded;
      assert.equal(String(await response.setEncoding('latin1').toArray()), await hashOf(blocks(64)));
    });
  }
});

/** Resolves when a count has not moved for half a second: the other side is held back. */
const stillness = async (count: () => number): Promise<number> => {
  let last = -1;
  let sinceMs = 0;
  await eventually(() => {
    if (count() !== last) sinceMs = performance.now();
    last = count();
    return last > 0 && performance.now() - sinceMs > 500;
  }, 'the writer is held back');
  return last;
};

// The system's own buffers of the three connections in between; what the engine holds is less than one MiB of it.
const UNDER_WAY_MIB_MAX = 40;

describe('the slower side holds the other back', () => {
  test('a downstream that does not read', async (t) => {
    let sentBytes = 0;
    const upstream = await startHttpUpstream(t, (_request, response) => {
      response.writeHead(200, { 'content-length': 256 * MIB });
      Readable.from(blocks(256))
        .on('data', () => {
          sentBytes += MIB;
        })
        .pipe(response);
    });
    const engine = await startPublished(t, upstream);
    const { socket } = await connectAsker(t, engine);
    socket.pause();
    socket.write(requestText('GET /'));
    assert.ok((await stillness(() => sentBytes)) < UNDER_WAY_MIB_MAX * MIB, `${sentBytes} bytes were read`);
    socket.destroy();
    await eventually(() => engine.engine.counts().downstreams === 0, 'the exchange ends');
  });

  test('an upstream that does not read, and it gets everything when it does', async (t) => {
    const upstream = await startHttpUpstream(t, async (request, response) => {
      await once(request, 'go');
      response.end(await hashOf(request));
    });
    const received = once(upstream.server, 'request') as Promise<[IncomingMessage]>;
    const engine = await startPublished(t, upstream);
    const request = startRequest(engine, HOSTNAME, '/', { method: 'PUT' });
    let sentBytes = 0;
    const sent = pipeline(
      Readable.from(blocks(64)).on('data', () => {
        sentBytes += MIB;
      }),
      request,
    );
    const [held] = await received;
    assert.ok((await stillness(() => sentBytes)) < UNDER_WAY_MIB_MAX * MIB, `${sentBytes} bytes were read`);
    held.emit('go');
    const [[response]] = (await Promise.all([once(request, 'response'), sent])) as [
      [IncomingMessage],
      unknown,
    ];
    assert.equal(String(await response.setEncoding('latin1').toArray()), await hashOf(blocks(64)));
  });
});

test('chunked bodies pass untouched both ways, with extensions and trailers', async (t) => {
  const body = '4;name=value\r\nbody\r\n0\r\nX-Checksum: 1\r\n\r\n';
  const upstream = await startScriptedUpstream(t, (head, socket) => {
    if (head.startsWith('POST'))
      socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum\r\n\r\n${body}`);
  });
  const { ask } = await connectAsker(t, await startPublished(t, upstream));
  for (let count = 1; count <= 2; count += 1) {
    const answer = await ask(`${requestText('POST /', 'Transfer-Encoding: chunked')}${body}`, '1\r\n\r\n');
    assert.match(answer, /Transfer-Encoding: chunked\r\nTrailer: X-Checksum\r\n/);
    assert.ok(answer.endsWith(`\r\n\r\n${body}`));
    await eventually(() => upstream.connections[0]!.text.split(body).length === count + 1, 'it came as sent');
  }
  assert.equal(upstream.connections.length, 1);
});

test('a server-sent event arrives before the next one is made', async (t) => {
  const upstream = await startHttpUpstream(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    upstream.server.on('event', (text: string) => response.write(text));
    upstream.server.emit('open');
  });
  const engine = await startPublished(t, upstream);
  const { socket } = await connectAsker(t, engine);
  const opened = once(upstream.server, 'open');
  socket.write(requestText('GET /events'));
  await opened;
  for (const event of ['data: event-1\n\n', 'data: event-2\n\n', 'data: event-3\n\n']) {
    upstream.server.emit('event', event);
    await readUntil(socket, (text) => text.includes(event));
  }
});
