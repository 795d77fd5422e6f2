import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { EngineError } from '../../src/base/errors.ts';
import { registerDial } from '../../src/cli/dial.ts';
import { startTinyEngine } from '../agent/tiny-engine.ts';
import { readToEnd } from '../support/read-to-end.ts';
import { createCommandRunner } from './run-command.ts';

const run = createCommandRunner(registerDial);
const refusal = (text: string) => (error: unknown) =>
  error instanceof EngineError && error.message.includes(text);

test('joins standard input and output to the tunnel, and ends when the tunnel ends', async (t) => {
  const engine = await startTinyEngine(t);
  const command = await run(t, engine.target, ['dial', 'hello']);
  const peer = await engine.accept('private-dial');
  assert.equal(peer.first.target, 'hello');
  peer.send({ kind: 'private-dial-accepted', streamId: 's1' });
  command.stdin.end('question');
  assert.equal(String(await readToEnd(peer.socket)), 'question');
  peer.socket.end('answer');
  await command.over;
  assert.equal(String(command.stdout.read()), 'answer');
});

test('a stream that breaks is a failure, not an end', async (t) => {
  const engine = await startTinyEngine(t);
  const command = await run(t, engine.target, ['dial', 'hello']);
  const peer = await engine.accept('private-dial');
  peer.send({ kind: 'private-dial-accepted', streamId: 's1' });
  command.stdin.write('x');
  await once(peer.socket, 'readable');
  peer.breakOff();
  await assert.rejects(command.over, refusal('closed the stream'));
});

test('a refusal is the sentence of the engine', async (t) => {
  const engine = await startTinyEngine(t);
  const command = await run(t, engine.target, ['dial', 'hello']);
  const peer = await engine.accept('private-dial');
  peer.send({ kind: 'private-dial-refused', error: { code: 3_000, message: 'No such tunnel.' } });
  await assert.rejects(command.over, refusal('No such tunnel.'));
});

test('with --listen it dials once for each connection, until it is stopped', async (t) => {
  const engine = await startTinyEngine(t);
  const command = await run(t, engine.target, ['dial', 'hello', '--listen', '0']);
  const address = await command.printed();
  const port = Number(/^127\.0\.0\.1:(\d+)$/.exec(address)?.[1]);
  for (const word of ['one', 'two']) {
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    const peer = await engine.accept('private-dial');
    peer.send({ kind: 'private-dial-accepted', streamId: word });
    socket.end(word);
    assert.equal(String(await readToEnd(peer.socket)), word);
    peer.socket.end(`${word} back`);
    assert.equal(String(await readToEnd(socket)), `${word} back`);
  }
  command.stop();
  await command.over;
});

test('stopping ends a running stream without a complaint', async (t) => {
  const engine = await startTinyEngine(t);
  const command = await run(t, engine.target, ['dial', 'hello']);
  const peer = await engine.accept('private-dial');
  peer.send({ kind: 'private-dial-accepted', streamId: 's1' });
  command.stdin.write('x');
  await once(peer.socket, 'readable');
  command.stop();
  await command.over;
});

test('--listen needs a port', async (t) => {
  const command = await run(t, { host: '127.0.0.1', port: 1 }, ['dial', 'hello', '--listen', 'host']);
  await assert.rejects(command.over, refusal('[host:]port'));
});
