import assert from 'node:assert/strict';
import type { Duplex } from 'node:stream';
import { describe, type TestContext, test } from 'node:test';
import { encodeFrame } from '../../src/wire/frame-writer.ts';
import type { Message } from '../../src/wire/message.ts';
import { DIAL_BACK_MS, eventually, STREAM_IDLE_MS, startDoor } from '../support/agent-door.ts';
import { createDuplexPair } from '../support/duplex-pair.ts';
import { readToEnd } from '../support/read-to-end.ts';

/** An agent with the private tunnel `echo`. */
const start = async (t: TestContext) => {
  const room = await startDoor(t);
  const agent = await room.agent();
  const { id = '' } = await agent.openTunnel({ name: 'echo', publish: false });
  const answer = async (zeroRtt = true) => {
    const pipe = await agent.answerDial(await agent.next('dial-request'), { zeroRtt });
    t.after(() => pipe.destroy());
    return pipe;
  };
  return { ...room, alice: agent, id, answer };
};

const request = (zeroRtt: boolean, fields: Partial<Extract<Message, { kind: 'private-dial' }>> = {}) =>
  ({
    kind: 'private-dial',
    details: { token: 'alice', protocolVersion: '1.4.5' },
    target: 'echo',
    zeroRtt,
    datagramChannel: false,
    ...fields,
  }) as const;

/** Bytes one way, then the other, with an end in between. */
const talk = async (dialer: Duplex, agent: Duplex) => {
  dialer.end('question');
  assert.equal(String(await readToEnd(agent)), 'question');
  agent.end('answer');
  assert.equal(String(await readToEnd(dialer)), 'answer');
};

describe('a private dial', () => {
  for (const zeroRtt of [false, true])
    for (const agentZeroRtt of [false, true])
      test(`carries bytes and ends both ways (zero-RTT ${zeroRtt}, the agent's ${agentZeroRtt})`, async (t) => {
        const { dial, answer, door } = await start(t);
        const [dialer, pipe] = await Promise.all([dial('echo', { zeroRtt }), answer(agentZeroRtt)]);
        assert.equal(door.counts().streams, 1);
        await talk(dialer, pipe);
        await eventually('the stream is gone', () => door.counts().streams === 0);
      });

  for (const [what, targetOf] of [
    ['id', (id: string) => id],
    ['name', () => 'echo'],
    ['name with spaces around', () => '  echo\n'],
  ] as const)
    test(`finds its tunnel by ${what}`, async (t) => {
      const { dial, answer, id } = await start(t);
      const [dialer, pipe] = await Promise.all([dial(targetOf(id)), answer()]);
      await talk(dialer, pipe);
    });

  test('is open to every credential that may open streams', async (t) => {
    const { dial, answer } = await start(t);
    await Promise.all([dial('echo', { token: 'streams-only' }), answer()]);
  });

  test('is accepted only when the agent has dialled back', async (t) => {
    const { connect, alice } = await start(t);
    const dialer = await connect();
    dialer.send(request(false));
    const dialRequest = await alice.next('dial-request');
    assert.deepEqual(dialer.unread, []);
    const pipe = await alice.answerDial(dialRequest);
    t.after(() => pipe.destroy());
    assert.equal((await dialer.next('private-dial-accepted')).streamId, dialRequest.streamId);
  });

  test('with zero-RTT delivers what was written with the request, and sends nothing of its own', async (t) => {
    const { connect, answer } = await start(t);
    const { socket } = await connect();
    socket.removeAllListeners('data');
    // The payload looks like a frame, and is none.
    const payload = Buffer.concat([encodeFrame({ kind: 'unknown' }), Buffer.from('early')]);
    socket.end(Buffer.concat([encodeFrame(request(true)), payload]));
    const pipe = await answer();
    assert.deepEqual(await readToEnd(pipe), payload);
    pipe.end('only this');
    assert.equal(String(await readToEnd(socket)), 'only this');
  });

  test('holds a zero-RTT flood back until the agent is there, and loses nothing of it', async (t) => {
    const { connect, alice } = await start(t);
    const { socket } = await connect();
    const payload = Buffer.alloc(32_000_000, 'flood ');
    socket.write(encodeFrame(request(true)));
    socket.end(payload);
    const dialRequest = await alice.next('dial-request');
    await alice.openTunnel({});
    assert.ok(socket.writableLength > 0, 'the engine has not taken it all');
    const pipe = await alice.answerDial(dialRequest);
    t.after(() => pipe.destroy());
    assert.ok((await readToEnd(pipe)).equals(payload));
  });

  test('ends with its idle time', async (t) => {
    const { dial, answer, clock, door } = await start(t);
    const [dialer] = await Promise.all([dial('echo'), answer()]);
    clock.advance(STREAM_IDLE_MS);
    dialer.resume();
    await eventually('the stream is gone', () => door.counts().streams === 0);
  });

  test('survives the control channel of its agent', async (t) => {
    const { dial, answer, alice, registry } = await start(t);
    const [dialer, pipe] = await Promise.all([dial('echo'), answer()]);
    alice.kill();
    await eventually('the tunnel is gone', () => registry.count === 0);
    await talk(dialer, pipe);
  });
});

describe('a private dial is refused', () => {
  const REFUSED: [what: string, fields: Parameters<typeof request>[1], wireCode: number, code: string][] = [
    ['without a token', { details: { protocolVersion: '1.4.5' } }, 1000, 'TOKEN_MISSING'],
    ['with a wrong token', { details: { protocolVersion: '1.4.5', token: 'x' } }, 1000, 'TOKEN_INVALID'],
    [
      'without the permission',
      { details: { protocolVersion: '1.4.5', token: 'tunnels-only' } },
      1000,
      'PERMISSION_MISSING',
    ],
    ['without a version', { details: { token: 'alice' } }, 2010, 'PROTOCOL_VERSION_MISSING'],
    ['for an unknown tunnel', { target: 'nobody' }, 3000, 'TUNNEL_NOT_FOUND'],
    ['without a target', { target: ' ' }, 3000, 'TUNNEL_NOT_FOUND'],
    ['for a datagram channel', { datagramChannel: true }, 5000, 'FEATURE_NOT_AVAILABLE'],
  ];
  for (const [what, fields, wireCode, code] of REFUSED) {
    test(`${what}`, async (t) => {
      const { connect, log } = await start(t);
      const dialer = await connect();
      dialer.send(request(false, fields));
      assert.equal((await dialer.next('private-dial-refused')).error.code, wireCode);
      await dialer.ended;
      assert.equal(log.withCode(code).length, 1);
    });

    test(`${what}, silently with zero-RTT`, async (t) => {
      const { connect } = await start(t);
      const dialer = await connect();
      dialer.send(request(true, fields));
      await dialer.ended;
      assert.deepEqual(dialer.unread, []);
    });
  }

  test('when the agent refuses, does not answer or goes', async (t) => {
    const { connect, alice, clock } = await start(t);
    const dialAndRefuse = async (refuse: (streamId: string) => void) => {
      const dialer = await connect();
      dialer.send(request(false));
      refuse((await alice.next('dial-request')).streamId);
      return (await dialer.next('private-dial-refused')).error;
    };
    const refused = await dialAndRefuse((streamId) =>
      alice.send({ kind: 'dial-result', streamId, error: { code: 6000, message: '10.0.0.7 is down' } }),
    );
    assert.equal(refused.code, 6000);
    assert.doesNotMatch(refused.message ?? '', /10\.0\.0\.7/);
    const late = await dialAndRefuse(() => clock.advance(DIAL_BACK_MS));
    assert.match(late.message ?? '', /DIAL_BACK_TIMEOUT/);
    const gone = await dialAndRefuse(() => alice.kill());
    assert.match(gone.message ?? '', /AGENT_GONE/);
  });
});

describe('a dialer that leaves while it waits', () => {
  test('calls the dial off', async (t) => {
    const { connect, alice, door } = await start(t);
    const dialer = await connect();
    dialer.send(request(false));
    await alice.next('dial-request');
    assert.equal(door.counts().dials, 1);
    dialer.socket.end();
    await eventually('the dial is called off', () => door.counts().dials === 0);
    await eventually('nothing runs', () => door.counts().streams === 0);
  });

  test('calls the dial off with zero-RTT when its connection breaks', async (t) => {
    const { alice, door } = await start(t);
    // A TLS socket of Node cannot be told to reset its connection.
    const [socket, dialer] = createDuplexPair();
    door.accept(socket, { remoteAddress: '192.0.2.7', remotePort: 4_711 });
    dialer.write(encodeFrame(request(true)));
    await alice.next('dial-request');
    dialer.destroy();
    await eventually('the dial is called off', () => door.counts().dials === 0);
  });
});
