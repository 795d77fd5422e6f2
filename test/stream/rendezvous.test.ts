import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { fail } from '../../src/base/errors.ts';
import { type AgentId, newAgentId, newStreamId, newTunnelId } from '../../src/base/ids.ts';
import { Secret } from '../../src/base/secret.ts';
import { createRendezvous } from '../../src/stream/rendezvous.ts';
import { createFakeClock } from '../support/clock.ts';
import { createDuplexPair } from '../support/duplex-pair.ts';

const DEADLINE_MS = 30_000;
const SECRET = 'right';

const start = () => {
  const clock = createFakeClock();
  const rendezvous = createRendezvous({ clock }, { deadlineMs: DEADLINE_MS });
  const expectOne = (agentId: AgentId = newAgentId()) => {
    const streamId = newStreamId();
    const tunnelId = newTunnelId();
    let answerCount = 0;
    const arrival = rendezvous.expect({
      streamId,
      secret: new Secret(SECRET),
      tunnelId,
      agentId,
      onAnswered: () => {
        answerCount += 1;
      },
    });
    // Each test looks at it in its own time.
    arrival.catch(() => {});
    return { streamId, tunnelId, agentId, arrival, answers: () => answerCount };
  };
  const assertEmpty = () => {
    assert.equal(rendezvous.waitingCount, 0);
    assert.equal(rendezvous.streamCount, 0);
    assert.equal(clock.pendingCount, 0);
  };
  return { clock, rendezvous, expectOne, assertEmpty };
};

describe('a dial-back', () => {
  test('meets its waiter', async () => {
    const { rendezvous, expectOne, assertEmpty } = start();
    const { streamId, tunnelId, arrival, answers } = expectOne();
    const [socket] = createDuplexPair();
    assert.equal(rendezvous.waitingCount, 1);
    rendezvous.arrive(streamId, SECRET, socket);
    assert.deepEqual(await arrival, { id: streamId, tunnelId, socket });
    assert.equal(answers(), 1);
    assert.equal(rendezvous.streamCount, 1);
    socket.destroy();
    await once(socket, 'close');
    assert.equal(answers(), 1);
    assertEmpty();
  });

  test('is delivered only after its greeting was written', async () => {
    const { rendezvous, expectOne } = start();
    const { streamId, arrival } = expectOne();
    const [socket, agent] = createDuplexPair();
    const chunks: string[] = [];
    agent.on('data', (chunk: Buffer) => chunks.push(chunk.toString()));
    rendezvous.arrive(streamId, SECRET, socket, Buffer.from('greeting '));
    (await arrival).socket.end('payload');
    await once(agent, 'end');
    assert.deepEqual(chunks, ['greeting ', 'payload']);
  });

  test('that breaks during its greeting fails its waiter', async () => {
    const { rendezvous, expectOne, assertEmpty } = start();
    const { streamId, arrival } = expectOne();
    const [socket] = createDuplexPair();
    rendezvous.arrive(streamId, SECRET, socket, Buffer.from('greeting'));
    socket.destroy();
    await assert.rejects(arrival, { code: 'DIAL_BACK_REFUSED' });
    assertEmpty();
  });

  test('works once', async () => {
    const { rendezvous, expectOne } = start();
    const { streamId, arrival } = expectOne();
    const [first] = createDuplexPair();
    const [second] = createDuplexPair();
    rendezvous.arrive(streamId, SECRET, first);
    assert.throws(() => rendezvous.arrive(streamId, SECRET, second), { code: 'STREAM_UNKNOWN' });
    assert.equal((await arrival).socket, first);
    assert.equal(first.destroyed, false);
  });

  for (const secret of ['wrong', '', undefined, `${SECRET} `])
    test(`with the secret ${JSON.stringify(secret)} is refused and leaves the waiter to the right one`, async () => {
      const { rendezvous, expectOne } = start();
      const { streamId, arrival, answers } = expectOne();
      const [guess] = createDuplexPair();
      const [honest] = createDuplexPair();
      assert.throws(() => rendezvous.arrive(streamId, secret, guess), { code: 'STREAM_SECRET_INVALID' });
      assert.equal(answers(), 0);
      rendezvous.arrive(streamId, SECRET, honest);
      assert.equal((await arrival).socket, honest);
    });

  test('for a stream that nobody expects is refused', () => {
    const { rendezvous } = start();
    const [socket] = createDuplexPair();
    assert.throws(() => rendezvous.arrive(newStreamId(), SECRET, socket), { code: 'STREAM_UNKNOWN' });
  });
});

describe('a waiter', () => {
  test('gives up at the deadline', async () => {
    const { clock, expectOne, assertEmpty } = start();
    const { arrival, answers } = expectOne();
    clock.advance(DEADLINE_MS - 1);
    assert.equal(answers(), 0);
    clock.advance(1);
    await assert.rejects(arrival, { code: 'DIAL_BACK_TIMEOUT' });
    assert.equal(answers(), 1);
    assertEmpty();
  });

  test('fails at once when its own agent refuses', async () => {
    const { rendezvous, expectOne, assertEmpty } = start();
    const { streamId, agentId, arrival, answers } = expectOne();
    rendezvous.refuse(streamId, agentId, fail('DIAL_BACK_REFUSED'));
    await assert.rejects(arrival, { code: 'DIAL_BACK_REFUSED' });
    assert.equal(answers(), 1);
    assertEmpty();
  });

  test('does not care what another agent says', async () => {
    const { rendezvous, expectOne } = start();
    const { streamId, arrival } = expectOne();
    const [socket] = createDuplexPair();
    rendezvous.refuse(streamId, newAgentId(), fail('DIAL_BACK_REFUSED'));
    rendezvous.arrive(streamId, SECRET, socket);
    await arrival;
    rendezvous.refuse(streamId, newAgentId(), fail('DIAL_BACK_REFUSED'));
    assert.equal(socket.destroyed, false);
  });

  test('loses a stream that its agent refuses after it arrived', async () => {
    const { rendezvous, expectOne } = start();
    const { streamId, agentId, arrival } = expectOne();
    const [socket] = createDuplexPair();
    rendezvous.arrive(streamId, SECRET, socket);
    await arrival;
    rendezvous.refuse(streamId, agentId, fail('DIAL_BACK_REFUSED'));
    assert.ok(socket.destroyed);
  });

  test('that gives up leaves its place until the agent has answered', async () => {
    const { rendezvous, expectOne, assertEmpty } = start();
    const { streamId, arrival, answers } = expectOne();
    rendezvous.cancel(streamId, fail('REQUEST_ABORTED'), true);
    await assert.rejects(arrival, { code: 'REQUEST_ABORTED' });
    assert.equal(rendezvous.waitingCount, 0);
    assert.equal(answers(), 0);
    const [late] = createDuplexPair();
    assert.throws(() => rendezvous.arrive(streamId, SECRET, late), { code: 'STREAM_UNKNOWN' });
    assert.equal(answers(), 1);
    assertEmpty();
  });

  test('that gives up before the agent was asked leaves nothing', async () => {
    const { rendezvous, expectOne, assertEmpty } = start();
    const { streamId, arrival, answers } = expectOne();
    rendezvous.cancel(streamId, fail('REQUEST_ABORTED'), false);
    await assert.rejects(arrival, { code: 'REQUEST_ABORTED' });
    assert.equal(answers(), 1);
    assertEmpty();
  });
});

test('the end of a session fails its waiters and spares its streams and other agents', async () => {
  const { rendezvous, expectOne } = start();
  const agentId = newAgentId();
  const running = expectOne(agentId);
  const waiting = expectOne(agentId);
  const abandoned = expectOne(agentId);
  const foreign = expectOne();
  const [socket] = createDuplexPair();
  rendezvous.arrive(running.streamId, SECRET, socket);
  rendezvous.cancel(abandoned.streamId, fail('REQUEST_ABORTED'), true);
  rendezvous.refuseAll(agentId, fail('AGENT_GONE'));
  await assert.rejects(waiting.arrival, { code: 'AGENT_GONE' });
  assert.equal(abandoned.answers(), 1);
  assert.equal((await running.arrival).socket.destroyed, false);
  assert.equal(rendezvous.waitingCount, 1);
  assert.equal(foreign.answers(), 0);
});

test('destroy ends waiters and streams', async () => {
  const { rendezvous, expectOne, assertEmpty } = start();
  const waiting = expectOne();
  const running = expectOne();
  const [socket] = createDuplexPair();
  rendezvous.arrive(running.streamId, SECRET, socket);
  await running.arrival;
  rendezvous.destroy(fail('ENGINE_DRAINING'));
  await assert.rejects(waiting.arrival, { code: 'ENGINE_DRAINING' });
  await once(socket, 'close');
  assertEmpty();
});
