import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ERRORS, type ErrorCode, type ErrorRow, engineErrorFrom, fail } from '../../src/base/errors.ts';

const ROWS = Object.entries(ERRORS) as [ErrorCode, ErrorRow][];

describe('the error table', () => {
  test('names every code in capitals', () => {
    for (const [code] of ROWS) assert.match(code, /^[A-Z]+(?:_[A-Z]+)*$/);
  });

  test('has sentences: each message and each advice begins with a capital and ends with a full stop', () => {
    for (const [code, { message, advice }] of ROWS) {
      // A message may end with what somebody else has said.
      assert.match(message, /^(?:[A-Z]|\{\w+\} ?).*(?:[.]|\{sentence\}|\{faults\})$/s, code);
      assert.match(advice, /^[A-Z].*\.$/, code);
    }
  });

  test('has HTTP statuses of failures and codes of the wire protocol', () => {
    const wireCodes = [1000, 2000, 2010, 2020, 2030, 3000, 4000, 5000, 6000, 7000, 8000, 9000];
    for (const [code, { status, wireCode }] of ROWS) {
      assert.ok(status >= 400 && status < 600, `${code}: ${status}`);
      assert.ok(wireCodes.includes(wireCode), `${code}: ${wireCode}`);
    }
  });

  test('keeps agents from asking again for what stays refused: retryable wire codes only where a retry may help', () => {
    const looping = ROWS.filter(
      ([, { wireCode, source, retryable }]) =>
        !retryable && wireCode >= 6000 && (source === 'agent' || source === 'engine'),
    );
    assert.deepEqual(looping, []);
  });

  test('has the texts by which older clients know a conflict (protocol.md 7.6)', () => {
    assert.equal(ERRORS.HOSTNAME_IN_USE.message, 'Hostname is already in use.');
    assert.equal(ERRORS.TUNNEL_NAME_IN_USE.message, 'Tunnel name is already in use.');
  });
});

describe('an error', () => {
  test('fills the places of its message and keeps details and cause', () => {
    const cause = new Error('below');
    const error = fail('FRAME_TOO_LARGE', { limit: 65_535 }, cause);
    assert.equal(error.message, 'A frame is larger than 65535 bytes.');
    assert.equal(error.name, 'EngineError');
    assert.equal(error.row, ERRORS.FRAME_TOO_LARGE);
    assert.deepEqual(error.details, { limit: 65_535 });
    assert.equal(error.cause, cause);
  });

  test('shows a place that nobody filled, and takes what fills one literally', () => {
    assert.equal(fail('TUNNEL_LIMIT').message, 'The limit of {limit} tunnels is reached.');
    assert.match(fail('PROPERTIES_INVALID', { problem: '$& {limit}' }).message, /: \$& \{limit\}\.$/);
  });

  test('has one id of its own', () => {
    const [one, other] = [fail('INTERNAL'), fail('INTERNAL')];
    assert.match(one.errorId, /^[0-9a-hjkmnp-tv-z]{8}$/);
    assert.equal(one.errorId, one.errorId);
    assert.notEqual(one.errorId, other.errorId);
  });

  test('has no cause where none was caught', () => assert.equal('cause' in fail('INTERNAL'), false));
});

test('what is not from the table becomes INTERNAL, and keeps its cause', () => {
  const known = fail('AGENT_GONE');
  assert.equal(engineErrorFrom(known), known);
  for (const thrown of [new TypeError('a bug'), 'a string', undefined]) {
    const error = engineErrorFrom(thrown);
    assert.equal(error.code, 'INTERNAL');
    assert.equal(error.cause, thrown);
  }
});
