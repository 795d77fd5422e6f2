/** The lobby's part of webhooks, by a clock that the test moves: days pass, and other processes write to the audit log. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { configFromObject } from '../../src/config/load.ts';
import { createAuditLog } from '../../src/store/audit.ts';
import { createAuditActors } from '../../src/store/audit-actor.ts';
import { openWebhookStore } from '../../src/store/webhooks.ts';
import { createWebhookFeed } from '../../src/webhook-feed.ts';
import { createFakeClock } from '../support/clock.ts';
import { startHttpUpstream } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { createLogRecorder } from '../support/log.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const SECRET = `whsec_${'s'.repeat(43)}`;
const NEEDED = { engine: { host: 'localhost' }, certs: { static: { cert_file: 'a', key_file: 'b' } } };

const openFeed = (t: TestContext, endpoints: readonly object[], dir = makeTemporaryDirectory(t)) => {
  const clock = createFakeClock();
  const log = createLogRecorder();
  const openAudit = () => {
    const options = { path: join(dir, 'audit.db'), sizeBytesMax: 2 ** 26, ageMsMax: 2 ** 40 };
    const audit = createAuditLog({ clock, onFault: (error) => assert.fail(error) }, options);
    t.after(() => audit.close());
    return audit;
  };
  const audit = openAudit();
  const settings = {
    ...NEEDED,
    webhooks: { allow_private: true, ...(endpoints.length > 0 && { endpoints }) },
  };
  const needs = { clock, log, audit, actors: createAuditActors(), countryOf: () => undefined };
  const feed = createWebhookFeed(needs, configFromObject(settings, { dir }));
  feed.start();
  t.after(() => feed.close());
  return { dir, clock, audit, openAudit, feed };
};

const ENDING = {
  reason: 'expires_soon',
  certFile: '/etc/server.pem',
  names: ['edge.example'],
  expiresAt: Date.UTC(2030, 0, 1),
  daysLeft: 20,
} as const;

test('without a webhook there is no file', async (t) => {
  const { dir, feed, clock } = openFeed(t, []);
  feed.tellExpiring(ENDING);
  assert.deepEqual([feed.desk.list(), feed.counts.waiting], [[], 0]);
  await feed.close();
  assert.deepEqual([existsSync(join(dir, 'webhooks.db')), clock.pendingCount], [false, 0]);
});

test('what the command line does to credentials is told as well, and what was done before is not', async (t) => {
  const told: unknown[] = [];
  const { port } = await startHttpUpstream(t, async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    told.push(JSON.parse(text).object);
    response.end();
  });
  const endpoint = {
    name: 'a',
    url: `http://127.0.0.1:${port}/`,
    secret: SECRET,
    events: ['credential.created'],
  };
  const { clock, openAudit } = openFeed(t, [endpoint]);
  const commandLine = openAudit();
  const record = (action: string, object: string, result = 'ok') =>
    commandLine.record({ actor: 'cli:root', origin: 'local', action, object, name: 'laptop', result });
  record('pat.create', 'crd_1');
  record('pat.create', 'crd_2', 'CREDENTIAL_INVALID');
  record('auth.mint', 'crd_3');
  record('certificate.add', 'crd_4');
  clock.advance(LIMITS.webhookAuditMs);
  clock.advance(LIMITS.webhookFlushMs);
  await eventually(() => told.length === 2, 'two are told');
  assert.deepEqual(told, [
    { id: 'crd_1', kind: 'pat', name: 'laptop' },
    { id: 'crd_4', kind: 'certificate', name: 'laptop' },
  ]);
});

test('a server certificate that ends soon is told of by its names, and not by its file', async (t) => {
  const told: unknown[] = [];
  const { port } = await startHttpUpstream(t, async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    told.push(JSON.parse(text));
    response.end();
  });
  const url = `http://127.0.0.1:${port}/`;
  const { clock, feed } = openFeed(t, [{ name: 'a', url, secret: SECRET, events: ['certificate.*'] }]);
  feed.tellExpiring(ENDING);
  clock.advance(LIMITS.webhookFlushMs);
  await eventually(() => told.length === 1, 'it is told');
  const [{ type, object }] = told as [{ type: string; object: object }];
  assert.equal(type, 'certificate.expiring');
  const expected = { reason: 'expires_soon', names: ['edge.example'], days_left: 20 };
  assert.deepEqual(object, { ...expected, expires_at: '2030-01-01T00:00:00.000Z' });
});

test('a webhook that fails for days is switched off, and the audit log says so', async (t) => {
  const { port } = await startHttpUpstream(t, (_, response) => response.writeHead(500).end());
  const endpoint = { name: 'a', url: `http://127.0.0.1:${port}/`, secret: SECRET, events: ['*'] };
  const first = openFeed(t, [endpoint]);
  const { id } = first.feed.desk.list()[0]!;
  await first.feed.close();
  const store = openWebhookStore(join(first.dir, 'webhooks.db'));
  const failingSince = first.clock.now() - LIMITS.webhookFailingMsMax;
  store.saveHealth(id, { state: 'enabled', failureCount: 900, failingSince });
  store.close();

  const { clock, audit, feed } = openFeed(t, [endpoint], first.dir);
  feed.tellExpiring(ENDING);
  clock.advance(LIMITS.webhookFlushMs);
  await eventually(() => feed.desk.find(id).state === 'failed', 'it is switched off');
  const [entry] = audit.list(1);
  assert.deepEqual(
    [entry?.actor, entry?.action, entry?.object, entry?.name],
    ['engine', 'webhook.disable', id, 'a'],
  );
});
