/** `forward` and `dial` as processes, beside an engine that is one too: what survives when one of them is killed. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { fetchThrough } from '../support/downstream.ts';
import { startHttpUpstream, startTcpUpstream } from '../support/engine.ts';
import { readToEnd } from '../support/read-to-end.ts';
import { runCommand, startCommand } from './command.ts';
import { makeInstance } from './instance.ts';

/** An engine that runs, and how to reach it. */
const startEngine = async (t: TestContext) => {
  const instance = await makeInstance(t);
  const { engine, port } = await instance.serve();
  const flags = [...instance.engineFlags(port), '--token', await instance.createToken('agent')];
  return {
    instance,
    engine,
    port,
    flags,
    /** Forwards a port; resolves when it is online. */
    async forward(t: TestContext, upstream: { port: number }, ...more: string[]) {
      const agent = startCommand(t, ['forward', `127.0.0.1:${upstream.port}`, ...more, ...flags]);
      await agent.says(/^(?:https|rstrm):.*\n/m);
      return agent;
    },
    fetch: (hostname: string) => fetchThrough({ port, ca: instance.ca }, hostname, '/'),
  };
};

const startPage = (t: TestContext, text: string) =>
  startHttpUpstream(t, (_, response) => {
    response.end(text);
  });

/** Sends back what comes, in front of it a `<`, and ends when the other side does. */
const startEcho = (t: TestContext) =>
  startTcpUpstream(t, (socket) => {
    socket.write('<');
    socket.pipe(socket);
  });

test('beside one engine', { concurrency: true }, async (t) => {
  const { instance, port, flags, forward, fetch } = await startEngine(t);
  await forward(t, await startEcho(t), '--name', 'echo', '--no-publish');

  const stories = [
    t.test('forward prints the address alone, and takes it off when it is stopped', async (t) => {
      const agent = await forward(t, await startPage(t, 'page'), '--hostname', 'web');
      assert.equal(agent.stdout, `https://web.t.localhost:${port}\n`);
      assert.equal((await fetch('web.t.localhost')).body, 'page');
      assert.equal(await agent.kill('SIGTERM'), 0);
      await assert.rejects(fetch('web.t.localhost'), { code: /ERR_SSL|EPROTO/ });
    }),

    t.test('forward that was killed leaves its name to a second one at once', async (t) => {
      const names = ['--hostname', 'shop', '--name', 'shop'];
      const killed = await forward(t, await startPage(t, 'first'), ...names);
      assert.equal((await fetch('shop.t.localhost')).body, 'first');
      await killed.kill('SIGKILL');
      const agent = await forward(t, await startPage(t, 'second'), ...names);
      assert.doesNotMatch(agent.stderr, /Offline/, 'it had not to try again');
      assert.equal((await fetch('shop.t.localhost')).body, 'second');
    }),

    t.test('forward ends with 1 and the sentence of the engine when its token is no good', async (t) => {
      const args = ['forward', '3000', ...instance.engineFlags(port), '--token', 'wrong.secret.token'];
      const { code, stdout, stderr } = await runCommand(t, args);
      assert.deepEqual([code, stdout], [1, '']);
      assert.match(stderr, /The token is not valid on this engine\. \(TOKEN_INVALID, error id \w{8}\)/);
      assert.ok(!stderr.includes('wrong.secret.token'));
    }),

    t.test('dial joins standard input and output to a tunnel, half-close included', async (t) => {
      const dialer = startCommand(t, ['dial', 'echo', ...flags]);
      const text = 'all of this comes back\n'.repeat(20_000);
      dialer.child.stdin.end(text);
      assert.equal(await dialer.ended, 0);
      assert.ok(dialer.stdout === `<${text}`);
      assert.equal(dialer.stderr, '');
    }),

    t.test('dial --listen serves a local port, with one stream a connection', async (t) => {
      const dialer = startCommand(t, ['dial', 'echo', '--listen', '127.0.0.1:0', ...flags]);
      const [, localPort] = await dialer.says(/^127\.0\.0\.1:(\d+)$/m);
      const answers = ['one', 'two'].map(async (text) => {
        const socket = connect({ port: Number(localPort), host: '127.0.0.1', allowHalfOpen: true });
        await once(socket, 'connect');
        socket.end(text);
        return String(await readToEnd(socket));
      });
      assert.deepEqual(await Promise.all(answers), ['<one', '<two']);
      assert.equal(await dialer.kill('SIGTERM'), 0);
    }),

    t.test('dial ends with 1 and a sentence when there is no such tunnel', async (t) => {
      const { code, stdout, stderr } = await runCommand(t, ['dial', 'nowhere', ...flags]);
      assert.deepEqual([code, stdout], [1, '']);
      assert.match(stderr, /No tunnel of this name or id is open\./);
    }),
  ];
  await Promise.all(stories);
});

test('forward comes back by itself with its hostname when the engine was killed and started again', async (t) => {
  const { instance, engine, port, forward, fetch } = await startEngine(t);
  const agent = await forward(t, await startPage(t, 'page'), '--hostname', 'web');
  assert.equal(await engine.kill('SIGKILL'), 'SIGKILL');
  await agent.says(/^Offline: /m);
  await instance.serve({ env: { RSTREAM_ENGINE_TLS__LISTEN_ADDR: `127.0.0.1:${port}` } });
  await agent.says(/Online: (?:.*\n)*Online: /);
  assert.equal((await fetch('web.t.localhost')).body, 'page');
  assert.equal(agent.stdout, `https://web.t.localhost:${port}\n`, 'the same address is not printed twice');
});
