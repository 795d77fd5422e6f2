/**
 * The story of what admins do with secrets, at debug level: webhooks, uploaded keys, inspected exchanges and replays, the configuration
 * file. None of them is in a log line, in an answer but the one that made it, in the audit log or the records, or before a receiver.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLogger } from '../../src/base/log.ts';
import { createTestPair } from '../support/certificates.ts';
import { fetchThrough } from '../support/downstream.ts';
import { startHttpUpstream } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { readToEnd } from '../support/read-to-end.ts';
import { type Answer, logIn, startAdminEngine } from './ask-admin.ts';

const CONFIGURED = `whsec_${'configured-'.repeat(4)}`;
const URL_KEY = 'key-in-the-url-of-a-receiver';
const SENT = { header: 'sent-in-a-header', query: 'sent-in-a-query', cookie: 'set-by-the-upstream' };
const ANEW = { header: 'given-anew-header', query: 'given-anew-query' };

test('no secret that an admin works with is where it does not belong', async (t) => {
  let received = '';
  const receiver = await startHttpUpstream(t, async (request, response) => {
    received += JSON.stringify(request.rawHeaders) + String(await readToEnd(request));
    response.writeHead(received.length % 2 ? 204 : 500).end();
  });
  const url = `http://127.0.0.1:${receiver.port}/in?key=${URL_KEY}`;
  const engine = await startAdminEngine(
    t,
    {
      inspector: { enabled: true },
      records: { enabled: true },
      webhooks: {
        allow_private: true,
        endpoints: [{ name: 'configured', url, secret: CONFIGURED, events: ['*'] }],
      },
    },
    { hasConfigFile: true },
  );
  const seen: string[] = [];
  const upstream = await startHttpUpstream(t, (request, response) => {
    seen.push(`${request.url} ${request.headers.authorization}`);
    response.setHeader('set-cookie', `session=${SENT.cookie}`).end('hello');
  });
  const { reply } = await engine.publish(upstream, { hostname: 'web' });
  const owner = await logIn(engine, 'owner');
  const guest = await logIn(engine, 'guest', 'viewer');
  let [told, toldToGuest] = ['', ''];
  const ask = async (...order: Parameters<typeof owner.ask>): Promise<Answer['body']> => {
    const answer = await owner.ask(...order);
    told += JSON.stringify(answer);
    return answer.body;
  };

  // Webhooks. Only what makes a secret may tell it.
  const order = { name: 'made', url, events: ['*'] };
  const made = (await owner.ask('POST', '/webhooks', order)).body;
  const rotated = (await owner.ask('POST', `/webhooks/${made.id}/rotate`, { grace_seconds: 60 })).body;
  assert.ok(made.secret && rotated.secret);
  await ask('POST', '/webhooks', order);
  await ask('POST', '/webhooks', { ...order, name: 'wrong', url: `ftp://x/?key=${URL_KEY}` });
  await ask('POST', '/webhooks', { ...order, name: 'wrong', secret: made.secret });
  await ask('POST', `/webhooks/${made.id}/test`, {});
  await ask('PATCH', `/webhooks/${made.id}`, { enabled: false }, { 'if-match': rotated.etag });
  await ask('GET', `/webhooks/${made.id}/deliveries`);

  // A certificate whose key is another one's, and one that is refused as a text.
  const pair = await createTestPair('localhost');
  const other = await createTestPair('localhost');
  const [{ etag }] = (await ask('GET', '/server-certificates')).items;
  for (const upload of [
    { certificate: String(pair.cert), private_key: String(other.key) },
    { certificate: String(pair.key), private_key: String(pair.key) },
    { certificate: String(pair.cert), private_key: [String(pair.key)] },
  ]) {
    await ask('POST', '/server-certificates/check', upload);
    await ask('PUT', '/server-certificates/0', upload, { 'if-match': etag });
  }

  // An inspected exchange, and its replay.
  const path = `/tunnels/${reply.id}/inspection`;
  await ask('PUT', path, { minutes: 5 });
  const headers = { authorization: `Bearer ${SENT.header}` };
  await fetchThrough(engine, 'web.t.localhost', `/?access_token=${SENT.query}`, { headers });
  const [exchange] = (await ask('GET', `${path}/exchanges`)).items;
  const given = { headers: { authorization: `Bearer ${ANEW.header}` }, query: { access_token: ANEW.query } };
  await ask('POST', `${path}/exchanges/${exchange.id}/replay`, given);
  await ask('POST', `${path}/exchanges/${exchange.id}/replay`, { headers: { 'x-other': ANEW.header } });
  for (const { id } of (await ask('GET', `${path}/exchanges`)).items)
    await ask('GET', `${path}/exchanges/${id}`);
  assert.deepEqual(seen, [
    `/?access_token=${SENT.query} Bearer ${SENT.header}`,
    `/?access_token=${ANEW.query} Bearer ${ANEW.header}`,
  ]);

  // The configuration file, which holds a secret, tried and written.
  const { policy, etag: file } = await ask('GET', '/policy');
  await ask('POST', '/policy/dry-run', { ...policy, allow_any: true });
  await ask('POST', '/policy', { ...policy, allow_any: true }, { 'if-match': file });
  assert.equal((await ask('GET', '/policy')).policy.allow_any, true);

  await eventually(() => received.includes('rstream-signature'), 'a webhook');
  for (const each of ['/audit', '/records', '/records/export?format=csv', '/overview', '/openapi.json'])
    await ask('GET', each);
  for (const each of ['/webhooks', `/webhooks/${made.id}`, '/audit', '/policy', '/server-certificates'])
    toldToGuest += (await guest.ask('GET', each)).text;
  await engine.stop();

  let log = '';
  const logger = createLogger('debug', {
    write: (line) => {
      log += line;
    },
  });
  for (const { level, fields, message } of engine.log.lines) logger[level](fields, message);
  const files = readdirSync(engine.directory).filter((name) => /\.db/.test(name));
  assert.ok(files.some((name) => name.startsWith('webhooks')));
  const places: [string, string][] = [
    ['the log', log],
    ['an answer', told],
    ['an answer to a viewer', toldToGuest],
    ['a webhook', received],
    ...files.map((name): [string, string] => [name, readFileSync(join(engine.directory, name), 'latin1')]),
  ];
  const secrets: [string, string, RegExp?][] = [
    ['the secret of a configured webhook', CONFIGURED, /^webhooks/],
    ['the secret of a webhook', made.secret, /^webhooks/],
    ['the second secret of a webhook', rotated.secret, /^webhooks/],
    // Admins see the whole address; the receiver does not, as it is none of what is sent.
    ['the key of an address', URL_KEY, /^webhooks|^an answer$/],
    ...[pair, other].map(({ key }): [string, string] => ['a private key', String(key).split('\n')[1]!]),
    ...Object.values(SENT).map((value): [string, string] => ['what was sent', value]),
    ...Object.values(ANEW).map((value): [string, string] => ['what was given anew', value]),
  ];
  for (const [place, content] of places)
    for (const [what, secret, home] of secrets)
      assert.equal(content.includes(secret) && !home?.test(place), false, `${what} in ${place}`);
});
