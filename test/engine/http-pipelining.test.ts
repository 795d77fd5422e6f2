/** Requests that do not wait for answers: answered in order, bounded, and never mixed up. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { exchangeRaw, readUntil } from '../support/downstream.ts';
import { startHttpUpstream } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import {
  answerText,
  connectAsker,
  countOf,
  HOSTNAME,
  requestText,
  startPublished,
  startScriptedUpstream,
} from './http-upstream.ts';

const pathOf = (head: string): string => head.split(' ')[1] as string;

describe('pipelined requests', () => {
  test('are answered in order, on one stream, also when one in between is refused', async (t) => {
    const upstream = await startScriptedUpstream(t, (head, socket) =>
      socket.write(answerText(`<${pathOf(head)}>`)),
    );
    const { ask } = await connectAsker(t, await startPublished(t, upstream));
    const elsewhere = 'GET /c HTTP/1.1\r\nHost: elsewhere.t.localhost\r\n\r\n';
    const texts = [requestText('GET /a'), requestText('GET /b'), elsewhere, requestText('GET /d')];
    const answers = await ask(texts.join(''), '</d>');
    assert.deepEqual(answers.match(/HTTP\/1.1 \d+|<\/\w>|HOST_UNKNOWN"/g), [
      'HTTP/1.1 200',
      '</a>',
      'HTTP/1.1 200',
      '</b>',
      'HTTP/1.1 404',
      'HOST_UNKNOWN"',
      'HTTP/1.1 200',
      '</d>',
    ]);
    assert.equal(upstream.connections.length, 1);
    assert.doesNotMatch(upstream.connections[0]!.text, /\/c /);
  });

  test('keep their bodies apart', async (t) => {
    const seen: string[] = [];
    const upstream = await startHttpUpstream(t, async (request, response) => {
      const body = String(await request.setEncoding('latin1').toArray());
      seen.push(`${request.method} ${request.url} ${body.length}`);
      response.end(`<${request.url}>`);
    });
    const { ask } = await connectAsker(t, await startPublished(t, upstream));
    const smuggled = requestText('GET /body').trimEnd();
    const texts = [
      `${requestText('POST /one', `Content-Length: ${smuggled.length}`)}${smuggled}`,
      `${requestText('PUT /two', 'Transfer-Encoding: chunked')}${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`,
      requestText('POST /three', 'Content-Length: 0'),
    ];
    const answers = await ask(texts.join(''), '</three>');
    assert.deepEqual(answers.match(/<\/\w+>/g), ['</one>', '</two>', '</three>']);
    const { length } = smuggled;
    assert.deepEqual(seen, [`POST /one ${length}`, `PUT /two ${length}`, 'POST /three 0']);
  });

  test('are not answered after one that closes', async (t) => {
    const upstream = await startScriptedUpstream(t, (head, socket) => socket.write(answerText(pathOf(head))));
    const engine = await startPublished(t, upstream);
    const texts = [requestText('GET /a', 'Connection: close'), requestText('GET /b')];
    assert.equal(countOf(await exchangeRaw(engine, HOSTNAME, texts.join('')), 'HTTP/1.1 200'), 1);
    assert.doesNotMatch(upstream.connections[0]!.text, /\/b /);
  });

  test('by the thousand, all refused, are answered one by one', async (t) => {
    const upstream = await startScriptedUpstream(t, () => {});
    const engine = await startPublished(t, upstream);
    const { socket } = await connectAsker(t, engine);
    const count = 5_000;
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(count));
    let answeredCount = 0;
    let tail = '';
    while (answeredCount < count) {
      tail += await readUntil(socket, (text) => text.length > 0);
      answeredCount += countOf(tail, 'HTTP/1.1 404');
      tail = tail.slice(tail.lastIndexOf('HTTP/1.1 404') + 12);
    }
    assert.equal(answeredCount, count);
    assert.equal(upstream.connections.length, 0);
  });

  test('that were sent behind a slow one wait, however many bytes they are', async (t) => {
    let release = () => {};
    const upstream = await startScriptedUpstream(t, (head, socket) => {
      if (head.startsWith('GET /slow')) release = () => void socket.write(answerText('slow'));
      else socket.write(answerText('!'));
    });
    const { socket, ask } = await connectAsker(t, await startPublished(t, upstream));
    const count = 1_000;
    socket.write(requestText('GET /slow') + requestText('GET /', `X-Pad: ${'x'.repeat(100)}`).repeat(count));
    await eventually(() => upstream.connections[0]?.text.includes('/slow') === true, 'the slow one is asked');
    release();
    let answeredCount = 0;
    while (answeredCount < count) answeredCount += countOf(await ask('', '!'), '\r\n\r\n!');
    assert.equal(answeredCount, count);
  });
});
