/** The admin listener itself: what it serves, with which headers, and whom it hangs up on. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { buildPage } from '../../scripts/build-page.mjs';
import { startEngine } from '../support/engine.ts';
import { askAdmin, startAdminEngine } from './ask-admin.ts';

describe('the admin listener', () => {
  test('serves the page with a policy that leaves no room for what is not its own', async (t) => {
    const files = await buildPage();
    const engine = await startAdminEngine(t);
    const index = await askAdmin(engine, 'GET', '/');
    assert.equal(index.headers['content-type'], 'text/html; charset=utf-8');
    assert.equal(index.headers['cache-control'], 'no-store');
    const policy = String(index.headers['content-security-policy']);
    for (const rule of [
      "default-src 'none'",
      "script-src 'self'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
    ])
      assert.ok(policy.includes(rule), rule);
    assert.doesNotMatch(policy, /unsafe|https?:|\*/);
    assert.doesNotMatch(index.text, /<script(?![^>]* src=)|<style| style=| on\w+=/);
    for (const name of files.keys())
      if (name !== 'index.html') {
        const file = await askAdmin(engine, 'GET', `/${name}`);
        assert.deepEqual([file.status, file.headers['x-content-type-options']], [200, 'nosniff'], name);
        const isKept = /immutable/.test(String(file.headers['cache-control']));
        assert.equal(isKept, /-[0-9a-f]{12}\./.test(name), name);
      }
    for (const path of ['/../package.json', '/%2e%2e/package.json', '/index.html/..', '/assets'])
      assert.equal((await askAdmin(engine, 'GET', path)).status, 404, path);
  });

  test('tells those who speak plain HTTP', async (t) => {
    const engine = await startAdminEngine(t);
    const socket = connect({ host: '127.0.0.1', port: engine.adminPort });
    socket.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n');
    const [answer] = await once(socket, 'data');
    assert.match(String(answer), /^HTTP\/1\.1 400 .*PLAIN_HTTP_ON_TLS_PORT/s);
    socket.destroy();
  });

  test('is not there unless it is wanted', async (t) => {
    const engine = await startEngine(t);
    assert.equal(engine.adminPort, 0);
  });

  test('ends with the engine, whoever is connected or silent', async (t) => {
    const engine = await startAdminEngine(t);
    const silent = connect({ host: '127.0.0.1', port: engine.adminPort });
    await once(silent, 'connect');
    const gone = once(silent, 'close');
    silent.on('error', () => {});
    await askAdmin(engine, 'GET', '/api/admin/openapi.json');
    await engine.stop();
    await gone;
  });
});
