/** A connection that changes its protocol, to whatever both ends agree on. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connectDownstream, readToEnd, readUntil } from '../support/downstream.ts';
import { eventually } from '../support/eventually.ts';
import {
  answerText,
  connectAsker,
  HOSTNAME,
  requestText,
  startPublished,
  startScriptedUpstream,
} from './http-upstream.ts';

describe('another protocol', () => {
  const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo/1\r\n\r\n';
  const upgrade = requestText('GET /', 'Connection: keep-alive, Upgrade', 'Upgrade: echo/1');

  test('carries what both ends say early: before the 101, and in the same packet behind it', async (t) => {
    const upstream = await startScriptedUpstream(t, (_head, socket) => {
      socket.write(`${SWITCHED}early words`);
    });
    const engine = await startPublished(t, upstream);
    const { ask } = await connectAsker(t, engine);
    const answer = await ask(`${upgrade}too early?`, 'early words');
    assert.equal(
      answer,
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\nearly words',
    );
    await eventually(
      () => upstream.connections[0]!.text.endsWith('too early?'),
      'it comes behind the request',
    );
  });

  test('keeps one direction open when the other has ended', async (t) => {
    const upstream = await startScriptedUpstream(t, (_head, socket) => {
      socket.removeAllListeners('end');
      socket.write(SWITCHED);
      socket.on('end', () => socket.end('last words'));
    });
    const engine = await startPublished(t, upstream);
    const socket = await connectDownstream(engine, HOSTNAME, { allowHalfOpen: true });
    socket.write(upgrade);
    await readUntil(socket, (text) => text.endsWith('\r\n\r\n'));
    socket.end('done');
    assert.equal(await readToEnd(socket), 'last words');
    assert.ok(upstream.connections[0]!.text.endsWith('done'));
    await eventually(() => engine.engine.counts().downstreams === 0, 'nothing is left');
  });

  test('does not begin when nobody asked for it', async (t) => {
    const upstream = await startScriptedUpstream(t, (_head, socket) => socket.write(SWITCHED));
    const { ask } = await connectAsker(t, await startPublished(t, upstream));
    assert.match(await ask(requestText('GET /'), /}\n$/), /^HTTP\/1.1 502 .*UPSTREAM_MALFORMED/s);
    await eventually(() => upstream.connections[0]!.socket.destroyed, 'the stream ends');
  });

  for (const protocol of ['h2c', 'HTTP/2.0', 'TLS/1.0'])
    test(`is never ${protocol}: the request goes on without the upgrade`, async (t) => {
      const upstream = await startScriptedUpstream(t, (_head, socket) => socket.write(answerText('plain')));
      const { ask } = await connectAsker(t, await startPublished(t, upstream));
      await ask(
        requestText(
          'GET /',
          'Connection: Upgrade, HTTP2-Settings',
          `Upgrade: ${protocol}`,
          'HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA',
        ),
        'plain',
      );
      assert.doesNotMatch(upstream.connections[0]!.text, /upgrade|http2-settings|connection/i);
    });
});
