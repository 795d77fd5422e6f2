/** Where an answer ends, and what may come before it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { exchangeRaw, readToEnd, readUntil } from '../support/downstream.ts';
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

/** An engine in front of an upstream that answers every request with the same bytes. */
const startAnswering = async (t: TestContext, answer: string, how: 'write' | 'end' = 'write') => {
  const upstream = await startScriptedUpstream(t, (_head, socket) => socket[how](answer, 'latin1'));
  return { upstream, engine: await startPublished(t, upstream) };
};

describe('an answer that has no body', () => {
  const CASES: [what: string, line: string, answer: string][] = [
    ['HEAD', 'HEAD /', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'],
    ['204', 'DELETE /', 'HTTP/1.1 204 No Content\r\n\r\n'],
    ['304 with a length', 'GET /', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: "a"\r\n\r\n'],
    ['a length of 0', 'GET /', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
  ];
  for (const [what, line, answer] of CASES)
    test(`is over with its head: ${what}`, async (t) => {
      const { engine, upstream } = await startAnswering(t, answer);
      const { ask } = await connectAsker(t, engine);
      for (let count = 0; count < 2; count += 1)
        assert.equal(await ask(requestText(line), '\r\n\r\n'), answer);
      assert.equal(upstream.connections.length, 1, 'and its stream is used again');
    });

  test('does not claim a coding: HEAD', async (t) => {
    const { engine } = await startAnswering(t, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    const { ask } = await connectAsker(t, engine);
    assert.equal(await ask(requestText('HEAD /'), '\r\n\r\n'), 'HTTP/1.1 200 OK\r\n\r\n');
  });

  test('does not claim a coding: 204', async (t) => {
    const { engine } = await startAnswering(
      t,
      'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n',
    );
    const { ask } = await connectAsker(t, engine);
    assert.equal(await ask(requestText('GET /'), '\r\n\r\n'), 'HTTP/1.1 204 No Content\r\n\r\n');
  });
});

describe('an answer that ends with its connection', () => {
  test('is whole for the downstream by its last chunk, and the connection goes on', async (t) => {
    const { engine } = await startAnswering(t, 'HTTP/1.1 200 OK\r\n\r\nno length', 'end');
    const { ask } = await connectAsker(t, engine);
    for (let count = 0; count < 2; count += 1)
      assert.equal(
        await ask(requestText('GET /'), '\r\n0\r\n\r\n'),
        'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nno length\r\n0\r\n\r\n',
      );
  });

  test('may come from HTTP/1.0', async (t) => {
    const { engine } = await startAnswering(t, 'HTTP/1.0 200 OK\r\n\r\nold', 'end');
    assert.match(
      await exchangeRaw(engine, HOSTNAME, requestText('GET /', 'Connection: close')),
      /^HTTP\/1.1 200 OK\r\n.*\r\n3\r\nold\r\n0\r\n\r\n$/s,
    );
  });

  test('is what an HTTP/1.0 downstream gets of a chunked one', async (t) => {
    const { engine } = await startAnswering(
      t,
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nfour\r\n2\r\n!\n\r\n0\r\nT: 1\r\n\r\n',
    );
    assert.equal(
      await exchangeRaw(engine, HOSTNAME, `GET / HTTP/1.0\r\nHost: ${HOSTNAME}\r\n\r\n`),
      'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfour!\n',
    );
  });

  test('is a break for an HTTP/1.0 downstream where it is one for the upstream', async (t) => {
    const { engine, upstream } = await startAnswering(
      t,
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n',
    );
    const { ask, socket } = await connectAsker(t, engine);
    await ask(`GET / HTTP/1.0\r\nHost: ${HOSTNAME}\r\n\r\n`, 'half');
    const broken = once(socket, 'error');
    upstream.connections[0]!.socket.destroy();
    socket.resume();
    const [fault] = await broken;
    assert.equal(fault.code, 'ECONNRESET');
  });
});

describe('before an answer', () => {
  const startExpecting = async (t: TestContext, onExpect: (socket: Socket) => void) => {
    const upstream = await startScriptedUpstream(t, (_head, socket) => onExpect(socket));
    const { ask, socket } = await connectAsker(t, await startPublished(t, upstream));
    return { upstream, ask, socket };
  };
  const put = requestText('PUT /', 'Content-Length: 4', 'Expect: 100-continue');

  test('100 Continue is the upstream’s to say', async (t) => {
    const { upstream, ask } = await startExpecting(t, (socket) => {
      socket.write('HTTP/1.1 100 Continue\r\n\r\n');
      socket.once('data', () => socket.write(answerText('stored')));
    });
    assert.equal(await ask(put, '\r\n\r\n'), 'HTTP/1.1 100 Continue\r\n\r\n');
    assert.match(await ask('body', 'stored'), /^HTTP\/1.1 200 OK\r\n/);
    assert.match(upstream.connections[0]!.text, /\r\nExpect: 100-continue\r\n.*\r\n\r\nbody$/s);
  });

  test('a refusal without 100 closes, since nobody knows whether the body still comes', async (t) => {
    const { upstream, ask, socket } = await startExpecting(t, (refusing) =>
      refusing.write('HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n'),
    );
    const ended = once(socket, 'end');
    assert.match(await ask(put, '\r\n\r\n'), /^HTTP\/1.1 417 .*\r\nConnection: close\r\n/s);
    await ended;
    await eventually(() => upstream.connections[0]!.socket.destroyed, 'the stream is not used again');
  });

  test('early hints pass, but not to HTTP/1.0', async (t) => {
    const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n';
    const { engine } = await startAnswering(t, `${hints}${hints}${answerText('page')}`);
    const { ask } = await connectAsker(t, engine);
    assert.equal(await ask(requestText('GET /'), 'page'), `${hints}${hints}${answerText('page')}`);
    const old = await exchangeRaw(engine, HOSTNAME, `GET / HTTP/1.0\r\nHost: ${HOSTNAME}\r\n\r\n`);
    assert.equal(countOf(old, 'HTTP/1.1'), 1);
  });

  test('there are not hints without end', async (t) => {
    const { engine } = await startAnswering(t, 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(1_000));
    const { ask } = await connectAsker(t, engine);
    assert.match(await ask(requestText('GET /'), /}\n$/), /HTTP\/1.1 502 .*UPSTREAM_MALFORMED/s);
  });
});

test('an answer that comes before the request is whole is passed on, and both connections end', async (t) => {
  const tooLarge = 'HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nless';
  const upstream = await startScriptedUpstream(t, (_head, socket) => socket.write(tooLarge));
  const engine = await startPublished(t, upstream);
  const { socket } = await connectAsker(t, engine);
  socket.write(`${requestText('POST /', 'Content-Length: 100000000')}start`);
  const answer = await readUntil(socket, (text) => text.endsWith('less'));
  assert.match(answer, /^HTTP\/1.1 413 .*\r\nConnection: close\r\n/s);
  // Whoever still sends is listened to for a while, or its system would throw the answer away.
  socket.write(Buffer.alloc(1_000_000));
  assert.equal(await readToEnd(socket), '');
  await eventually(() => upstream.connections[0]!.socket.destroyed, 'the stream is not used again');
  assert.equal(upstream.connections.length, 1);
});
