import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Secret } from '../../src/base/secret.ts';
import {
  isFilteredIn,
  newWebhookSecret,
  webhookFilterProblem,
  webhookSecretProblem,
  webhookSignature,
  webhookUrlProblem,
} from '../../src/base/webhook.ts';

test('a filter is a name, a group or everything, and one that nothing matches is a slip', () => {
  assert.ok(isFilteredIn(['client.deleted'], 'client.deleted'));
  assert.ok(isFilteredIn(['stream.failed', 'client.*'], 'client.deleted'));
  assert.ok(isFilteredIn(['*'], 'certificate.expiring'));
  assert.ok(!isFilteredIn(['client.created', 'tunnel.*'], 'client.deleted'));
  for (const filter of ['client.*', '*', 'stream.failed'])
    assert.equal(webhookFilterProblem(filter), undefined);
  for (const filter of ['', 'client', 'client.', 'clients.*', 'c*', '*.*', 'webhook.test'])
    assert.ok(webhookFilterProblem(filter), filter);
});

test('a receiver is at an https address without user, password or fragment', () => {
  assert.equal(webhookUrlProblem('https://hooks.example.com:8443/in?key=x', false), undefined);
  assert.equal(webhookUrlProblem('http://127.0.0.1:8080/', true), undefined);
  for (const url of [
    'http://127.0.0.1:8080/',
    'ftp://hooks.example.com/',
    'hooks.example.com',
    'https://a@hooks.example.com/',
    'https://:b@hooks.example.com/',
    'https://hooks.example.com/#part',
    `https://hooks.example.com/${'a'.repeat(2_048)}`,
  ])
    assert.ok(webhookUrlProblem(url, false), url);
  assert.ok(webhookUrlProblem('gopher://127.0.0.1/', true));
});

test('secrets are of the form that official tools make', () => {
  const secret = newWebhookSecret();
  assert.match(secret.reveal(), /^whsec_[\w-]{43}$/);
  assert.equal(webhookSecretProblem(secret.reveal()), undefined);
  for (const text of ['', 'whsec_', 'whsec_short', `sec_${'a'.repeat(40)}`, `whsec_${'a b'.repeat(20)}`])
    assert.ok(webhookSecretProblem(text), text);
});

test('a signature is HMAC-SHA256 over time and body, keyed by the whole text, once for each secret', () => {
  // Made by the official Python SDK: sign_payload('{"id":"evt_1"}', 'whsec_' + 'a' * 43, 1700000000).
  const first = '7dd1307b2d4d79a058204b5bf667e0b160556e8ef187474b1c19584181191d88';
  const secret = new Secret(`whsec_${'a'.repeat(43)}`);
  assert.equal(webhookSignature('{"id":"evt_1"}', [secret], 1_700_000_000), `t=1700000000,v1=${first}`);
  const both = webhookSignature(
    '{"id":"evt_1"}',
    [secret, new Secret(`whsec_${'b'.repeat(43)}`)],
    1_700_000_000,
  );
  assert.match(both, new RegExp(`^t=1700000000,v1=${first},v1=[0-9a-f]{64}$`));
});
