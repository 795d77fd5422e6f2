import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Lifecycle } from '../../src/base/lifecycle.ts';

describe('a life', () => {
  test('is open, then closing, then closed', () => {
    const life = new Lifecycle();
    assert.deepEqual([life.isOpen, life.isClosed], [true, false]);
    assert.equal(life.beginClosing(), true);
    assert.deepEqual([life.isOpen, life.isClosed], [false, false]);
    assert.equal(life.finish(), true);
    assert.deepEqual([life.isOpen, life.isClosed], [false, true]);
    assert.equal(life.cause, undefined);
  });

  test('may end without closing first, and keeps the first cause', () => {
    const life = new Lifecycle();
    const cause = new Error('lost');
    assert.equal(life.finish(cause), true);
    assert.equal(life.finish(new Error('later')), false);
    assert.equal(life.cause, cause);
  });

  test('gives each step to its first caller only', () => {
    const life = new Lifecycle();
    assert.deepEqual([life.beginClosing(), life.beginClosing()], [true, false]);
    assert.deepEqual([life.finish(), life.finish()], [true, false]);
    assert.equal(life.beginClosing(), false);
  });
});

describe('who waits for the end', () => {
  test('is called once, in order, with the cause', () => {
    const life = new Lifecycle();
    const heard: unknown[] = [];
    life.onClosed((cause) => heard.push(['one', cause]));
    life.onClosed((cause) => heard.push(['two', cause]));
    life.beginClosing();
    assert.deepEqual(heard, []);
    life.finish('why');
    life.finish('again');
    assert.deepEqual(heard, [
      ['one', 'why'],
      ['two', 'why'],
    ]);
  });

  test('is called at once when it is over', () => {
    const life = new Lifecycle();
    life.finish('why');
    const heard: unknown[] = [];
    life.onClosed((cause) => heard.push(cause));
    assert.deepEqual(heard, ['why']);
  });

  test('may end it again, or wait again, from inside the call', () => {
    const life = new Lifecycle();
    const heard: string[] = [];
    life.onClosed(() => {
      assert.equal(life.finish(), false);
      life.onClosed(() => heard.push('inner'));
      heard.push('outer');
    });
    life.finish();
    assert.deepEqual(heard, ['inner', 'outer']);
  });
});
