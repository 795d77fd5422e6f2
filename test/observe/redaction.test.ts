/** What the inspector never keeps. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createRedaction, isRedacted, REDACTED, redactedText } from '../../src/observe/redaction.ts';

const SECRET = 's3cr3t';

describe('redaction', () => {
  const redact = createRedaction(['X-Internal-User']);

  test('takes the values of credentials out of headers, in any case, and keeps what else there is', () => {
    const names = [
      'Authorization',
      'proxy-authorization',
      'Cookie',
      'SET-COOKIE',
      'X-Api-Key',
      'x_api_key',
      'X-Auth-Token',
      'x-amz-security-token',
      'mcp-session-id',
      'X-Auth',
      'x-internal-user',
    ];
    for (const name of names) assert.deepEqual(redact([name, SECRET]), [name, REDACTED], name);
    const plain = ['accept', '*/*', 'X-Hub-Signature-256', 'sha256=1', 'idempotency-key', '1', 'host', 'a'];
    assert.deepEqual(redact(plain), plain);
  });

  test('takes the values of parameters that let somebody in out of addresses, however they are written', () => {
    const targets = [
      `/a?rstream.token=${SECRET}`,
      `/a?x=1&rstream%2Etoken=${SECRET}&y=2`,
      `/a?RSTREAM.TOKEN=${SECRET}`,
      `/a?access_token=${SECRET}`,
      `/a?x=1;token=${SECRET}`,
      `/a?apiKey=${SECRET}`,
      `/a?X-Amz-Signature=${SECRET}`,
      `/a?code=${SECRET}&state=1`,
      `/a?to%6ben=${SECRET}`,
      `/a?${'x'.repeat(300)}token=${SECRET}`,
      `/a??token=${SECRET}`,
    ];
    for (const target of targets) {
      const kept = redactedText(target);
      assert.ok(!kept.includes(SECRET) && isRedacted(kept), kept);
    }
    assert.equal(redactedText('/a?x=1&country_code=2&monkey=3#f'), '/a?x=1&country_code=2&monkey=3#f');
    assert.equal(redactedText(`/a?x=1&token=${SECRET}&y=2`), `/a?x=1&token=${REDACTED}&y=2`);
  });

  test('does the same for headers that hold addresses', () => {
    const kept = redact([
      ...['referer', `https://a/b?rstream.token=${SECRET}`],
      ...['location', `/b?id_token=${SECRET}`],
      // RFC 6749 4.2.2: the implicit grant answers behind a #.
      ...['location', `https://app/cb#access_token=${SECRET}&token_type=bearer`],
      ...['location', `/cb?x=1#state=2&id_token=${SECRET}`],
      ...['link', `</b?token=${SECRET}>; rel="next"`],
    ]);
    assert.ok(!kept.join().includes(SECRET), kept.join());
    assert.ok(kept.join().includes('; rel="next"'));
  });

  test('keeps texts of 8 bits as they are', () => {
    assert.deepEqual(redact(['x-name', 'caf\u00e9']), ['x-name', 'caf\u00e9']);
  });
});
