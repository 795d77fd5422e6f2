/** When one side of an exchange goes away, the other hears of it at once, and nothing is left. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { connectDownstream, readUntil } from '../support/downstream.ts';
import { startEngine, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import {
  connectAsker,
  HOSTNAME,
  requestText,
  startPublished,
  startScriptedUpstream,
} from './http-upstream.ts';

const nothingLeft = (engine: TestEngine) =>
  eventually(() => {
    const { downstreams, pooled, dials } = engine.engine.counts();
    return downstreams + pooled + dials === 0;
  }, 'nothing is left of the exchange');

describe('a downstream that goes away', () => {
  for (const way of ['end', 'destroy'] as const) {
    test(`while it downloads takes its upstream with it (${way})`, async (t) => {
      const upstream = await startScriptedUpstream(t, (_head, socket) => {
        const more = () => {
          while (!socket.destroyed && socket.write(Buffer.alloc(65_536)));
        };
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n');
        socket.on('drain', more);
        more();
      });
      const engine = await startPublished(t, upstream);
      const { ask, socket } = await connectAsker(t, engine);
      await ask(requestText('GET /'), /\r\n\r\n\0/);
      socket.resume()[way]();
      await eventually(() => upstream.connections[0]!.socket.destroyed, 'the upstream connection ends');
      await nothingLeft(engine);
      assert.equal(engine.log.withCode('REQUEST_ABORTED').length, 1);
    });

    test(`while it waits for an event takes its upstream with it (${way})`, async (t) => {
      const upstream = await startScriptedUpstream(t, (_head, socket) =>
        socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n'),
      );
      const engine = await startPublished(t, upstream);
      const { ask, socket } = await connectAsker(t, engine);
      await ask(requestText('GET /'), 'a\r\n');
      socket[way]();
      await eventually(() => upstream.connections[0]!.socket.destroyed, 'the upstream connection ends');
      await nothingLeft(engine);
    });

    test(`while it uploads takes its upstream with it (${way})`, async (t) => {
      const upstream = await startScriptedUpstream(t, () => {});
      const engine = await startPublished(t, upstream);
      const { socket } = await connectAsker(t, engine);
      socket.write(`${requestText('POST /', 'Content-Length: 1000000')}part`);
      await eventually(() => upstream.connections[0]?.text.endsWith('part') === true, 'the part arrives');
      socket[way]();
      await eventually(() => upstream.connections[0]!.socket.destroyed, 'the upstream connection ends');
      await nothingLeft(engine);
    });

    test(`while its agent is dialled leaves no dial (${way})`, async (t) => {
      const engine = await startEngine(t);
      const agent = await engine.connectAgent();
      await agent.openTunnel({ hostname: 'web', publish: true });
      const { socket } = await connectAsker(t, engine);
      socket.write(requestText('GET /'));
      const dialRequest = await agent.next('dial-request');
      socket[way]();
      await nothingLeft(engine);
      const late = await agent.answerDial(dialRequest);
      late.resume();
      await once(late, 'end');
      assert.equal(engine.engine.counts().pooled, 0);
    });
  }
});

describe('an upstream that dies in the middle of its answer', () => {
  const CASES: [string, string][] = [
    ['a length', 'Content-Length: 10\r\n\r\nfive5'],
    ['chunks', 'Transfer-Encoding: chunked\r\n\r\n5\r\nfive5\r\n'],
    ['a chunk', 'Transfer-Encoding: chunked\r\n\r\n10\r\nfive5'],
  ];
  for (const [what, rest] of CASES)
    for (const way of ['end', 'resetAndDestroy'] as const)
      test(`cuts the downstream off when it promised ${what} (${way})`, async (t) => {
        const upstream = await startScriptedUpstream(t, (_head, socket) =>
          socket.write(`HTTP/1.1 200 OK\r\n${rest}`),
        );
        const engine = await startPublished(t, upstream);
        const socket = await connectDownstream(engine, HOSTNAME);
        socket.write(requestText('GET /'));
        const answer = await readUntil(socket, (text) => text.includes('five5'));
        upstream.connections[0]!.socket[way]();
        socket.on('error', () => {}).resume();
        await once(socket, 'close');
        assert.ok(!answer.endsWith('0\r\n\r\n'));
        await nothingLeft(engine);
        assert.equal(engine.log.withCode('UPSTREAM_CLOSED').length, 1);
      });

  test('before its head is whole is answered for with 502', async (t) => {
    const upstream = await startScriptedUpstream(t, (_head, socket) =>
      socket.end('HTTP/1.1 200 OK\r\nContent-'),
    );
    const { ask } = await connectAsker(t, await startPublished(t, upstream));
    assert.match(await ask(requestText('GET /'), /}\n$/), /^HTTP\/1.1 502 .*UPSTREAM_CLOSED/s);
  });
});
