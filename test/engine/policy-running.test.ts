/** What runs when rules change: the GeoIP database is replaced under an answer, a WebSocket, a CONNECT and a TCP stream. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { renameSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { fetchThrough, startRequest } from '../support/downstream.ts';
import { startEngine, startHttpUpstream, startTcpUpstream, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { inCountry, mmdbFrom } from '../support/mmdb.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { HOSTNAME } from './http-upstream.ts';
import { openStream } from './http2-sides.ts';
import { nothingIsLeft, openHttp2, openSocket, publishAs, startSocketUpstream } from './switch-ends.ts';

/** A database that says of this machine that it is in France, until told otherwise. */
const startDatabase = (t: TestContext) => {
  const path = join(makeTemporaryDirectory(t), 'countries.mmdb');
  const moveTo = (country: string) => {
    writeFileSync(`${path}.new`, mmdbFrom({ '127.0.0.0/8': inCountry(country) }));
    renameSync(`${path}.new`, path);
  };
  moveTo('FR');
  return { settings: { geoip: { database: path } }, moveTo };
};

const isReloaded = (engine: TestEngine) => () =>
  engine.log.lines.some(({ message }) => message === 'the GeoIP database was reloaded');

/** An upstream whose answers begin and never end. */
const startEndless = (t: TestContext) =>
  startHttpUpstream(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: first\n\n');
  });

describe('when the country of a downstream changes', () => {
  test('an event stream over HTTP/1.1 is cut, and never looks complete', async (t) => {
    const { settings, moveTo } = startDatabase(t);
    const engine = await publishAs(t, await startEndless(t), 'h1', { geoip: ['FR'], settings });
    const request = startRequest(engine, HOSTNAME, '/events').end();
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    const cut = once(response, 'error');
    assert.equal(String((await once(response, 'data'))[0]), 'data: first\n\n');
    moveTo('DE');
    await cut;
    assert.equal(response.complete, false);
    assert.equal(engine.log.withCode('COUNTRY_FORBIDDEN').length, 1);
    const { status } = await fetchThrough(engine, HOSTNAME, '/');
    assert.equal(status, 403);
    await nothingIsLeft(engine);
  });

  test('an event stream over HTTP/2 is reset, and other tunnels of its connection go on', async (t) => {
    const { settings, moveTo } = startDatabase(t);
    const upstream = await startEndless(t);
    const engine = await publishAs(t, upstream, 'h1', { geoip: ['FR'], settings });
    await engine.publish(upstream, { hostname: 'open' });
    const session = await openHttp2(t, engine);
    const [cut, kept] = [openStream(session), openStream(session, { ':authority': 'open.t.localhost' })];
    for (const stream of [cut, kept]) {
      stream.end();
      await once(stream, 'data');
    }
    const failed = once(cut, 'error');
    moveTo('DE');
    await failed;
    await eventually(() => cut.closed, 'the stream is closed');
    assert.notEqual(cut.rstCode, 0);
    assert.equal(kept.closed, false);
    kept.close();
  });

  for (const down of ['h1', 'h2'] as const)
    test(`a WebSocket over ${down} is cut at both ends`, async (t) => {
      const { settings, moveTo } = startDatabase(t);
      let isUpstreamClosed = false;
      const upstream = await startSocketUpstream(t, 'h1', (socket) => {
        socket.on('message', (data) => socket.send(data));
        socket.on('close', () => {
          isUpstreamClosed = true;
        });
      });
      const engine = await publishAs(t, upstream, 'h1', { geoip: ['FR'], settings });
      const { socket } = await openSocket(t, engine, down);
      socket.send('hello');
      await once(socket, 'message');
      const closed = once(socket, 'close');
      moveTo('DE');
      // 1006: no word of goodbye.
      assert.equal((await closed)[0], 1_006);
      await eventually(() => isUpstreamClosed, 'the upstream is told');
    });

  test('a request that waits for its agent is refused', async (t) => {
    const { settings, moveTo } = startDatabase(t);
    const engine = await publishAs(t, await startHttpUpstream(t, () => {}), 'h1', {
      geoip: ['FR'],
      settings,
    });
    const answer = fetchThrough(engine, HOSTNAME, '/');
    await eventually(() => engine.engine.counts().downstreams === 1, 'the request has come');
    moveTo('DE');
    const { status, headers } = await answer;
    assert.deepEqual([status, headers['rstream-error']], [403, 'COUNTRY_FORBIDDEN']);
  });

  test('what is still allowed runs on', async (t) => {
    const { settings, moveTo } = startDatabase(t);
    const engine = await publishAs(t, await startEndless(t), 'h1', { geoip: ['FR', 'DE'], settings });
    const request = startRequest(engine, HOSTNAME, '/events').end();
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    await once(response, 'data');
    moveTo('DE');
    await eventually(isReloaded(engine), 'the database is taken up');
    assert.equal(response.destroyed, false);
    request.destroy();
  });

  test('a TCP stream is reset at both ends', async (t) => {
    const { settings, moveTo } = startDatabase(t);
    const port = await freePort();
    const tcp = { enabled: true, listen_host: '127.0.0.1', port_range: `${port}-${port}` };
    const engine = await startEngine(t, { settings: { ...settings, tcp } });
    const ends: Promise<unknown>[] = [];
    const endOf = (socket: Socket) =>
      assert.rejects(once(socket.resume(), 'end'), { code: 'ECONNRESET' }, 'it looks like an end');
    const upstream = await startTcpUpstream(t, (socket) => {
      ends.push(endOf(socket));
      socket.write('hello');
    });
    await engine.publish(upstream, { protocol: 'tcp', geoip: ['FR'] });
    const downstream = connect(port, '127.0.0.1');
    await once(downstream, 'data');
    moveTo('DE');
    await Promise.all([endOf(downstream), ...ends]);
    assert.equal(engine.log.withCode('COUNTRY_FORBIDDEN').length, 1);
  });

  test('a stream whose agent was lost is cut as well', async (t) => {
    const { settings, moveTo } = startDatabase(t);
    const engine = await publishAs(t, await startEndless(t), 'h1', { settings });
    const agent = await engine.connectAgent();
    await agent.openTunnel({ hostname: 'lost', publish: true, geoip: ['FR'] });
    const request = startRequest(engine, 'lost.t.localhost', '/').end();
    const stream = await agent.answerDial(await agent.next('dial-request'));
    t.after(() => stream.destroy());
    stream.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n');
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    await once(response, 'data');
    agent.kill();
    await eventually(() => engine.engine.counts().tunnels === 1, 'the tunnel has closed');
    assert.equal(response.destroyed, false);
    const cut = once(response, 'error');
    moveTo('DE');
    await cut;
  });
});
