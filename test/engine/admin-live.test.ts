/** The admin page is told of changes over a WebSocket, as long as its session lasts. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { connect as tlsConnect } from 'node:tls';
import { WebSocket } from 'ws';
import type { TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { logIn, startAdminEngine, withAdmins } from './ask-admin.ts';

// biome-ignore lint/suspicious/noExplicitAny: what a test asks of a message, it also compares
type Message = any;

const openLive = async (engine: TestEngine, headers: Record<string, string | undefined>) => {
  const all = { host: `localhost:${engine.adminPort}`, ...headers };
  const sent = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
  const socket = new WebSocket(`wss://127.0.0.1:${engine.adminPort}/api/admin/live`, {
    headers: sent as Record<string, string>,
    createConnection: () =>
      tlsConnect({ host: '127.0.0.1', port: engine.adminPort, servername: 'localhost', ca: engine.ca }),
  });
  const messages: Message[] = [];
  const live = { socket, messages, closed: undefined as string | undefined };
  socket.on('message', (text) => messages.push(JSON.parse(String(text))));
  socket.on('close', (code, reason) => {
    live.closed = `${code} ${reason}`;
  });
  await Promise.race([
    once(socket, 'open'),
    once(socket, 'unexpected-response').then(([request, response]) => {
      request.destroy();
      throw new Error(String(response.statusCode));
    }),
  ]);
  await eventually(() => messages.length > 0, 'the state has come');
  return live;
};

describe('the live socket of the Admin API', () => {
  test('tells a browser the state and then what changes', async (t) => {
    const engine = await startAdminEngine(t);
    const first = await engine.connectAgent();
    await first.openTunnel({ name: 'old', publish: false });
    const { cookie, origin } = await logIn(engine, 'owner');
    const { messages } = await openLive(engine, { cookie, origin });
    assert.deepEqual(
      messages[0].tunnels.map(({ name }: Message) => name),
      ['old'],
    );
    await first.openTunnel({ name: 'new', publish: false });
    await eventually(() => messages.some(({ tunnels }) => tunnels?.came?.[0]?.name === 'new'), 'it came');
    await first.kill();
    await eventually(
      () => messages.some(({ agents, tunnels }) => agents?.gone?.length === 1 && tunnels?.gone?.length === 2),
      'all went',
    );
  });

  test('is refused to others', async (t) => {
    const engine = await startAdminEngine(t);
    const { cookie, origin } = await logIn(engine, 'owner');
    const plain = await engine.createToken('plain');
    for (const [headers, status] of [
      [{}, '401'],
      [{ cookie }, '403'],
      [{ cookie, origin: 'https://elsewhere.example' }, '403'],
      [{ cookie, origin, host: 'elsewhere.example' }, '421'],
      [{ cookie, origin, 'sec-fetch-site': 'same-site' }, '403'],
      [{ authorization: `Bearer ${plain}` }, '403'],
      [{ cookie, origin, authorization: `Bearer ${plain}` }, '401'],
    ] as const)
      await assert.rejects(openLive(engine, headers), { message: status }, JSON.stringify(headers));
    const { ask } = await logIn(engine, 'other');
    assert.equal((await ask('GET', '/live')).status, 426);
  });

  test('ends within a second of the session or token, and with the engine', async (t) => {
    const engine = await startAdminEngine(t);
    const { cookie, origin } = await logIn(engine, 'owner');
    const { cookie: otherCookie } = await logIn(engine, 'guest', 'viewer');
    const token = await engine.createToken('program', ['engine.admin']);
    const owner = await openLive(engine, { cookie, origin });
    const guest = await openLive(engine, { cookie: otherCookie, origin });
    const program = await openLive(engine, { authorization: `Bearer ${token}` });
    const startMs = performance.now();
    await withAdmins(engine, (admins) => {
      for (const { id, adminId } of admins.sessions())
        if (adminId === admins.list().find(({ name }) => name === 'guest')?.id) admins.endSession(id);
    });
    engine.revokeToken('program');
    await eventually(() => guest.closed !== undefined && program.closed !== undefined, 'both were cut');
    assert.ok(performance.now() - startMs < 1_500);
    assert.deepEqual([guest.closed, program.closed], ['1008 SESSION_ENDED', '1008 TOKEN_REVOKED']);
    assert.equal(owner.closed, undefined);
    await engine.stop();
    await eventually(() => owner.closed !== undefined, 'the engine has gone');
  });
});
