import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { openLocalListener } from '../../src/agent/local-listener.ts';
import { relayEndOf } from '../../src/agent/relay.ts';
import { type Address, eventOf, startTcp } from '../../src/agent/tcp.ts';
import { EngineError, fail } from '../../src/base/errors.ts';
import { readToEnd } from '../support/read-to-end.ts';
import { createMailbox } from './mailbox.ts';
import { answerAfterEnd, startUpstream } from './upstream.ts';

const ANY_PORT = { host: '127.0.0.1', port: 0 };
const addressFrom = (text: string) => ({ host: '127.0.0.1', port: Number(text.split(':')[1]) });

const dialTo = (address: Address) => async () => {
  const socket = startTcp(address);
  await eventOf(socket, 'connect');
  return relayEndOf(socket);
};

const open = async (t: TestContext, needs: Parameters<typeof openLocalListener>[0]) => {
  const listener = await openLocalListener(needs, ANY_PORT);
  t.after(listener.close);
  return listener;
};

test('each connection gets a stream of its own, half-closes included', async (t) => {
  const upstream = await startUpstream(
    t,
    answerAfterEnd((question) => `you said ${question}`),
  );
  const listener = await open(t, { dial: dialTo(upstream), onRefused: assert.fail });
  const answers = ['one', 'two'].map(async (word) => {
    const socket = connect({ ...addressFrom(listener.address), allowHalfOpen: true });
    socket.end(word);
    return String(await readToEnd(socket));
  });
  assert.deepEqual(await Promise.all(answers), ['you said one', 'you said two']);
});

test('a connection whose dial is refused is reset, and the reason told', async (t) => {
  const refusals = createMailbox<unknown>();
  const listener = await open(t, {
    dial: () => Promise.reject(fail('ENGINE_REFUSED', { sentence: 'No.' })),
    onRefused: refusals.put,
  });
  const socket = connect(addressFrom(listener.address));
  const [error] = await once(socket, 'error');
  assert.equal(error.code, 'ECONNRESET');
  assert.match(String(await refusals.take(() => true, 'the refusal')), /No\./);
});

test('closing ends what is open', async (t) => {
  const upstream = await startUpstream(t, (socket) => void socket.write('hi'));
  const listener = await open(t, { dial: dialTo(upstream), onRefused: () => {} });
  const socket = connect(addressFrom(listener.address));
  await once(socket, 'data');
  const broken = assert.rejects(once(socket, 'close'), { code: 'ECONNRESET' });
  await listener.close();
  await broken;
});

test('a port in use is one clear error', async (t) => {
  const taken = await startUpstream(t, () => {});
  await assert.rejects(
    openLocalListener({ dial: dialTo(taken), onRefused: () => {} }, taken),
    (error) => error instanceof EngineError && error.code === 'ADDRESS_IN_USE',
  );
});
