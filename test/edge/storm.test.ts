/** What no single story shows: every split of the bytes, and everything at once. Seeded; a failure prints its seed. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import { fail } from '../../src/base/errors.ts';
import { eventually } from '../support/eventually.ts';
import { requestText, settled, startEdge } from './start-edge.ts';

/** mulberry32: small, and the same everywhere. */
const createRandom = (seed: number) => {
  let state = seed;
  return (limit: number): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
};

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);

const writeInPieces = async (socket: Duplex, text: string, random: (limit: number) => number) => {
  for (let at = 0; at < text.length; ) {
    const size = 1 + random(random(3) === 0 ? 5_000 : 20);
    socket.write(text.slice(at, at + size), 'latin1');
    at += size;
    if (random(4) === 0) await new Promise((resolve) => setImmediate(resolve));
  }
};

const chunked = (text: string) => `${text && `${text.length.toString(16)}\r\n${text}\r\n`}0\r\n\r\n`;

test('however requests and answers are split, each gets its own', async (t) => {
  t.diagnostic(`SEED=${SEED}`);
  const random = createRandom(SEED);
  const { connect, dial } = startEdge(t);
  const server = createServer({ keepAliveTimeout: 0 }, async (request, response) => {
    response.sendDate = false;
    const body = await request.setEncoding('latin1').toArray();
    const text = `${request.method} ${request.url} ${body.join('')}`;
    if (request.url?.includes('chunked')) response.setHeader('Transfer-Encoding', 'chunked');
    else response.setHeader('Content-Length', text.length);
    response.end(text);
  });
  for (let round = 0; round < 10; round += 1) {
    const downstream = connect();
    let sent = '';
    let expected = '';
    for (let index = 0; index < 30; index += 1) {
      const body = 'b'.repeat(random(3) === 0 ? random(30_000) : random(50));
      // One direction is chunked, the other has a length.
      const isChunkedUp = random(2) === 0;
      const line = `POST /${round}/${index}${isChunkedUp ? '' : '/chunked'}`;
      const text = `${line} ${body}`;
      sent += isChunkedUp
        ? requestText(line, 'Transfer-Encoding: chunked') + chunked(body)
        : requestText(line, `Content-Length: ${body.length}`) + body;
      expected += isChunkedUp
        ? `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`
        : `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(text)}`;
    }
    const writing = writeInPieces(downstream.socket, sent, random);
    // The stream of the first round is used by all.
    if (round === 0) server.emit('connection', (await dial(0)).grant().socket);
    await writing;
    await downstream.until((text) => text.length >= expected.length);
    assert.equal(downstream.text, expected);
    downstream.socket.end();
  }
});

test('whatever goes wrong at once, nothing is left in the end', async (t) => {
  t.diagnostic(`SEED=${SEED}`);
  const random = createRandom(SEED);
  const edge = startEdge(t, {
    idleMs: 5_000,
    responseMs: 5_000,
    requestBodyIdleMs: 5_000,
    streamIdleMs: 5_000,
  });
  const ANSWERS = [
    'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n',
    'HTTP/1.1 200 OK\r\n\r\nuntil the end',
    'HTTP/1.1 204 No Content\r\n\r\n',
    'HTTP/1.1 103 Early Hints\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\nfour',
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\n',
    'garbage\r\n\r\n',
    '',
  ];
  const REQUESTS = [
    requestText('GET /'),
    requestText('GET /', 'Connection: Upgrade', 'Upgrade: echo'),
    `${requestText('POST /', 'Content-Length: 4')}four`,
    `${requestText('PUT /', 'Content-Length: 400')}four`,
    `${requestText('PUT /', 'Transfer-Encoding: chunked')}4\r\nfour\r\n`,
    'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
    'GET / HTTP/1.1\r\n',
    'nonsense\r\n\r\n',
  ];
  const pick = <Item>(items: readonly Item[]): Item => items[random(items.length)] as Item;
  const upstreams: Duplex[] = [];
  const mishap = (socket: Duplex | undefined) => {
    const what = random(6);
    if (what === 0) socket?.destroy();
    else if (what === 1) socket?.end();
    else if (what === 2) socket?.pause();
    else if (what === 3) socket?.resume();
  };
  const downstreams: Duplex[] = [];
  for (let step = 0; step < 3_000; step += 1) {
    const what = random(12);
    if (what < 3) downstreams.push(edge.connect().socket);
    else if (what < 6) pick([...downstreams, undefined])?.write(pick(REQUESTS));
    else if (what === 6) mishap(pick([...downstreams, undefined]));
    else if (what === 7) mishap(pick([...upstreams, undefined]));
    else if (what < 10) pick([...upstreams, undefined])?.write(pick(ANSWERS));
    else if (what === 10) await settled();
    const dial = edge.dials.shift();
    if (dial?.signal?.aborted || random(8) === 0) dial?.refuse(fail('DIAL_BACK_REFUSED'));
    else if (dial) upstreams.push(dial.grant().socket);
    if (random(200) === 0) edge.clock.advance(1_000);
    if (step === 2_000) edge.registry.closeAll(edge.tunnel.agentId, { isLost: true });
  }
  for (let seconds = 0; seconds < 30; seconds += 1) {
    await settled();
    for (const dial of edge.dials.splice(0)) dial.refuse(fail('DIAL_BACK_TIMEOUT'));
    edge.clock.advance(1_000);
  }
  await eventually(() => edge.edge.connectionCount === 0, 'every downstream is gone');
  await eventually(() => edge.streams.every((socket) => socket.destroyed), 'every stream is gone');
  assert.equal(edge.log.withCode('INTERNAL').length, 0);
  assert.equal(edge.edge.pooledCount, 0);
});
