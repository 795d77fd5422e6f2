/** What the messages of the engine add up to in the admin page. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Inventory, inventoryAfter, type Message } from '../../web/src/inventory.ts';

const NUMBERS = { status: 'ready', agents: 0, tunnels: 0, downstreams: 0, connections: 0 } as const;
const tunnel = (id: string, name = id) => ({ id, name }) as never;
const STATE: Message = { type: 'state', numbers: NUMBERS, agents: [], tunnels: [tunnel('a'), tunnel('b')] };

const after = (...messages: readonly Message[]): Inventory | undefined =>
  messages.reduce<Inventory | undefined>(inventoryAfter, undefined);
const namesAfter = (...messages: readonly Message[]) =>
  [...(after(...messages)?.tunnels.values() ?? [])].map(({ name }) => name);

test('a change adds, takes away and replaces, and leaves what it does not name', () => {
  assert.deepEqual(namesAfter(STATE, { type: 'change', tunnels: { came: [tunnel('c')], gone: ['a'] } }), [
    'b',
    'c',
  ]);
  assert.deepEqual(namesAfter(STATE, { type: 'change', tunnels: { came: [tunnel('a', 'new')], gone: [] } }), [
    'new',
    'b',
  ]);
  assert.deepEqual(namesAfter(STATE, { type: 'change', numbers: { ...NUMBERS, agents: 1 } }), ['a', 'b']);
});

test('a state replaces everything, and a change before any state is nothing', () => {
  assert.deepEqual(namesAfter(STATE, { ...STATE, tunnels: [tunnel('z')] }), ['z']);
  assert.equal(after({ type: 'change', numbers: NUMBERS }), undefined);
});

test('a change makes a new value: what was shown before stays as it was', () => {
  const before = after(STATE);
  inventoryAfter(before, { type: 'change', tunnels: { came: [], gone: ['a'] } });
  assert.equal(before?.tunnels.size, 2);
});
