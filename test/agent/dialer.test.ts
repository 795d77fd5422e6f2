import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createDialer } from '../../src/agent/dialer.ts';
import { EngineError } from '../../src/base/errors.ts';
import { Secret } from '../../src/base/secret.ts';
import { encodeFrame } from '../../src/wire/frame-writer.ts';
import { createFakeClock } from '../support/clock.ts';
import { readToEnd } from '../support/read-to-end.ts';
import { createMailbox } from './mailbox.ts';
import { startTinyEngine } from './tiny-engine.ts';
import { closedPort, startUpstream } from './upstream.ts';

const codeIs = (code: string) => (error: unknown) => error instanceof EngineError && error.code === code;

const startDial = async (t: TestContext) => {
  const engine = await startTinyEngine(t);
  const clock = createFakeClock();
  const dialer = createDialer({ clock }, { engine: engine.target, token: new Secret('the-token') });
  t.after(async () => {
    dialer.destroy();
    await dialed.catch(() => {});
    assert.equal(clock.pendingCount, 0, 'timers are left');
  });
  const dialed = dialer.dial('hello');
  dialed.catch(() => {});
  return { clock, dialed, peer: await engine.accept('private-dial') };
};

test('the dial names the tunnel, shows the token and asks for an answer', async (t) => {
  const { peer } = await startDial(t);
  const { target, zeroRtt, datagramChannel, details } = peer.first;
  assert.deepEqual(
    { target, zeroRtt, datagramChannel },
    { target: 'hello', zeroRtt: false, datagramChannel: false },
  );
  assert.equal(details.token, 'the-token');
});

test('bytes that come in the same packet as the answer are the first of the stream', async (t) => {
  const { dialed, peer } = await startDial(t);
  const answer = encodeFrame({ kind: 'private-dial-accepted', streamId: 's1' });
  peer.socket.write(Buffer.concat([answer, Buffer.from('hello')]));
  const { stream } = await dialed;
  assert.equal(String((await once(stream, 'data'))[0]), 'hello');
});

test('the stream passes half-closes both ways', async (t) => {
  const { dialed, peer } = await startDial(t);
  peer.send({ kind: 'private-dial-accepted', streamId: 's1' });
  const { stream } = await dialed;
  stream.end('question');
  assert.equal(String(await readToEnd(peer.socket)), 'question');
  peer.socket.end('answer');
  assert.equal(String(await readToEnd(stream)), 'answer');
});

test('a refusal is told in the sentence of the engine', async (t) => {
  const { dialed, peer } = await startDial(t);
  peer.send({ kind: 'private-dial-refused', error: { code: 3_000, message: 'No such tunnel.' } });
  await assert.rejects(dialed, /The engine refused: No such tunnel\./);
});

test('an answer of another kind is not taken', async (t) => {
  const { dialed, peer } = await startDial(t);
  peer.send({ kind: 'unknown' });
  await assert.rejects(dialed, codeIs('ENGINE_PROTOCOL'));
});

test('an engine that closes instead of answering is named', async (t) => {
  const { dialed, peer } = await startDial(t);
  peer.socket.end();
  await assert.rejects(dialed, codeIs('ENGINE_CLOSED'));
});

test('an engine that does not answer is given up after 35 s', async (t) => {
  const { clock, dialed } = await startDial(t);
  clock.advance(35_000);
  await assert.rejects(dialed, codeIs('ENGINE_SILENT'));
});

test('an engine that is not there is named', async () => {
  const dialer = createDialer({ clock: createFakeClock() }, { engine: await closedPort() });
  await assert.rejects(dialer.dial('hello'), codeIs('ENGINE_UNREACHABLE'));
});

test('a server that accepts and never speaks TLS is given up after 15 s', async (t) => {
  const accepted = createMailbox<Socket>();
  const address = await startUpstream(t, accepted.put);
  const clock = createFakeClock();
  const dialed = createDialer({ clock }, { engine: address }).dial('hello');
  await accepted.take(() => true, 'the connection');
  clock.advance(15_000);
  await assert.rejects(dialed, /no connection within 15 seconds/);
});
