import { strict as assert } from 'node:assert';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { EngineError } from '../../src/base/errors.ts';
import { addressFrom, type EngineFlags, engineFrom } from '../../src/cli/engine-flags.ts';
import { testCertificates } from '../support/certificates.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const usage = (text: string) => (error: unknown) =>
  error instanceof EngineError && error.code === 'USAGE' && error.message.includes(text);

const TOKEN = { token: 't' };

describe('the engine', () => {
  const CASES: [text: string, host: string, port: number][] = [
    ['edge.example.com:8443', 'edge.example.com', 8443],
    ['edge.example.com', 'edge.example.com', 443],
    ['127.0.0.1:8443', '127.0.0.1', 8443],
    ['[::1]:8443', '::1', 8443],
    ['[::1]', '::1', 443],
  ];
  for (const [text, host, port] of CASES)
    test(`${text} is ${host}, port ${port}`, () => {
      assert.deepEqual(engineFrom({ ...TOKEN, engine: text }, {}).engine, { host, port });
    });

  for (const text of [
    'https://edge.example.com',
    'edge.example.com/x',
    'a@b:443',
    'host:0',
    'host:99999',
    '::1',
  ])
    test(`${text} is refused`, () => {
      assert.throws(() => engineFrom({ ...TOKEN, engine: text }, {}), usage('not an engine address'));
    });

  test('comes from RSTREAM_ENGINE where no flag names it', () => {
    const env = { RSTREAM_ENGINE: 'a:1' };
    assert.equal(engineFrom(TOKEN, env).engine.host, 'a');
    assert.equal(engineFrom({ ...TOKEN, engine: 'b:1' }, env).engine.host, 'b');
    assert.throws(() => engineFrom(TOKEN, {}), usage('RSTREAM_ENGINE'));
  });
});

describe('the token', () => {
  const tokenOf = (flags: EngineFlags, env = {}) =>
    engineFrom({ engine: 'a:1', ...flags }, env).token?.reveal();

  test('is read from a file, without the line end', (t) => {
    const tokenFile = join(makeTemporaryDirectory(t), 'token');
    writeFileSync(tokenFile, 'from-file\n');
    assert.equal(tokenOf({ tokenFile }, { RSTREAM_AUTHENTICATION_TOKEN: 'from-env' }), 'from-file');
  });

  test('comes from RSTREAM_AUTHENTICATION_TOKEN where no flag gives it', () => {
    assert.equal(tokenOf({}, { RSTREAM_AUTHENTICATION_TOKEN: 'from-env' }), 'from-env');
    assert.equal(tokenOf({ token: 'from-flag' }, { RSTREAM_AUTHENTICATION_TOKEN: 'from-env' }), 'from-flag');
  });

  test('is asked for where there is none, and refused where there are two', () => {
    assert.throws(() => tokenOf({}), usage('--token-file'));
    assert.throws(() => tokenOf({ token: '  ' }), usage('--token-file'));
    assert.throws(() => tokenOf({ token: 'a', tokenFile: 'b' }), usage('not both'));
    assert.throws(() => tokenOf({ tokenFile: '/nowhere/token' }), usage('ENOENT'));
  });

  test('cannot be printed by accident', () => {
    assert.ok(!inspect(engineFrom({ engine: 'a:1', token: 'sesame' }, {})).includes('sesame'));
  });
});

test('the CA file must hold a certificate', async () => {
  const { ca, caFile, keyFile } = await testCertificates();
  assert.equal(engineFrom({ ...TOKEN, engine: 'a:1', caFile }, {}).engine.ca, ca);
  assert.throws(
    () => engineFrom({ ...TOKEN, engine: 'a:1', caFile: keyFile }, {}),
    usage('no PEM certificate'),
  );
});

test('an address for a service needs host and port', () => {
  assert.deepEqual(addressFrom('my_service.local:80'), { host: 'my_service.local', port: 80 });
  for (const text of ['80', ':80', 'host:', 'host:0', 'ho st:80']) assert.equal(addressFrom(text), undefined);
});

describe('the client certificate', () => {
  const at = async () => {
    const { certFile, keyFile, cert, key } = await testCertificates();
    return { engine: 'a:1', certFile, keyFile, cert, key };
  };

  test('takes the place of a token, and its key is not printed', async () => {
    const { cert, key, ...flags } = await at();
    const { engine, token } = engineFrom(flags, {});
    assert.equal(token, undefined);
    assert.deepEqual([engine.identity?.certificate, engine.identity?.key.reveal()], [cert, key]);
    assert.equal(inspect(engine, { depth: null }).includes('PRIVATE KEY'), false);
  });

  test('comes from the variables of the official command line', async () => {
    const { certFile, keyFile } = await at();
    const env = { RSTREAM_MTLS_CERT_FILE: certFile, RSTREAM_MTLS_KEY_FILE: keyFile };
    assert.ok(engineFrom({ engine: 'a:1' }, env).engine.identity);
  });

  test('is refused beside a token, without its key, or with another', async () => {
    const { certFile, keyFile } = await at();
    const flags = { engine: 'a:1', certFile, keyFile };
    assert.throws(() => engineFrom({ ...flags, token: 't' }, {}), usage('cannot be used together'));
    assert.throws(
      () => engineFrom(flags, { RSTREAM_AUTHENTICATION_TOKEN: 't' }),
      usage('cannot be used together'),
    );
    assert.throws(() => engineFrom({ engine: 'a:1', certFile }, {}), usage('belong together'));
    assert.throws(() => engineFrom({ ...flags, keyFile: certFile }, {}), usage('no PEM pair'));
    assert.throws(() => engineFrom({ ...flags, keyFile: '/nowhere/key' }, {}), usage('ENOENT'));
  });
});
