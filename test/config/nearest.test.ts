/** Guesses are near, or there is none. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearestOf } from '../../src/config/nearest.ts';

const names = ['host', 'log_level', 'listen_addr'];

test('finds the nearest name within the distance', () => {
  assert.equal(nearestOf('lisen_addr', names, 2), 'listen_addr');
  assert.equal(nearestOf('listen-adr', names, 2), 'listen_addr');
  assert.equal(nearestOf('loglevel', names, 2), 'log_level');
  assert.equal(nearestOf('hosts', names, 1), 'host');
  assert.equal(nearestOf('host', names, 0), 'host');
});

test('finds nothing beyond the distance', () => {
  assert.equal(nearestOf('hosts', names, 0), undefined);
  assert.equal(nearestOf('ghosts', names, 1), undefined);
  assert.equal(nearestOf('', names, 3), undefined);
  assert.equal(nearestOf('host', [], 9), undefined);
});

test('prefers the nearer of two', () => {
  assert.equal(nearestOf('http.x', ['https.xy', 'http.xy'], 3), 'http.xy');
});
