/** One HTTP/2 connection asks many tunnels: each request goes where its own authority says. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { startEngine, startHttpUpstream, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { ask, connectHttp2 } from './http2-sides.ts';

/** Publishes an upstream that answers with its name. */
const publish = async (t: TestContext, engine: TestEngine, name: string) => {
  const upstream = await startHttpUpstream(t, (_request, response) => response.end(name));
  return engine.publish(upstream, { hostname: name });
};

const hostnameOf = (name: string): string => `${name}.t.localhost`;

describe('requests on one connection', () => {
  test('go to the tunnels that their authorities name, with any port or none', async (t) => {
    const engine = await startEngine(t);
    for (const name of ['a', 'b']) await publish(t, engine, name);
    const session = await connectHttp2(t, engine, hostnameOf('a'));
    const authorities = [
      ['a', hostnameOf('a')],
      ['b', hostnameOf('b')],
      ['b', `${hostnameOf('b')}:${engine.port}`],
      ['a', `${hostnameOf('a')}:1`],
      ['b', hostnameOf('B').toUpperCase()],
    ] as const;
    const answers = await Promise.all(
      authorities.map(([, authority]) => ask(session, { ':authority': authority })),
    );
    assert.deepEqual(
      answers.map(({ body }) => String(body)),
      authorities.map(([name]) => name),
    );
  });

  test('for the engine itself are sent to another connection, as one certificate names both (421)', async (t) => {
    const engine = await startEngine(t);
    await publish(t, engine, 'a');
    const session = await connectHttp2(t, engine, hostnameOf('a'));
    const answer = await ask(session, { ':authority': 'localhost', ':path': '/api/sse' });
    assert.equal(answer.status, 421);
    assert.equal(String((await ask(session, { ':authority': hostnameOf('a') })).body), 'a');
  });

  test('reach another tunnel after that of the connection has closed (protocol.md 8.3)', async (t) => {
    const engine = await startEngine(t);
    const { agent } = await publish(t, engine, 'a');
    await publish(t, engine, 'b');
    const session = await connectHttp2(t, engine, hostnameOf('a'));
    assert.equal(String((await ask(session, { ':authority': hostnameOf('a') })).body), 'a');
    await agent.stop();
    await eventually(() => engine.engine.counts().tunnels === 1, 'the tunnel closes');
    assert.equal(String((await ask(session, { ':authority': hostnameOf('b') })).body), 'b');
    const gone = await ask(session, { ':authority': hostnameOf('a') });
    assert.ok([404, 503].includes(Number(gone.status)), `${gone.status}`);
    assert.equal(String((await ask(session, { ':authority': hostnameOf('b') })).body), 'b');
  });

  test('are told that the agent of their tunnel is gone, when it was lost', async (t) => {
    const engine = await startEngine(t);
    const agent = await engine.connectAgent();
    await agent.openTunnel({ hostname: 'a', publish: true });
    const session = await connectHttp2(t, engine, hostnameOf('a'));
    agent.kill();
    await eventually(() => engine.engine.counts().tunnels === 0, 'the tunnel closes');
    const { status, headers } = await ask(session, { ':authority': hostnameOf('a') });
    assert.deepEqual([status, headers['retry-after']], [503, '5']);
  });
});

describe('a refusal', () => {
  const refused = async (t: TestContext, headers: Record<string, string>) => {
    const engine = await startEngine(t);
    await publish(t, engine, 'a');
    const session = await connectHttp2(t, engine, hostnameOf('a'));
    const answer = await ask(session, { ':authority': hostnameOf('nobody'), ...headers });
    assert.equal(String((await ask(session, { ':authority': hostnameOf('a') })).body), 'a');
    return { ...answer, engine };
  };

  test('is JSON, with the code and the error id that the log has', async (t) => {
    const { status, headers, body, engine } = await refused(t, {});
    assert.deepEqual([status, headers['content-type']], [404, 'application/json']);
    const { code, error_id } = JSON.parse(String(body)) as Record<string, string>;
    assert.equal(code, 'HOST_UNKNOWN');
    assert.equal(engine.log.withCode('HOST_UNKNOWN')[0]?.fields.errorId, error_id);
  });

  test('is a page for browsers', async (t) => {
    const { status, headers, body } = await refused(t, { accept: 'text/html,*/*' });
    assert.deepEqual([status, headers['content-type']], [404, 'text/html; charset=utf-8']);
    assert.match(String(body), /<h1>404 Not Found<\/h1>/);
  });

  test('has no body for HEAD', async (t) => {
    const { status, headers, body } = await refused(t, { ':method': 'HEAD' });
    assert.deepEqual([status, body.length], [404, 0]);
    assert.ok(Number(headers['content-length']) > 0);
  });
});
