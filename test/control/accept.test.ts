import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { encodeFrame } from '../../src/wire/frame-writer.ts';
import type { Message } from '../../src/wire/message.ts';
import { eventually, startDoor } from '../support/agent-door.ts';
import { readToEnd } from '../support/read-to-end.ts';

const details = (token?: string, protocolVersion: string | undefined = '1.4.5') => ({
  agent: 'test',
  ...(token !== undefined && { token }),
  ...(protocolVersion !== undefined && { protocolVersion }),
});
const openChannel = (token?: string, protocolVersion?: string): Message => ({
  kind: 'open-channel',
  details: details(token, protocolVersion),
});

describe('a first message', () => {
  const NEVER_FIRST: Message[] = [
    { kind: 'unknown' },
    { kind: 'heartbeat', sequence: 1n, acknowledgement: 0n },
    { kind: 'close-channel' },
    { kind: 'open-tunnel', requestId: '1', properties: {} },
    { kind: 'dial-back-result' },
    { kind: 'channel-refused', error: { code: 1 } },
  ];
  for (const message of NEVER_FIRST)
    test(`of kind ${message.kind} ends the connection and leaves one line`, async (t) => {
      const { connect, log } = await startDoor(t);
      const peer = await connect();
      peer.send(message);
      await peer.ended;
      assert.deepEqual(peer.unread, []);
      const [line, ...more] = log.withCode('FIRST_MESSAGE_UNEXPECTED');
      assert.match(line?.fields.errorId ?? '', /^[0-9a-z]{8}$/);
      assert.deepEqual(more, []);
    });

  test('over the frame limit ends the connection before its body is read', async (t) => {
    const { connect, log } = await startDoor(t);
    const peer = await connect();
    peer.sendRaw(Buffer.from([0, 1, 0, 0]));
    await peer.ended;
    assert.equal(log.withCode('FRAME_TOO_LARGE').length, 1);
  });

  test('of garbage ends the connection', async (t) => {
    const { connect, log } = await startDoor(t);
    const peer = await connect();
    peer.sendRaw(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
    await peer.ended;
    peer.socket.destroy();
    const other = await connect();
    other.sendRaw(Buffer.from([0, 0, 0, 3, 0xff, 0xff, 0xff]));
    await other.ended;
    assert.equal(log.withCode('FRAME_TOO_LARGE').length, 1);
    assert.equal(log.withCode('FRAME_MALFORMED').length, 1);
  });

  test('that never comes ends the connection at its deadline', async (t) => {
    const { connect, log, clock, door } = await startDoor(t);
    const peer = await connect();
    peer.sendRaw(Buffer.from([0, 0]));
    await eventually('the connection is known', () => door.counts().connections === 1);
    clock.advance(LIMITS.firstMessageMsMax);
    await peer.ended;
    assert.equal(log.withCode('HANDSHAKE_TIMEOUT').length, 1);
  });

  test('that never comes because the peer only tried the handshake is nothing to report', async (t) => {
    const { connect, log, door } = await startDoor(t);
    const peer = await connect();
    peer.socket.end();
    await peer.ended;
    await eventually('the connection is gone', () => door.counts().connections === 0);
    assert.deepEqual(
      log.lines.map(({ level }) => level),
      ['debug'],
    );
  });

  test('may come byte by byte', async (t) => {
    const { connect } = await startDoor(t);
    const peer = await connect();
    for (const byte of encodeFrame(openChannel('alice'))) peer.sendRaw(Buffer.of(byte));
    await peer.next('channel-opened');
  });

  test('may bring the next ones along', async (t) => {
    const { connect } = await startDoor(t);
    const peer = await connect();
    peer.socket.cork();
    peer.send(openChannel('alice'));
    peer.send({ kind: 'open-tunnel', requestId: 'first', properties: { name: 'early' } });
    peer.socket.uncork();
    await peer.next('channel-opened');
    assert.equal((await peer.next('tunnel-opened')).requestId, 'first');
  });
});

describe('a refusal', () => {
  const REFUSED: [what: string, message: Message, wireCode: number, code: string][] = [
    ['without a token', openChannel(), 1000, 'TOKEN_MISSING'],
    ['with an empty token', openChannel(''), 1000, 'TOKEN_MISSING'],
    ['with a wrong token', openChannel('mallory'), 1000, 'TOKEN_INVALID'],
    ['with a huge token', openChannel('x'.repeat(10_000)), 1000, 'TOKEN_INVALID'],
    ['with an expired token', openChannel('expired'), 1000, 'TOKEN_EXPIRED'],
    ['with a revoked token', openChannel('revoked'), 1000, 'TOKEN_REVOKED'],
    ['without the permission', openChannel('streams-only'), 1000, 'PERMISSION_MISSING'],
    ['without a version', openChannel('alice', ''), 2010, 'PROTOCOL_VERSION_MISSING'],
    ['with a strange version', openChannel('alice', 'latest'), 2020, 'PROTOCOL_VERSION_INVALID'],
    ['with a foreign version', openChannel('alice', '2.0.0'), 2030, 'PROTOCOL_VERSION_INCOMPATIBLE'],
    [
      'with a heartbeat out of bounds',
      { ...openChannel('alice'), liveness: { heartbeatIntervalMs: 10, heartbeatTimeoutMs: 0 } } as Message,
      2000,
      'LIVENESS_INVALID',
    ],
  ];
  for (const [what, message, wireCode, code] of REFUSED)
    test(`answers a control channel ${what}`, async (t) => {
      const { connect, log } = await startDoor(t);
      const peer = await connect();
      peer.send(message);
      const { error } = await peer.next('channel-refused');
      await peer.ended;
      const [line, ...more] = log.withCode(code);
      assert.equal(error.code, wireCode);
      assert.ok(line && more.length === 0);
      assert.match(error.message ?? '', new RegExp(`\\(${code}, error id ${line.fields.errorId}\\)$`));
    });

  test('reaches a peer that goes on talking', async (t) => {
    const { connect } = await startDoor(t);
    const peer = await connect();
    peer.send(openChannel('mallory'));
    peer.sendRaw(Buffer.alloc(200_000));
    assert.equal((await peer.next('channel-refused')).error.code, 1000);
  });

  test('ends the connection of a peer that does not', async (t) => {
    const { connect, clock, door } = await startDoor(t);
    const peer = await connect();
    peer.send(openChannel('mallory'));
    await peer.ended;
    assert.equal(door.counts().connections, 1);
    clock.advance(LIMITS.channelCloseMsMax);
    await eventually('the connection is gone', () => door.counts().connections === 0);
  });

  test('never shows the token', async (t) => {
    const { connect, log } = await startDoor(t);
    const peer = await connect();
    peer.send(openChannel('mallory-secret'));
    const { error } = await peer.next('channel-refused');
    assert.doesNotMatch(JSON.stringify([error, log.lines]), /mallory-secret/);
  });
});

describe('a dial-back', () => {
  const dialBack = (zeroRtt: boolean, version?: string): Message => ({
    kind: 'dial-back',
    details: details('guess', version),
    streamId: 'ab'.repeat(12),
    zeroRtt,
  });

  test('for an unknown stream is refused with 4000', async (t) => {
    const { connect, log } = await startDoor(t);
    const peer = await connect();
    peer.send(dialBack(false));
    assert.equal((await peer.next('dial-back-result')).error?.code, 4000);
    await peer.ended;
    assert.equal(log.withCode('STREAM_UNKNOWN').length, 1);
  });

  test('with zero-RTT is refused without a byte', async (t) => {
    const { connect } = await startDoor(t);
    const peer = await connect();
    let isSpoken = false;
    peer.socket.on('data', () => {
      isSpoken = true;
    });
    peer.send(dialBack(true));
    await peer.ended;
    assert.equal(isSpoken, false);
  });

  test('of a foreign version is refused with 2030', async (t) => {
    const { connect } = await startDoor(t);
    const peer = await connect();
    peer.send(dialBack(false, '3.0.0'));
    assert.equal((await peer.next('dial-back-result')).error?.code, 2030);
  });

  test('with a wrong secret is refused, and the right one still works once', async (t) => {
    const { agent, connect, door, registry, log } = await startDoor(t);
    const alice = await agent();
    const { id = '' } = await alice.openTunnel({ name: 'web' });
    const arrival = door.dialBack(registry.find(id)!, { address: '192.0.2.7' });
    const request = await alice.next('dial-request');
    const answerWith = async (secret: string | undefined) => {
      const peer = await connect();
      const message = { kind: 'dial-back', details: details(secret), streamId: request.streamId } as const;
      peer.send({ ...message, zeroRtt: false });
      return (await peer.next('dial-back-result')).error?.code;
    };
    assert.equal(await answerWith('wrong'), 4000);
    assert.equal(await answerWith(undefined), 4000);
    assert.equal(log.withCode('STREAM_SECRET_INVALID').length, 2);

    const pipe = await alice.answerDial(request, { zeroRtt: false });
    t.after(() => pipe.destroy());
    const stream = await arrival;
    assert.equal(stream.id, request.streamId);
    assert.equal(await answerWith(request.secret), 4000);
    assert.equal(log.withCode('STREAM_UNKNOWN').length, 1);
    stream.socket.write('hello');
    assert.equal(String((await once(pipe, 'data'))[0]), 'hello');
  });

  test('keeps the payload that came in the same write', async (t) => {
    const { agent, connect, door, registry } = await startDoor(t);
    const alice = await agent();
    const { id = '' } = await alice.openTunnel({});
    const arrival = door.dialBack(registry.find(id)!, { address: '192.0.2.7' });
    const { streamId, secret = '' } = await alice.next('dial-request');
    const peer = await connect();
    peer.socket.cork();
    peer.send({ kind: 'dial-back', details: details(secret), streamId, zeroRtt: true });
    peer.sendRaw(Buffer.from([0, 0, 0, 1, 0xff]));
    peer.socket.end();
    peer.socket.uncork();
    const { socket } = await arrival;
    socket.resume();
    const payload = await readToEnd(socket);
    assert.deepEqual([...payload], [0, 0, 0, 1, 0xff]);
  });
});

test('an address has a session for as long as one of its agents is connected', async (t) => {
  const { agent, door } = await startDoor(t);
  assert.ok(!door.hasSessionFrom('127.0.0.1'));
  const alice = await agent();
  const bob = await agent();
  assert.ok(door.hasSessionFrom('127.0.0.1'));
  assert.ok(!door.hasSessionFrom('127.0.0.2'));
  alice.kill();
  await eventually('the first is gone', () => door.counts().sessions === 1);
  assert.ok(door.hasSessionFrom('127.0.0.1'));
  bob.kill();
  await eventually('the second is gone', () => door.counts().sessions === 0);
  assert.ok(!door.hasSessionFrom('127.0.0.1'));
});

test('draining refuses new work with 6000 and says goodbye to every agent', async (t) => {
  const { agent, connect, door, registry } = await startDoor(t);
  const alice = await agent();
  await alice.openTunnel({ name: 'web' });
  const late = await connect();
  const dialer = await connect();
  const tunnel = registry.find('web')!;
  door.drain();
  await alice.next('channel-closed');
  assert.equal(registry.count, 0);
  late.send(openChannel('alice'));
  assert.equal((await late.next('channel-refused')).error.code, 6000);
  dialer.send({
    kind: 'private-dial',
    details: details('alice'),
    target: 'web',
    zeroRtt: false,
    datagramChannel: false,
  });
  assert.equal((await dialer.next('private-dial-refused')).error.code, 6000);
  await assert.rejects(door.dialBack(tunnel, { address: '192.0.2.7' }), { code: 'ENGINE_DRAINING' });
  alice.socket.end();
  await eventually('the session is gone', () => door.counts().sessions === 0);
});
