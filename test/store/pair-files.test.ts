import assert from 'node:assert/strict';
import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { finishReplacement, replacePair } from '../../src/store/pair-files.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const OLD = { cert: Buffer.from('old certificate'), key: Buffer.from('old key') };
const NEXT = { cert: Buffer.from('new certificate'), key: Buffer.from('new key') };

const setUp = (t: TestContext) => {
  const directory = makeTemporaryDirectory(t);
  const files = { certFile: join(directory, 'cert.pem'), keyFile: join(directory, 'key.pem') };
  writeFileSync(files.certFile, OLD.cert);
  writeFileSync(files.keyFile, OLD.key);
  const pair = () => [readFileSync(files.certFile, 'utf8'), readFileSync(files.keyFile, 'utf8')];
  return { directory, files, pair };
};

const isOld = ['old certificate', 'old key'];
const isNew = ['new certificate', 'new key'];

test('replaces both files, keeps the old ones beside them, and nothing else', (t) => {
  const { directory, files, pair } = setUp(t);
  replacePair(files, NEXT);
  assert.deepEqual(pair(), isNew);
  assert.deepEqual(readdirSync(directory).sort(), ['cert.pem', 'cert.pem.old', 'key.pem', 'key.pem.old']);
  assert.equal(readFileSync(`${files.keyFile}.old`, 'utf8'), 'old key');
  for (const path of [files.keyFile, `${files.keyFile}.old`])
    assert.equal(statSync(path).mode & 0o777, 0o600, path);
  assert.equal(statSync(files.certFile).mode & 0o777, 0o644);
});

test('undo puts the earlier pair back', (t) => {
  const { files, pair } = setUp(t);
  replacePair(files, NEXT).undo();
  assert.deepEqual(pair(), isOld);
});

test('a crash at any moment leaves a whole pair', (t) => {
  const { files, pair } = setUp(t);
  const [asideKey, asideCert] = [`${files.keyFile}.rstream-new`, `${files.certFile}.rstream-new`];
  // Half of the key, then all but a byte of the certificate.
  writeFileSync(asideKey, 'new k');
  finishReplacement(files);
  assert.deepEqual(pair(), isOld);
  writeFileSync(asideKey, NEXT.key);
  writeFileSync(asideCert, 'new certificat');
  finishReplacement(files);
  assert.deepEqual(pair(), isOld);
  // Both are whole, and the key has taken its place.
  writeFileSync(asideKey, NEXT.key);
  writeFileSync(asideCert, NEXT.cert);
  renameSync(asideKey, files.keyFile);
  finishReplacement(files);
  assert.deepEqual(pair(), isNew);
  assert.ok(!existsSync(asideKey) && !existsSync(asideCert));
});

test('what others have put beside the files, to put it in place themselves, is left alone', (t) => {
  const { directory, files, pair } = setUp(t);
  // As scripts do that copy first and rename then.
  for (const names of [['cert.pem.new'], ['cert.pem.new', 'key.pem.new']]) {
    for (const name of names) writeFileSync(join(directory, name), `staged ${name}`);
    finishReplacement(files);
    assert.deepEqual(pair(), isOld);
    replacePair(files, NEXT).undo();
    for (const name of names) assert.equal(readFileSync(join(directory, name), 'utf8'), `staged ${name}`);
  }
});

test('a link is not replaced, and what cannot be written stays as it was', (t) => {
  const { directory, files, pair } = setUp(t);
  const link = join(directory, 'link.pem');
  symlinkSync(files.certFile, link);
  assert.throws(() => replacePair({ ...files, certFile: link }, NEXT), {
    code: 'CERTIFICATE_FILES_FIXED',
    message: /link\.pem is a link, which another program keeps/,
  });
  // Permissions mean nothing to root: a place that is a directory can be written by nobody.
  const blocked = { ...files, certFile: join(directory, 'nowhere', 'cert.pem') };
  assert.throws(() => replacePair(blocked, NEXT), {
    code: 'CERTIFICATE_FILES_FIXED',
    message: /nowhere\/cert\.pem cannot be used \(ENOENT\)/,
  });
  assert.throws(() => replacePair({ ...files, keyFile: files.certFile }, NEXT), {
    code: 'CERTIFICATE_FILES_FIXED',
    message: /holds both certificate and key/,
  });
  assert.deepEqual(pair(), isOld);
});
