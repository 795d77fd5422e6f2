import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { fetchThrough, startRequest } from '../support/downstream.ts';
import { startEngine, startHttpUpstream } from '../support/engine.ts';

test('a downstream gets the page of an upstream behind an agent', async (t) => {
  const engine = await startEngine(t);
  const upstream = await startHttpUpstream(t, (request, response) => response.end(`hello ${request.url}`));
  const { reply } = await engine.publish(upstream, { hostname: 'web' });
  assert.equal(reply.hostname, 'web.t.localhost');
  assert.equal(reply.port, engine.port);
  const answer = await fetchThrough(engine, 'web.t.localhost', '/directory/?a=b');
  assert.equal(answer.status, 200);
  assert.equal(answer.body, 'hello /directory/?a=b');
});

test('the upstream sees Host, method, path and body as they were sent, and who sent them', async (t) => {
  const engine = await startEngine(t);
  const upstream = await startHttpUpstream(t, async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    response.end(
      JSON.stringify({
        method: request.method,
        headers: request.headers,
        body: Buffer.concat(chunks).toString(),
      }),
    );
  });
  await engine.publish(upstream, { hostname: 'web' });
  const answer = await fetchThrough(engine, 'web.t.localhost', '/', {
    method: 'POST',
    body: 'payload',
    headers: {
      origin: 'https://elsewhere.test',
      'x-forwarded-for': '10.9.8.7',
      authorization: 'Bearer app-token',
    },
  });
  const seen = JSON.parse(answer.body);
  assert.equal(seen.method, 'POST');
  assert.equal(seen.body, 'payload');
  assert.equal(seen.headers.host, `web.t.localhost:${engine.port}`);
  assert.equal(seen.headers.origin, 'https://elsewhere.test');
  assert.equal(seen.headers.authorization, 'Bearer app-token');
  assert.equal(seen.headers['x-forwarded-for'], '127.0.0.1');
  assert.equal(seen.headers['x-forwarded-proto'], 'https');
  assert.equal(seen.headers['x-forwarded-host'], `web.t.localhost:${engine.port}`);
  assert.equal(seen.headers['x-forwarded-port'], String(engine.port));
});

test('bodies without a length stream both ways while they are made', async (t) => {
  const engine = await startEngine(t);
  const upstream = await startHttpUpstream(t, (request, response) => {
    response.flushHeaders();
    request.pipe(response);
  });
  await engine.publish(upstream, { hostname: 'echo' });
  const request = startRequest(engine, 'echo.t.localhost', '/', { method: 'POST' });
  request.flushHeaders();
  const [response] = await once(request, 'response');
  for (const part of ['one', 'two', 'three']) {
    request.write(part);
    const [echoed] = await once(response, 'data');
    assert.equal(String(echoed), part);
  }
  request.end();
  await once(response, 'end');
});
