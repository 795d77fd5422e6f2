/** SIGHUP and another configuration file on a running engine, and the second SIGTERM on a stopping one. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { appendFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import { fetchThrough, startRequest } from '../support/downstream.ts';
import { startHttpUpstream } from '../support/engine.ts';
import { readToEnd } from '../support/read-to-end.ts';
import { startCommand } from './command.ts';
import { makeInstance } from './instance.ts';

/** An engine with a download under way. */
const startDownload = async (t: TestContext) => {
  const instance = await makeInstance(t);
  const { engine, port } = await instance.serve();
  let atUpstream: ServerResponse | undefined;
  const upstream = await startHttpUpstream(t, (request, response) => {
    if (request.url === '/short') return response.end('short');
    atUpstream = response;
    return response.write('first half, ');
  });
  const flags = [...instance.engineFlags(port), '--token', await instance.createToken('agent')];
  const agent = startCommand(t, ['forward', `127.0.0.1:${upstream.port}`, '--hostname', 'web', ...flags]);
  await agent.says(/^https:\/\/web/m);
  const target = { port, ca: instance.ca };
  const request = startRequest(target, 'web.t.localhost', '/');
  request.on('error', () => {});
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  await once(response, 'readable');
  return {
    instance,
    engine,
    agent,
    response,
    finish: () => atUpstream?.end('second half'),
    statusOf: async () => (await fetchThrough(target, 'web.t.localhost', '/short')).status,
  };
};

test('SIGHUP puts rules into force beside a running download, names what must wait, and ignores a broken file', async (t) => {
  const { instance, engine, agent, response, finish, statusOf } = await startDownload(t);
  const { config } = instance.files;
  const before = readFileSync(config, 'utf8');

  appendFileSync(config, 'policy: {published_protocols: [http]}\nlimits: {connections: 100}\n');
  engine.child.kill('SIGHUP');
  await engine.says(/"settings":\["limits\.connections"\],"msg":"these settings change with the next start"/);
  assert.match(
    engine.stderr,
    /"changed":\["policy\.published_protocols"\],"msg":"the configuration was reloaded"/,
  );

  writeFileSync(config, `${before}policy: {trusted_ips: nonsense}\n`);
  engine.child.kill('SIGHUP');
  await engine.says(
    /policy\.trusted_ips.*"msg":"the configuration was not reloaded, and nothing has changed"/,
  );
  assert.equal(await statusOf(), 200);
  finish();
  assert.equal(String(await readToEnd(response)), 'first half, second half');

  writeFileSync(config, `${before}policy: {trusted_ips: [192.0.2.0/24]}\n`);
  engine.child.kill('SIGHUP');
  await engine.says(/"changed":\["policy\.published_protocols","policy\.trusted_ips"\]/);
  assert.equal(await statusOf(), 403);
  assert.doesNotMatch(agent.stderr, /Offline/, 'the agent has not noticed anything');
});

test('a file that was replaced is read without a signal; a broken one is told of once and changes nothing', async (t) => {
  const { instance, engine, response, finish, statusOf } = await startDownload(t);
  const { config } = instance.files;
  const before = readFileSync(config, 'utf8');
  const replace = (text: string) => {
    writeFileSync(`${config}.new`, text);
    renameSync(`${config}.new`, config);
  };

  replace(`${before}policy: {trusted_ips: nonsense}\n`);
  await engine.says(/"msg":"the configuration was not reloaded, and nothing has changed"/);
  assert.equal(await statusOf(), 200);

  replace(`${before}policy: {trusted_ips: [127.0.0.0/8]}\nlimits: {connections: 100}\n`);
  await engine.says(/"changed":\["policy\.trusted_ips"\],"msg":"the configuration was reloaded"/);
  assert.equal(await statusOf(), 200);
  finish();
  assert.equal(String(await readToEnd(response)), 'first half, second half');

  replace(`${before}policy: {trusted_ips: [192.0.2.0/24]}\n`);
  await engine.says(/"changed":\["policy\.trusted_ips"\][\s\S]*"changed":\["policy\.trusted_ips"\]/);
  assert.equal(await statusOf(), 403);
  assert.equal(engine.stderr.match(/was not reloaded/g)?.length, 1);
});

test('a second SIGTERM ends the drain', async (t) => {
  const { engine, response } = await startDownload(t);
  response.on('error', () => {});
  engine.child.kill('SIGTERM');
  await engine.says(/"engine draining"/);
  assert.equal(await engine.kill('SIGTERM'), 1);
});
