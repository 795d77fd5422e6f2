/** The watch endpoints as a page of somebody else uses them: EventSource and WebSocket of a real browser, with a token in the URL. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PERMISSIONS } from '../../src/base/principal.ts';
import { startEngine, startHttpUpstream } from '../support/engine.ts';
import { openBrowser } from './page.ts';

const LIST_ONLY = { tunnels: { scopes: { tunnels: { list: true } } } };

/** Every event of a stream, in window.seen; a function of the page, so in its language. */
const WATCHERS = {
  EventSource: (address: string) => `
    window.seen = [];
    const source = new EventSource('https://${address}');
    source.onmessage = ({ data }) => window.seen.push(JSON.parse(data));
    for (const type of ['state.initial', 'tunnel.created', 'tunnel.deleted'])
      source.addEventListener(type, ({ data }) => window.seen.push(JSON.parse(data)));`,
  WebSocket: (address: string) => `
    window.seen = [];
    const socket = new WebSocket('wss://${address}');
    socket.onmessage = ({ data }) => window.seen.push(JSON.parse(data));`,
};
const PATHS = { EventSource: '/api/sse', WebSocket: '/api/websocket' } as const;

for (const kind of ['EventSource', 'WebSocket'] as const)
  test(`a page of another origin watches by ${kind} with a short-lived token in the URL`, async (t) => {
    const engine = await startEngine(t);
    const upstream = await startHttpUpstream(t, (_, response) => {
      response.setHeader('content-type', 'text/html');
      response.end('<title>dashboard</title>');
    });
    await engine.publish(upstream, { hostname: 'web' });
    await engine.createToken('source');
    const { token } = await engine.withCredentials((credentials) =>
      credentials.mintAuthToken({
        source: credentials.principalOf('source'),
        permissions: [PERMISSIONS.readResources],
        expiresInSeconds: 600,
        resources: LIST_ONLY,
      }),
    );
    const browser = await openBrowser();
    t.after(() => browser.close());
    const page = await browser.newPage();
    await page.goto(`https://web.t.localhost:${engine.port}/`);
    await page.evaluate(
      WATCHERS[kind](`localhost:${engine.port}${PATHS[kind]}?rstream.token=${encodeURIComponent(token)}`),
    );
    const typesSeen = () =>
      page.evaluate('window.seen.map(({ type }) => type)') as Promise<readonly string[]>;
    await page.waitForFunction('window.seen.length === 1');
    assert.deepEqual(await typesSeen(), ['state.initial']);
    const agent = await engine.connectAgent();
    await agent.openTunnel({ hostname: 'later' });
    await page.waitForFunction(`window.seen.some(({ type }) => type === 'tunnel.created')`);
    assert.equal(
      await page.evaluate(`window.seen.find(({ type }) => type === 'tunnel.created').object.hostname`),
      'later.t.localhost',
    );
  });
