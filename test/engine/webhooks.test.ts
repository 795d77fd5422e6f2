/** A receiver is told what happens in a whole engine, verifies it, and misses nothing when either of them was away. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { Secret } from '../../src/base/secret.ts';
import { webhookSignature } from '../../src/base/webhook.ts';
import { fetchThrough } from '../support/downstream.ts';
import { startEngine, startHttpUpstream, startTcpUpstream } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { askWithToken, logIn, startAdminEngine } from './ask-admin.ts';
import { HOSTNAME } from './http-upstream.ts';

const SECRET = `whsec_${'s'.repeat(43)}`;

interface Told {
  readonly type: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: what a test asks of an event, it also compares
  readonly object: any;
}

/** A receiver that keeps what it is told, as long as it is up. */
const startReceiver = async (t: TestContext) => {
  const told: Told[] = [];
  const state = { isUp: true };
  const listen: RequestListener = async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const { type, object } = JSON.parse(text);
    if (state.isUp) told.push({ type, headers: request.headers, text, object });
    response.writeHead(state.isUp ? 204 : 503).end();
  };
  const { port } = await startHttpUpstream(t, listen);
  const types = () => told.map(({ type }) => type);
  return {
    ...{ told, state, types, url: `http://127.0.0.1:${port}/hook` },
    waitFor: (count: number) =>
      eventually(() => told.length >= count, `${count} webhooks, and not ${types()}`),
  };
};

const settingsFor = (url: string, events: readonly string[]) => ({
  webhooks: { allow_private: true, endpoints: [{ name: 'test', url, secret: SECRET, events }] },
});

const isSigned = ({ headers, text }: Told, secret: string): boolean => {
  const signature = String(headers['rstream-signature']);
  const seconds = Number(/^t=(\d+),/.exec(signature)?.[1]);
  return (
    Math.abs(Date.now() / 1_000 - seconds) < 300 &&
    signature === webhookSignature(text, [new Secret(secret)], seconds)
  );
};

/** A port that nobody listens on. */
const closedPort = async (): Promise<{ port: number }> => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  return { port };
};

describe('a receiver', () => {
  test('is told of agents and tunnels in their order, in the shapes of the Engine API', async (t) => {
    const receiver = await startReceiver(t);
    const engine = await startEngine(t, { settings: settingsFor(receiver.url, ['client.*', 'tunnel.*']) });
    const agent = await engine.connectAgent();
    const { id } = await agent.openTunnel({ name: 'site', publish: true, protocol: 'http' });
    await receiver.waitFor(2);
    agent.kill();
    await receiver.waitFor(4);
    assert.deepEqual(receiver.types(), [
      'client.created',
      'tunnel.created',
      'tunnel.deleted',
      'client.deleted',
    ]);
    for (const told of receiver.told) assert.ok(isSigned(told, SECRET));
    const [, created, deleted, gone] = receiver.told;
    assert.deepEqual(
      [created?.object.id, created?.object.name, created?.object.status],
      [id, 'site', 'online'],
    );
    assert.deepEqual([deleted?.object.id, deleted?.object.status], [id, 'offline']);
    assert.deepEqual([gone?.object.id, gone?.object.status], [agent.agentId, 'offline']);
  });

  test('is told of a stream that failed, without its query, and not of what strangers do', async (t) => {
    const receiver = await startReceiver(t);
    const engine = await startEngine(t, { settings: settingsFor(receiver.url, ['stream.failed']) });
    await engine.publish(await closedPort(), { hostname: 'web', publish: true, protocol: 'http' });
    await fetchThrough(engine, `unknown.t.localhost`, '/').catch(() => {});
    await fetchThrough(engine, HOSTNAME, '/page?token=hunter2', { headers: { cookie: 'session=hunter2' } });
    await receiver.waitFor(1);
    const [{ object, text }] = receiver.told as [Told];
    assert.deepEqual([object.code, object.status, object.path], ['DIAL_BACK_REFUSED', 502, '/page']);
    assert.doesNotMatch(text, /hunter2/);
    assert.equal(receiver.told.length, 1);
  });

  test('is told of credentials, never with a secret', async (t) => {
    const receiver = await startReceiver(t);
    const engine = await startAdminEngine(t, settingsFor(receiver.url, ['credential.*']));
    const { ask } = await logIn(engine, 'owner');
    const { id, token, etag } = (await ask('POST', '/tokens', { name: 'laptop', permissions: null })).body;
    const rotated = await ask('POST', `/tokens/${id}/rotate`, {}, { 'if-match': etag });
    await ask('DELETE', `/tokens/${id}`);
    await receiver.waitFor(3);
    assert.deepEqual(receiver.types(), ['credential.created', 'credential.rotated', 'credential.revoked']);
    for (const { object, text } of receiver.told) {
      assert.deepEqual(object, { id, kind: 'pat', name: 'laptop' });
      assert.ok(!text.includes(token) && !text.includes(rotated.body.token));
    }
  });

  test('that was down gets everything from the engine that takes the place of the one that stopped', async (t) => {
    const receiver = await startReceiver(t);
    receiver.state.isUp = false;
    const settings = settingsFor(receiver.url, ['client.*']);
    const first = await startEngine(t, { settings });
    await first.connectAgent();
    await first.stop();
    receiver.state.isUp = true;
    await startEngine(t, { settings, successorOf: first });
    await receiver.waitFor(2);
    assert.deepEqual(receiver.types(), ['client.created', 'client.deleted']);
  });
});

describe('the Admin API', () => {
  test('makes, tests, changes and removes webhooks, in the audit log and without showing secrets again', async (t) => {
    const receiver = await startReceiver(t);
    const engine = await startAdminEngine(t, { webhooks: { allow_private: true } });
    const { ask } = await logIn(engine, 'owner');
    const guest = await logIn(engine, 'guest', 'viewer');
    const order = { name: 'ops', url: `${receiver.url}?key=hunter2`, events: ['client.*'] };

    assert.equal((await guest.ask('POST', '/webhooks', order)).body.code, 'ROLE_MISSING');
    assert.equal((await ask('POST', '/webhooks', { ...order, url: 'ftp://a' })).body.code, 'WEBHOOK_INVALID');
    const made = await ask('POST', '/webhooks', order);
    assert.equal(made.status, 201);
    const { id, secret, etag } = made.body;
    const tested = (await ask('POST', `/webhooks/${id}/test`, {})).body;
    assert.deepEqual([tested.state, tested.status, tested.type], ['delivered', 204, 'webhook.test']);
    assert.ok(isSigned(receiver.told[0]!, secret));

    const [seen] = (await guest.ask('GET', '/webhooks')).body.items;
    assert.deepEqual([seen.url, seen.secret], [new URL(receiver.url).origin, undefined]);
    await engine.connectAgent();
    await receiver.waitFor(2);
    const [delivery] = (await guest.ask('GET', `/webhooks/${id}/deliveries?limit=1`)).body.items;
    assert.deepEqual([delivery.type, delivery.state, delivery.status], ['client.created', 'delivered', 204]);
    assert.equal('body' in delivery, false);
    const earlier = await ask('GET', `/webhooks/${id}/deliveries?before=${delivery.number}`);
    assert.deepEqual(
      earlier.body.items.map(({ type }: { type: string }) => type),
      ['webhook.test'],
    );
    const again = await ask('POST', `/webhook-deliveries/${delivery.id}/redeliver`);
    assert.equal(again.status, 201);
    await receiver.waitFor(3);
    assert.equal(receiver.told[2]?.text, receiver.told[1]?.text);

    const rotated = (await ask('POST', `/webhooks/${id}/rotate`, { grace_seconds: 60 })).body;
    assert.notEqual(rotated.secret, secret);
    const off = (version: string) =>
      ask('PATCH', `/webhooks/${id}`, { enabled: false }, { 'if-match': version });
    assert.equal((await off(etag)).body.code, 'VERSION_OUTDATED');
    assert.equal((await off(rotated.etag)).body.state, 'disabled');
    assert.equal((await ask('DELETE', `/webhooks/${id}`)).status, 204);
    assert.equal((await ask('GET', `/webhooks/${id}`)).body.code, 'WEBHOOK_NOT_FOUND');

    const { items, text } = await ask('GET', '/audit').then((answer) => ({
      ...answer.body,
      text: answer.text,
    }));
    const done = (items as { action: string; result: string }[])
      .filter(({ action }) => action.startsWith('webhook.'))
      .map(({ action, result }) => `${action.slice(8)} ${result}`);
    assert.deepEqual(done.reverse(), [
      'create ROLE_MISSING',
      'create WEBHOOK_INVALID',
      'create ok',
      'test ok',
      'redeliver ok',
      'rotate ok',
      'change VERSION_OUTDATED',
      'change ok',
      'remove ok',
    ]);
    const everything = [text, ...engine.log.lines.map((line) => JSON.stringify(line))].join('\n');
    assert.ok(!everything.includes(secret) && !everything.includes('hunter2'));
  });

  test('says when a delivery that failed is tried next, as long as its webhook is on', async (t) => {
    const receiver = await startReceiver(t);
    receiver.state.isUp = false;
    const engine = await startAdminEngine(t, { webhooks: { allow_private: true } });
    const { ask } = await logIn(engine, 'owner');
    const order = { name: 'ops', url: receiver.url, events: ['client.created'] };
    const { id, etag } = (await ask('POST', '/webhooks', order)).body;
    await engine.connectAgent();
    const seen = () => engine.log.lines.some(({ message }) => message === 'a webhook does not arrive');
    await eventually(seen, 'an attempt that failed');
    const newest = async () => (await ask('GET', `/webhooks/${id}/deliveries`)).body.items[0];
    // A pause may be drawn so short that it is over already.
    let delivery = await newest();
    for (let turn = 0; delivery.next_try_at === undefined && turn < 100; turn += 1) delivery = await newest();
    assert.deepEqual([delivery.state, delivery.code, delivery.status], ['waiting', 'WEBHOOK_REFUSED', 503]);
    assert.ok(Date.parse(delivery.next_try_at) > Date.parse(delivery.tried_at));
    await ask('PATCH', `/webhooks/${id}`, { enabled: false }, { 'if-match': etag });
    const waiting = await newest();
    assert.deepEqual([waiting.state, waiting.next_try_at], ['waiting', undefined]);
  });

  test('sends nothing to private addresses unless the operator says so', async (t) => {
    const engine = await startAdminEngine(t);
    const ask = askWithToken(engine, await engine.createToken('automation', ['engine.admin']));
    const order = { name: 'ops', url: 'https://127.0.0.1:1/', events: ['*'] };
    assert.equal((await ask('GET', '/webhooks')).body.total, 0);
    const { id } = (await ask('POST', '/webhooks', order)).body;
    const { state, code } = (await ask('POST', `/webhooks/${id}/test`, {})).body;
    assert.deepEqual([state, code], ['failed', 'WEBHOOK_ADDRESS_FORBIDDEN']);
    const plain = await ask('POST', '/webhooks', { ...order, name: 'plain', url: 'http://127.0.0.1:1/' });
    assert.equal(plain.body.code, 'WEBHOOK_INVALID');
  });
});

test('an engine that stops waits for nobody whose webhook is tried by hand, and leaves nothing of it behind', async (t) => {
  let isAsked = false;
  const stalled = await startTcpUpstream(t, (socket) => {
    socket.once('data', () => {
      isAsked = true;
    });
  });
  const engine = await startAdminEngine(t, { webhooks: { allow_private: true } });
  const { ask } = await logIn(engine, 'owner');
  const order = { name: 'stalls', url: `http://127.0.0.1:${stalled.port}/`, events: ['*'] };
  const { id } = (await ask('POST', '/webhooks', order)).body;
  const trying = ask('POST', `/webhooks/${id}/test`, {}).catch(() => {});
  await eventually(() => isAsked, 'the receiver is asked');
  // It looks itself whether something is left.
  await engine.stop();
  await trying;
});
