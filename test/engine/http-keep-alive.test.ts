/** One connection carries many exchanges, on either side, and breaks nothing when it ends. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { startHttpUpstream, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import {
  answerText,
  connectAsker,
  countOf,
  requestText,
  startPublished,
  startScriptedUpstream,
} from './http-upstream.ts';

const refusals = ({ log }: TestEngine) => log.lines.filter(({ fields }) => fields.errorId !== undefined);

describe('a stream', () => {
  test('carries the next exchange, whichever downstream connection it comes from', async (t) => {
    const upstream = await startHttpUpstream(t, (_request, response) => response.end('ok'));
    let connectionCount = 0;
    upstream.server.on('connection', () => {
      connectionCount += 1;
    });
    const engine = await startPublished(t, upstream);
    for (let count = 0; count < 2; count += 1) {
      const { ask } = await connectAsker(t, engine);
      await ask(requestText('GET /one'), 'ok');
      await ask(requestText('GET /two'), 'ok');
    }
    assert.equal(connectionCount, 1);
    assert.deepEqual(refusals(engine), []);
  });

  test('and a downstream connection end when nothing has come for http_idle_seconds', async (t) => {
    const upstream = await startScriptedUpstream(t, (_head, socket) => socket.write(answerText('ok')));
    const engine = await startPublished(t, upstream, { http_idle_seconds: 1 });
    const { socket, ask } = await connectAsker(t, engine);
    await ask(requestText('GET /'), 'ok');
    const ends = [once(upstream.connections[0]!.socket, 'close'), once(socket.resume(), 'end')];
    await Promise.all(ends);
    await eventually(() => engine.engine.counts().pooled === 0, 'the pool is empty');
  });

  test('is not used again after Connection: close, and the downstream does not notice', async (t) => {
    const upstream = await startScriptedUpstream(t, (_head, socket) =>
      socket.end(answerText('ok', 'Connection: close')),
    );
    const { ask } = await connectAsker(t, await startPublished(t, upstream));
    for (let count = 0; count < 3; count += 1)
      assert.doesNotMatch(await ask(requestText('GET /'), 'ok'), /connection:/i);
    assert.equal(upstream.connections.length, 3);
  });

  test('whose upstream closes after each answer without a word is no error', async (t) => {
    const upstream = await startScriptedUpstream(t, (_head, socket) => socket.end(answerText('ok')));
    const engine = await startPublished(t, upstream);
    const { ask } = await connectAsker(t, engine);
    for (let count = 0; count < 5; count += 1) await ask(requestText('GET /'), 'ok');
    // Streams that are kept warm for a busy tunnel have carried nothing.
    assert.equal(upstream.connections.filter(({ text }) => text !== '').length, 5);
    assert.deepEqual(refusals(engine), []);
  });
});

describe('an upstream that closes an idle connection just as the next request comes', () => {
  const startImpatient = (t: Parameters<typeof startScriptedUpstream>[0]) => {
    let first: unknown;
    return startScriptedUpstream(t, (head, socket) => {
      if (head.startsWith('GET /first')) first = socket;
      else if (socket === first) return void socket.destroy();
      socket.write(answerText('ok'));
    });
  };

  test('is asked again on a fresh stream', async (t) => {
    const upstream = await startImpatient(t);
    const { ask } = await connectAsker(t, await startPublished(t, upstream));
    await ask(requestText('GET /first'), 'ok');
    assert.match(await ask(requestText('GET /second'), 'ok'), /^HTTP\/1.1 200/);
    assert.equal(upstream.connections.length, 2);
    assert.equal(countOf(upstream.connections.map(({ text }) => text).join(), 'GET /second'), 2);
  });

  test('is not sent the same POST twice', async (t) => {
    const upstream = await startImpatient(t);
    const { ask } = await connectAsker(t, await startPublished(t, upstream));
    await ask(requestText('GET /first'), 'ok');
    const answer = await ask(`${requestText('POST /', 'Content-Length: 4')}once`, /}\n$/);
    assert.match(answer, /^HTTP\/1.1 502 .*UPSTREAM_CLOSED/s);
    assert.equal(upstream.connections.length, 1);
    await ask(requestText('GET /third'), 'ok');
  });
});

test('Connection: close of a downstream is honoured and goes no further', async (t) => {
  const upstream = await startScriptedUpstream(t, (_head, socket) => socket.write(answerText('ok')));
  const engine = await startPublished(t, upstream);
  const { socket, ask } = await connectAsker(t, engine);
  const ended = once(socket, 'end');
  const answer = await ask(requestText('GET /', 'Connection: close'), 'ok');
  assert.match(answer, /Connection: close/);
  await ended;
  assert.doesNotMatch(upstream.connections[0]!.text, /connection:/i);
  assert.equal(engine.engine.counts().pooled, 1);
});
