/** What a downstream reads when the engine says no: the right status, one line in the log to go with it, and nothing of the agent. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import type { ErrorCode } from '../../src/base/errors.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { startEngine, startTcpUpstream, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import {
  answerText,
  connectAsker,
  requestText,
  startPublished,
  startScriptedUpstream,
} from './http-upstream.ts';

/** Checks everything that all refusals have in common. */
const assertRefusal = (engine: TestEngine, answer: string, status: number, code: ErrorCode) => {
  const [head = '', body = ''] = answer.split('\r\n\r\n');
  assert.match(head, new RegExp(`^HTTP/1.1 ${status} `));
  assert.match(head, new RegExp(`\r\nrstream-error: ${code}(\r\n|$)`));
  assert.match(head, /\r\ncache-control: no-store/);
  assert.equal(Number(/content-length: (\d+)/.exec(head)?.[1]), body.length);
  const lines = engine.log.withCode(code).filter(({ message }) => message === 'exchange refused');
  assert.equal(lines.length, 1, 'one line in the log');
  const { code: saidCode, error_id: errorId } = JSON.parse(body);
  assert.deepEqual({ saidCode, errorId }, { saidCode: code, errorId: lines[0]?.fields.errorId });
  assert.doesNotMatch(answer, /127\.0\.0\.1|ECONN|localhost:/, 'no address');
};

const refusalOf = async (t: TestContext, engine: TestEngine, text = requestText('GET /')) =>
  (await connectAsker(t, engine)).ask(text, /}\n$/);

const startMuteAgent = async (t: TestContext, timeouts = {}) => {
  const engine = await startEngine(t, { settings: { timeouts: { drain_seconds: 1, ...timeouts } } });
  const agent = await engine.connectAgent();
  await agent.openTunnel({ hostname: 'web', publish: true });
  return { engine, agent };
};

const startAnswering = async (
  t: TestContext,
  onHead: (head: string, socket: Socket) => void,
  timeouts = {},
) => startPublished(t, await startScriptedUpstream(t, onHead), timeouts);

describe('421', () => {
  test('ends the connection, as not every client knows to make another', async (t) => {
    const engine = await startAnswering(t, (_head, socket) => socket.write(answerText('ok')));
    const { ask, socket } = await connectAsker(t, engine);
    const ended = once(socket, 'end');
    const answer = await ask('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n', /}\n$/);
    assertRefusal(engine, answer, 421, 'MISDIRECTED_REQUEST');
    assert.match(answer, /\r\nconnection: close\r\n/);
    await ended;
  });
});

describe('404', () => {
  test('for a name that nobody publishes, and the connection is of further use', async (t) => {
    const engine = await startAnswering(t, (_head, socket) => socket.write(answerText('ok')));
    const { ask } = await connectAsker(t, engine);
    const answer = await ask('GET / HTTP/1.1\r\nHost: other.t.localhost\r\n\r\n', /}\n$/);
    assertRefusal(engine, answer, 404, 'HOST_UNKNOWN');
    await ask(requestText('GET /'), 'ok');
  });

  test('for an empty name', async (t) => {
    const engine = await startAnswering(t, () => {});
    assertRefusal(engine, await refusalOf(t, engine, 'GET / HTTP/1.1\r\nHost:\r\n\r\n'), 404, 'HOST_UNKNOWN');
  });
});

test('503 while an agent is gone; the name is its own again as soon as it is back', async (t) => {
  const { engine, agent } = await startMuteAgent(t);
  const { ask } = await connectAsker(t, engine);
  agent.kill();
  await eventually(() => engine.engine.counts().sessions === 0, 'the engine has noticed');
  const answer = await ask(requestText('GET /'), /}\n$/);
  assertRefusal(engine, answer, 503, 'AGENT_GONE');
  assert.match(answer, /\r\nretry-after: \d+\r\n/);
  assert.match(await refusalOf(t, engine), /^HTTP\/1.1 503/, 'also on a new connection');
  const upstream = await startScriptedUpstream(t, (_head, socket) => socket.write(answerText('back')));
  await engine.publish(upstream, { hostname: 'web' });
  await ask(requestText('GET /'), 'back');
});

describe('502', () => {
  test('when nobody listens behind the agent', async (t) => {
    const { port, server } = await startTcpUpstream(t, () => {});
    await once(server.close(), 'close');
    const engine = await startPublished(t, { port });
    assertRefusal(engine, await refusalOf(t, engine), 502, 'DIAL_BACK_REFUSED');
    assert.match(String(engine.log.withCode('DIAL_BACK_REFUSED')[0]?.fields.reason), /ECONNREFUSED/);
  });

  test('when the agent says that it cannot', async (t) => {
    const { engine, agent } = await startMuteAgent(t);
    const refused = refusalOf(t, engine);
    const { streamId } = await agent.next('dial-request');
    const message = 'dial tcp 127.0.0.1:3000: ECONNREFUSED';
    agent.send({ kind: 'dial-result', streamId, error: { code: 6_000, message } });
    assertRefusal(engine, await refused, 502, 'DIAL_BACK_REFUSED');
  });

  const ANSWERS: [what: string, answer: string, code: ErrorCode][] = [
    ['speaks another protocol', 'SSH-2.0-OpenSSH_9.6\r\n\r\n', 'UPSTREAM_MALFORMED'],
    ['answers in lines that end with LF', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n', 'UPSTREAM_MALFORMED'],
    ['answers with a folded header', 'HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n', 'UPSTREAM_MALFORMED'],
    [
      'answers with two lengths',
      'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na',
      'UPSTREAM_MALFORMED',
    ],
    [
      'answers with a length and a coding',
      'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na',
      'UPSTREAM_MALFORMED',
    ],
    [
      'answers with a head that never ends',
      `HTTP/1.1 200 OK\r\n${`X: ${'x'.repeat(1_000)}\r\n`.repeat(LIMITS.responseHeadBytesMax / 1_000 + 1)}`,
      'UPSTREAM_HEAD_TOO_LARGE',
    ],
    ['closes before it answers', '', 'UPSTREAM_CLOSED'],
  ];
  for (const [what, answer, code] of ANSWERS)
    test(`when the upstream ${what}`, async (t) => {
      const engine = await startAnswering(t, (_head, socket) => socket.end(answer));
      assertRefusal(engine, await refusalOf(t, engine), 502, code);
    });
});

describe('504', () => {
  test('when the agent does not dial back in time', async (t) => {
    const { engine } = await startMuteAgent(t, { stream_request_seconds: 1 });
    assertRefusal(engine, await refusalOf(t, engine), 504, 'DIAL_BACK_TIMEOUT');
  });

  test('when the upstream does not answer in time, and the connection is of further use', async (t) => {
    const engine = await startAnswering(
      t,
      (head, socket) => {
        if (head.startsWith('POST')) socket.write(answerText('ok'));
      },
      { http_response_seconds: 1 },
    );
    const { ask } = await connectAsker(t, engine);
    assertRefusal(engine, await ask(requestText('GET /'), /}\n$/), 504, 'UPSTREAM_TIMEOUT');
    await ask(requestText('POST /', 'Content-Length: 0'), 'ok');
  });
});

describe('a refusal', () => {
  test('is a page for browsers, without a script and without what they sent', async (t) => {
    const engine = await startAnswering(t, () => {});
    const { ask } = await connectAsker(t, engine);
    const evil = `GET /<script>alert(1)</script> HTTP/1.1\r\nHost: x\r\nAccept: text/html,*/*\r\n\r\n`;
    const answer = await ask(evil, '</html>\n');
    assert.match(answer, /\r\ncontent-type: text\/html; charset=utf-8\r\n/);
    assert.match(answer, /\r\ncontent-security-policy: default-src 'none'/);
    assert.doesNotMatch(answer, /<script|alert/);
    assert.ok(answer.includes(engine.log.withCode('HOST_UNKNOWN')[0]?.fields.errorId ?? 'no line'));
  });

  test('of HEAD has the head of the same refusal, and no body', async (t) => {
    const engine = await startAnswering(t, () => {});
    const { ask } = await connectAsker(t, engine);
    const answer = await ask(
      'HEAD / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(2),
      /404.+?\r\n\r\nHTTP.+? 404.+?\r\n\r\n$/s,
    );
    assert.equal(answer.match(/content-length: [1-9]\d+/g)?.length, 2);
    assert.doesNotMatch(answer, /{/);
  });

  test('of a request with a body closes, and the body is never a request', async (t) => {
    const engine = await startAnswering(t, () => {});
    const { ask, socket } = await connectAsker(t, engine);
    const ended = once(socket, 'end');
    const inner = 'GET / HTTP/1.1\r\nHost: y\r\n\r\n';
    const outer = `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${2 * inner.length}\r\n\r\n`;
    assert.match(await ask(outer + inner, /}\n$/), /\r\nconnection: close\r\n/);
    socket.write(inner);
    await ended;
    assert.equal(engine.log.withCode('HOST_UNKNOWN').length, 1);
  });
});
