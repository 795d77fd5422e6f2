/**
 * What `rstream doctor --deep` does to a self-hosted engine, step by step: any other answer makes it call a healthy engine ill.
 */
import assert from 'node:assert/strict';
import { connect as connectHttp2 } from 'node:http2';
import { type TestContext, test } from 'node:test';
import { connectDownstream } from '../support/downstream.ts';
import { startEngine, type TestEngine } from '../support/engine.ts';
import { connectFake } from '../support/fake-agent.ts';
import { answerOf } from './http2-sides.ts';

/** Asks as the Go SDK does: over one HTTP/2 connection, with a bearer token whether the endpoint wants it or not. */
const asker = async (t: TestContext, engine: TestEngine, token: string) => {
  const socket = await connectDownstream(engine, 'localhost', { alpn: ['h2', 'http/1.1'] });
  assert.equal(socket.alpnProtocol, 'h2');
  const authority = `localhost:${engine.port}`;
  const session = connectHttp2(`https://${authority}`, { createConnection: () => socket });
  t.after(() => session.destroy());
  return async (path: string) => {
    const answer = await answerOf(
      session.request({ ':path': path, ':authority': authority, authorization: `Bearer ${token}` }),
    );
    return { status: answer.status, body: JSON.parse(String(answer.body)) };
  };
};

test('the official doctor finds nothing wrong', async (t) => {
  const engine = await startEngine(t);
  const token = await engine.createToken('doctor');

  const probe = await connectFake({ port: engine.port, ca: engine.ca });
  probe.socket.end();
  await probe.ended;

  const ask = await asker(t, engine, token);
  assert.deepEqual(await ask('/api/health/live'), { status: 200, body: { status: 'live' } });
  assert.deepEqual(await ask('/api/health/ready'), { status: 200, body: { status: 'ready' } });
  // A list without filters is asked for by the JSON of nothing.
  assert.deepEqual(await ask('/api/clients?params=null'), { status: 200, body: [] });
  assert.deepEqual(await ask('/api/tunnels?params=null'), { status: 200, body: [] });

  const agent = await engine.connectAgent({ token, liveness: 5_000 });
  agent.send({ kind: 'heartbeat', sequence: 1n, acknowledgement: 0n });
  const { id } = await agent.openTunnel({ type: 'bytestream', publish: false });
  assert.ok(id);
  agent.send({ kind: 'close-tunnel', tunnelId: id });
  assert.equal((await agent.next('tunnel-closed')).tunnelId, id);
  await agent.close();
  // Of its one heartbeat it has heard, and of nothing that it did not ask for.
  assert.deepEqual(
    agent.unread.map(({ kind }) => kind),
    ['heartbeat'],
  );
});
