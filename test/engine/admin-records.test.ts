/** Records by the Admin API: searched, paged, told in full and exported, over real sockets. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { fetchThrough } from '../support/downstream.ts';
import { startHttpUpstream } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { logIn, startAdminEngine } from './ask-admin.ts';

const HOSTNAME = 'web.t.localhost';
const FORMULA = '=cmd()';

/** An engine that has served `/0` to `/4`, failed one and found no tunnel for another. */
const startWithRecords = async (t: TestContext) => {
  const engine = await startAdminEngine(t);
  const upstream = await startHttpUpstream(t, (request, response) => {
    response.writeHead(request.url === '/missing' ? 404 : 200).end();
  });
  const { reply } = await engine.publish(upstream, { hostname: 'web', name: 'site' });
  const headers = { 'user-agent': FORMULA };
  for (const path of ['/0', '/1', '/2', '/3', '/4?secret=hunter2', '/missing'])
    await fetchThrough(engine, HOSTNAME, path, { headers });
  await fetchThrough(engine, 'nobody.t.localhost', '/').catch(() => {});
  const { ask } = await logIn(engine, 'owner');
  const search = async (query: string) => (await ask('GET', `/records?${query}`)).body;
  await eventually(() => (engine.engine.records?.search({ limit: 10 }).length ?? 0) >= 6, 'six records');
  return { engine, ask, search, reply };
};

describe('records', () => {
  test('are found by what they have, and by nothing that they have not', async (t) => {
    const { search, reply } = await startWithRecords(t);
    const pathsOf = async (query: string) =>
      (await search(query)).items.map(({ path }: { path: string }) => path);
    assert.deepEqual(await pathsOf('status=404'), ['/missing']);
    assert.deepEqual(await pathsOf('status=4xx&host=WEB.t.localhost'), ['/missing']);
    assert.equal((await pathsOf('status=2xx')).length, 5);
    assert.deepEqual(await pathsOf('q=MISS'), ['/missing']);
    assert.deepEqual(await pathsOf('q=%25'), []);
    assert.equal((await pathsOf('tunnel=site')).length, 6);
    assert.equal(
      (await pathsOf(`tunnel=${reply.id}&address=127.0.0.1&reason=complete&decision=allowed`)).length,
      6,
    );
    assert.deepEqual(await pathsOf('address=192.0.2.1'), []);
    const future = encodeURIComponent(new Date(Date.now() + 60_000).toISOString());
    assert.deepEqual(await pathsOf(`from=${future}`), []);
    assert.equal((await pathsOf(`until=${future}&tunnel=site`)).length, 6);
  });

  test('come in pages that go on where the one before ended, and each in full', async (t) => {
    const { ask, search } = await startWithRecords(t);
    const first = await search('tunnel=site&limit=4');
    const second = await search(`tunnel=site&limit=4&before=${first.next}`);
    const ids = [...first.items, ...second.items].map(({ id }: { id: number }) => id);
    assert.equal(ids.length, 6);
    assert.deepEqual(
      ids,
      ids.toSorted((a, b) => b - a),
    );
    assert.equal(second.next, undefined);

    const { body } = await ask('GET', `/records/${ids[1]}`);
    assert.deepEqual(
      [body.path, body.tls_version, body.decision, body.tunnel_name, body.post_quantum === undefined],
      ['/4', 'TLSv1.3', 'allowed', 'site', false],
    );
    assert.equal((await ask('GET', '/records/999')).body.code, 'RECORD_UNKNOWN');
  });

  test('are exported as lines of JSON and as CSV in which no cell is a formula; the audit log knows', async (t) => {
    const { ask } = await startWithRecords(t);
    const lines = await ask('GET', '/records/export?format=jsonl&tunnel=site');
    assert.match(String(lines.headers['content-disposition']), /attachment; filename="records\.jsonl"/);
    const records = lines.text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual([records.length, records[0].user_agent], [6, FORMULA]);

    const csv = await ask('GET', '/records/export?format=csv&status=404&host=web.t.localhost');
    assert.match(String(csv.headers['content-type']), /^text\/csv/);
    const [head = '', row = ''] = csv.text.split('\r\n');
    assert.equal(row.split(',')[head.split(',').indexOf('user_agent')], `'${FORMULA}`);
    assert.ok(!lines.text.includes('hunter2'));
    const [entry] = (await ask('GET', '/audit')).body.items;
    assert.deepEqual([entry.action, entry.actor], ['records.export', 'admin:owner']);
  });

  test('that are not kept, and questions that make no sense, are refused in words', async (t) => {
    const engine = await startAdminEngine(t, { records: { enabled: false } });
    const { ask } = await logIn(engine, 'owner');
    assert.equal((await ask('GET', '/records')).body.code, 'RECORDS_OFF');
    assert.equal((await ask('GET', '/records/export?format=csv')).body.code, 'RECORDS_OFF');
    assert.equal((await ask('GET', '/records?status=teapot')).body.code, 'ADMIN_REQUEST_INVALID');
  });
});
