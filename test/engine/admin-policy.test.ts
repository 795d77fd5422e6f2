/** The operator's rules by the Admin API: tried against what was and what is, saved into the file, put into force, told to the audit log. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { appendFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { fetchThrough, startRequest } from '../support/downstream.ts';
import { startHttpUpstream } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { logIn, startAdminEngine } from './ask-admin.ts';

const HOSTNAME = 'web.t.localhost';
const AWAY = ['192.0.2.0/24'];

/** An engine with a file, a tunnel, records of it, and a download that runs. */
const startWithPolicy = async (t: TestContext, policy = {}) => {
  const engine = await startAdminEngine(t, { policy }, { hasConfigFile: true });
  const upstream = await startHttpUpstream(t, (request, response) => {
    if (request.url === '/endless') response.write('begun');
    else response.end('hello');
  });
  await engine.publish(upstream, { hostname: 'web', name: 'site' });
  const owner = await logIn(engine, 'owner');
  const view = (await owner.ask('GET', '/policy')).body;
  const draft = (changes: object) => ({ ...view.policy, ...changes });
  const save = (changes: object, etag = view.etag) =>
    owner.ask('POST', '/policy', draft(changes), { 'if-match': etag });
  const path = join(engine.directory, 'config.yaml');
  const auditOf = async () =>
    (await owner.ask('GET', '/audit')).body.items.map(
      ({ actor, action, object, name, result }: Record<string, string>) =>
        `${actor} ${action} ${object} ${name ?? ''} ${result}`.replace(/ +/g, ' '),
    );
  return { engine, ...owner, view, draft, save, path, auditOf };
};

describe('a dry run', () => {
  test('says who would be cut off, what runs and would end, and changes nothing', async (t) => {
    const { engine, ask, draft } = await startWithPolicy(t);
    await fetchThrough(engine, HOSTNAME, '/');
    await fetchThrough(engine, HOSTNAME, '/');
    const running = startRequest(engine, HOSTNAME, '/endless');
    running.on('error', () => {}).end();
    t.after(() => running.destroy());
    const [response] = await once(running, 'response');
    response.on('error', () => {}).resume();
    await eventually(() => (engine.engine.records?.search({ limit: 10 }).length ?? 0) >= 2, 'two records');
    const tryDraft = async (changes: object) => (await ask('POST', '/policy/dry-run', draft(changes))).body;

    const { records, tunnels, connections, changes, pending, yaml } = await tryDraft({ trusted_ips: AWAY });
    const [group] = records.cut_off.groups;
    assert.deepEqual(
      [records.cut_off.count, group.tunnel_name, group.address, group.code, group.count, group.is_open],
      [2, 'site', '127.0.0.1', 'ADDRESS_FORBIDDEN', 2, true],
    );
    assert.deepEqual([tunnels, pending, records.admitted.count], [[], [], 0]);
    assert.equal(connections.items[0].code, 'ADDRESS_FORBIDDEN');
    assert.deepEqual(changes, [{ key: 'policy.trusted_ips', change: '+192.0.2.0/24' }]);
    assert.match(yaml, /trusted_ips:\n {4}- 192\.0\.2\.0\/24/);

    const stricter = await tryDraft({ require_authentication: true, tls_min_version: 'tls1.3' });
    assert.match(stricter.tunnels[0].problem, /require_authentication is on/);
    assert.deepEqual(stricter.pending, ['policy.tls_min_version']);
    assert.equal((await fetchThrough(engine, HOSTNAME, '/')).status, 200);
  });

  test('says who would be let in again', async (t) => {
    const { engine, ask, draft } = await startWithPolicy(t, { trusted_ips: AWAY });
    assert.equal((await fetchThrough(engine, HOSTNAME, '/')).status, 403);
    await eventually(() => engine.engine.records?.search({ limit: 10 }).length === 1, 'a record');
    const { records } = (await ask('POST', '/policy/dry-run', draft({ trusted_ips: [] }))).body;
    assert.deepEqual([records.admitted.groups[0].address, records.cut_off.count], ['127.0.0.1', 0]);
  });

  test('refuses a draft that the configuration would refuse, with each fault', async (t) => {
    const { ask, draft } = await startWithPolicy(t);
    const { body } = await ask(
      'POST',
      '/policy/dry-run',
      draft({ trusted_ips: ['nonsense'], geoip: ['FR'] }),
    );
    assert.equal(body.code, 'POLICY_DRAFT_INVALID');
    assert.match(body.detail, /policy\.trusted_ips\.0.*\n.*policy\.geoip: needs geoip\.database/);
  });
});

describe('saving', () => {
  test('writes the file, keeps its comments and a backup, and holds at once; both are in the audit log', async (t) => {
    const { engine, save, path, auditOf, view } = await startWithPolicy(t);
    const before = readFileSync(path, 'utf8');
    const { status, body } = await save({ trusted_ips: AWAY, post_quantum: 'require' });
    assert.deepEqual([status, body.pending], [200, ['policy.post_quantum']]);
    assert.equal((await fetchThrough(engine, HOSTNAME, '/')).status, 403);

    const after = readFileSync(path, 'utf8');
    assert.match(after, /^# of a test\n/);
    assert.match(after, /policy:\n {2}post_quantum: require\n {2}trusted_ips:\n {4}- 192\.0\.2\.0\/24\n/);
    assert.equal(readFileSync(`${path}.bak`, 'utf8'), before);
    for (const file of [path, `${path}.bak`]) assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.deepEqual((await auditOf()).slice(0, 3).toSorted(), [
      'admin:owner policy.change policy.trusted_ips +192.0.2.0/24 ok',
      'admin:owner policy.save policy.post_quantum optional -> require ok',
      'admin:owner policy.save policy.trusted_ips +192.0.2.0/24 ok',
    ]);
    assert.equal((await save({ trusted_ips: [] }, view.etag)).body.code, 'VERSION_OUTDATED');
  });

  test('is refused when somebody has changed the file meanwhile, and to viewers', async (t) => {
    const { engine, save, path } = await startWithPolicy(t);
    appendFileSync(path, '# a word\n');
    assert.equal((await save({ trusted_ips: AWAY })).body.code, 'VERSION_OUTDATED');
    const { ask } = await logIn(engine, 'guest', 'viewer');
    const { body } = await ask('GET', '/policy');
    const refused = await ask('POST', '/policy', body.policy, { 'if-match': body.etag });
    assert.equal(refused.body.code, 'ROLE_MISSING');
    assert.equal((await ask('POST', '/policy/dry-run', body.policy)).status, 200);
  });

  test('is not offered without a file', async (t) => {
    const engine = await startAdminEngine(t);
    const { ask } = await logIn(engine, 'owner');
    const { body } = await ask('GET', '/policy');
    assert.match(body.write_problem, /without a configuration file/);
    const refused = await ask('POST', '/policy', body.policy, { 'if-match': 'x' });
    assert.equal(refused.body.code, 'CONFIG_NOT_WRITABLE');
  });
});

test('rules that are reloaded from the file are in the audit log, in the name of the engine', async (t) => {
  const { engine, path, auditOf } = await startWithPolicy(t);
  writeFileSync(
    path,
    `${readFileSync(path, 'utf8')}`.replace('policy: {}', 'policy: {geoip: [], allow_any: true}'),
  );
  engine.configFile?.reload();
  assert.equal((await auditOf())[0], 'engine policy.change policy.allow_any false -> true ok');
});
