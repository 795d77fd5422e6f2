import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { DIAL_BACK_MS, eventually, startDoor } from '../support/agent-door.ts';

const SOURCE = { address: '192.0.2.7' };

/** An agent with one tunnel, and a way to dial it whose rejection each test looks at in its own time. */
const start = async (t: TestContext) => {
  const room = await startDoor(t);
  const agent = await room.agent();
  const { id = '' } = await agent.openTunnel({ name: 'web' });
  const tunnel = room.registry.find(id)!;
  const dial = (signal?: AbortSignal) => {
    const arrival = room.door.dialBack(tunnel, SOURCE, signal);
    arrival.catch(() => {});
    return arrival;
  };
  const nextRequest = () => agent.next('dial-request');
  const answer = async (request: Awaited<ReturnType<typeof nextRequest>>, zeroRtt = true) => {
    const pipe = await agent.answerDial(request, { zeroRtt });
    t.after(() => pipe.destroy());
    return pipe;
  };
  return { ...room, alice: agent, tunnel, dial, nextRequest, answer };
};

describe('a dial request', () => {
  test('names tunnel, stream, secret and source', async (t) => {
    const { dial, nextRequest, tunnel, door } = await start(t);
    void dial();
    const request = await nextRequest();
    assert.equal(request.tunnelId, tunnel.id);
    assert.match(request.streamId, /^[0-9a-f]{24}$/);
    assert.match(request.secret ?? '', /^[\w-]{32}$/);
    assert.deepEqual([...(request.sourceIp ?? [])], [192, 0, 2, 7]);
    assert.equal(request.endpoint, undefined);
    assert.equal(door.counts().dials, 1);
  });

  for (const zeroRtt of [true, false])
    test(`gives the stream of its dial-back, with zero-RTT ${zeroRtt}`, async (t) => {
      const { dial, nextRequest, answer } = await start(t);
      const arrival = dial();
      const request = await nextRequest();
      await answer(request, zeroRtt);
      assert.equal((await arrival).id, request.streamId);
    });

  test('fails when the agent says that it cannot', async (t) => {
    const { dial, nextRequest, alice } = await start(t);
    const arrival = dial();
    const { streamId } = await nextRequest();
    alice.send({ kind: 'dial-result', streamId, error: { code: 6000, message: 'connection refused' } });
    await assert.rejects(arrival, { code: 'DIAL_BACK_REFUSED' });
  });

  test('does not take a good result, nor that of another agent, for an answer', async (t) => {
    const { dial, nextRequest, alice, agent, answer } = await start(t);
    const mallory = await agent({ token: 'bob' });
    const arrival = dial();
    const request = await nextRequest();
    const { streamId } = request;
    alice.send({ kind: 'dial-result', streamId });
    mallory.send({ kind: 'dial-result', streamId, error: { code: 6000 } });
    mallory.send({ kind: 'open-tunnel', requestId: '1', properties: {} });
    await mallory.next('tunnel-opened');
    await answer(request);
    await arrival;
  });

  test('fails at its deadline', async (t) => {
    const { dial, nextRequest, clock } = await start(t);
    const arrival = dial();
    await nextRequest();
    clock.advance(DIAL_BACK_MS - 1);
    assert.equal(clock.pendingCount > 0, true);
    clock.advance(1);
    await assert.rejects(arrival, { code: 'DIAL_BACK_TIMEOUT' });
  });

  test('fails when its tunnel closes', async (t) => {
    const { dial, nextRequest, registry, tunnel, door } = await start(t);
    const arrival = dial();
    await nextRequest();
    registry.close(tunnel.id);
    await assert.rejects(arrival, { code: 'AGENT_GONE' });
    await assert.rejects(door.dialBack(tunnel, SOURCE), { code: 'AGENT_GONE' });
  });

  test('is given up when its downstream leaves, and a late dial-back is refused', async (t) => {
    const { dial, nextRequest, connect, log, door } = await start(t);
    const gone = new AbortController();
    const arrival = dial(gone.signal);
    const { streamId, secret = '' } = await nextRequest();
    gone.abort();
    await assert.rejects(arrival, { code: 'REQUEST_ABORTED' });
    assert.equal(door.counts().dials, 0);
    const late = await connect();
    late.send({
      kind: 'dial-back',
      details: { protocolVersion: '1.4.5', token: secret },
      streamId,
      zeroRtt: false,
    });
    assert.equal((await late.next('dial-back-result')).error?.code, 4000);
    assert.equal(log.withCode('STREAM_UNKNOWN').length, 1);
  });

  test('of a downstream that has left already is never sent', async (t) => {
    const { dial, alice } = await start(t);
    await assert.rejects(dial(AbortSignal.abort()), { code: 'REQUEST_ABORTED' });
    alice.send({ kind: 'open-tunnel', requestId: '1', properties: {} });
    await alice.next('tunnel-opened');
    assert.deepEqual(alice.unread, []);
  });
});

describe('dial requests beyond the limit', () => {
  const MAX = LIMITS.dialRequestsInFlightMax;

  test('wait until the agent has answered earlier ones', async (t) => {
    const { dial, nextRequest, alice, answer } = await start(t);
    const arrivals = Array.from({ length: MAX + 2 }, () => dial());
    const first = await nextRequest();
    const second = await nextRequest();
    await eventually('all that may be sent has come', () => alice.unread.length === MAX - 2);
    alice.send({ kind: 'dial-result', streamId: first.streamId, error: { code: 6000 } });
    await eventually('one more has come', () => alice.unread.length === MAX - 1);
    await answer(second);
    await eventually('the last one has come', () => alice.unread.length === MAX);
    await assert.rejects(arrivals[0]!, { code: 'DIAL_BACK_REFUSED' });
    await arrivals[1];
  });

  test('keep their place when downstreams leave, until the agent has answered or had its time', async (t) => {
    const { dial, nextRequest, alice, clock } = await start(t);
    const gone = new AbortController();
    for (let count = 0; count < MAX; count += 1) void dial(gone.signal);
    const queued = new AbortController();
    void dial(queued.signal);
    const last = dial();
    const { streamId } = await nextRequest();
    await eventually('all that may be sent has come', () => alice.unread.length === MAX - 1);
    gone.abort();
    // The next in the queue is gone, so the place goes to the last.
    queued.abort();
    alice.send({ kind: 'dial-result', streamId, error: { code: 6000 } });
    await eventually('the last one has come', () => alice.unread.length === MAX);
    clock.advance(DIAL_BACK_MS);
    await assert.rejects(last, { code: 'DIAL_BACK_TIMEOUT' });
    assert.equal(alice.unread.length, MAX);
  });

  test('are bounded, and their deadline counts from the call', async (t) => {
    const { dial, clock, door } = await start(t);
    const arrivals = Array.from({ length: MAX + LIMITS.dialRequestsQueuedMax }, () => dial());
    await assert.rejects(dial(), { code: 'DIAL_QUEUE_FULL' });
    assert.equal(door.counts().dials, arrivals.length);
    clock.advance(DIAL_BACK_MS);
    for (const arrival of arrivals) await assert.rejects(arrival, { code: 'DIAL_BACK_TIMEOUT' });
    assert.equal(door.counts().dials, 0);
  });

  test('are never sent after their tunnel has closed', async (t) => {
    const { dial, alice, registry, tunnel } = await start(t);
    const arrivals = Array.from({ length: MAX + 10 }, () => dial());
    registry.close(tunnel.id);
    await alice.next('tunnel-closed');
    for (const arrival of arrivals) await assert.rejects(arrival, { code: 'AGENT_GONE' });
    for (const message of [...alice.unread])
      if (message.kind === 'dial-request')
        alice.send({ kind: 'dial-result', streamId: message.streamId, error: { code: 4000 } });
    alice.send({ kind: 'open-tunnel', requestId: '1', properties: {} });
    await alice.next('tunnel-opened');
    assert.equal(alice.unread.length, MAX);
  });
});
