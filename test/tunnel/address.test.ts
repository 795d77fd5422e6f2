/** Which hostnames tunnels may have, and which hostname a downstream means. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createAddressSpace, hostnameFromAuthority } from '../../src/tunnel/address.ts';

const LABEL_63 = 'a'.repeat(63);

describe('hostname requests', () => {
  const accepted: readonly (readonly [engineHost: string, requested: string, hostname: string])[] = [
    ['edge.example.com', 'shop', 'shop.t.edge.example.com'],
    ['edge.example.com', 'shop.t.edge.example.com', 'shop.t.edge.example.com'],
    ['edge.example.com', 'r1a2b3c4d-edge.t.example.com', 'r1a2b3c4d-edge.t.edge.example.com'],
    ['edge.example.com', 'SHOP.T.Edge.Example.COM.', 'shop.t.edge.example.com'],
    ['Edge.Example.com.', 'shop', 'shop.t.edge.example.com'],
    ['edge.example.com', '7', '7.t.edge.example.com'],
    ['edge.example.com', LABEL_63, `${LABEL_63}.t.edge.example.com`],
    ['localhost', 'hello', 'hello.t.localhost'],
    ['localhost', 'hello.t.localhost', 'hello.t.localhost'],
    // The official CLI's name for an engine at an IP address.
    ['127.0.0.1', 'r1a2b3c4d-127.t.0.0.1', 'r1a2b3c4d-127.t.127.0.0.1'],
  ];
  for (const [engineHost, requested, hostname] of accepted)
    test(`${requested.slice(0, 40)} on ${engineHost} is ${hostname.slice(0, 40)}`, () =>
      assert.equal(createAddressSpace(engineHost).hostnameFor(requested), hostname));

  const refused: readonly (readonly [engineHost: string, requested: string])[] = [
    ['edge.example.com', ''],
    ['edge.example.com', '.'],
    ['edge.example.com', 'shop.'.repeat(2)],
    ['edge.example.com', 'edge.example.com'],
    ['edge.example.com', 'shop.edge.example.com'],
    ['edge.example.com', 't.edge.example.com'],
    ['edge.example.com', '.t.edge.example.com'],
    ['edge.example.com', 'a.b.t.edge.example.com'],
    ['edge.example.com', 'shop.t.other.com'],
    ['edge.example.com', 'shop.t.com'],
    ['edge.example.com', 'shop.t.notedge.example.com'],
    ['edge.example.com', 'shop.t.edge.example.com..'],
    ['edge.example.com', 'shop:443'],
    ['edge.example.com', '-shop'],
    ['edge.example.com', 'shop-'],
    ['edge.example.com', 'my_shop'],
    ['edge.example.com', 'my shop'],
    ['edge.example.com', '*'],
    ['edge.example.com', 'bücher'],
    ['edge.example.com', `${LABEL_63}a`],
    ['localhost', 'hello.localhost'],
    ['localhost', 'hello.t'],
    ['localhost', 'hello.t.'],
    ['localhost', 'localhost.t.localhost.example'],
  ];
  for (const [engineHost, requested] of refused)
    test(`${JSON.stringify(requested).slice(0, 40)} is outside ${engineHost}`, () =>
      assert.throws(() => createAddressSpace(engineHost).hostnameFor(requested), {
        code: 'HOSTNAME_INVALID',
        message: new RegExp(`<label>\\.t\\.${engineHost}`),
      }));
});

describe('hostnames that the engine chooses', () => {
  const cases: readonly (readonly [name: string | undefined, shape: RegExp])[] = [
    [undefined, /^[0-9a-z]{6}\.t\.localhost$/],
    ['web', /^web-[0-9a-z]{6}\.t\.localhost$/],
    ['My Shop (Café)', /^my-shop-cafe-[0-9a-z]{6}\.t\.localhost$/],
    ['--a__b--', /^a-b-[0-9a-z]{6}\.t\.localhost$/],
    ['日本', /^[0-9a-z]{6}\.t\.localhost$/],
    ['x'.repeat(200), /^x{56}-[0-9a-z]{6}\.t\.localhost$/],
    [`${'x'.repeat(55)} y`, /^x{55}-[0-9a-z]{6}\.t\.localhost$/],
  ];
  for (const [name, shape] of cases)
    test(`a tunnel named ${JSON.stringify(name)?.slice(0, 30)} gets a name that it could ask for again`, () => {
      const space = createAddressSpace('localhost');
      const hostname = space.newHostname(name, () => false);
      assert.match(hostname, shape);
      assert.equal(space.hostnameFor(hostname), hostname);
    });

  test('a name that is taken is not given again', () => {
    const refusedNames: string[] = [];
    const isTaken = (hostname: string) => refusedNames.length < 3 && refusedNames.push(hostname) > 0;
    const hostname = createAddressSpace('localhost').newHostname('web', isTaken);
    assert.equal(refusedNames.length, 3);
    assert.ok(!refusedNames.includes(hostname));
  });
});

describe('the authority of a request', () => {
  const cases: readonly (readonly [authority: string, hostname: string | undefined])[] = [
    ['shop.t.localhost', 'shop.t.localhost'],
    ['Shop.T.LocalHost', 'shop.t.localhost'],
    ['shop.t.localhost.', 'shop.t.localhost'],
    ['shop.t.localhost:8443', 'shop.t.localhost'],
    ['shop.t.localhost.:8443', 'shop.t.localhost'],
    ['shop.t.localhost:', 'shop.t.localhost'],
    ['shop.t.localhost:0', 'shop.t.localhost'],
    ['shop.t.127.0.0.1:443', 'shop.t.127.0.0.1'],
    ['', undefined],
    ['.', undefined],
    [':443', undefined],
    ['shop..localhost', undefined],
    ['shop.t.localhost..', undefined],
    ['shop.t.localhost:65536', undefined],
    ['shop.t.localhost:https', undefined],
    ['shop.t.localhost:443:443', undefined],
    ['shop.t.localhost:-1', undefined],
    ['user@shop.t.localhost', undefined],
    ['shop.t.localhost/path', undefined],
    ['shop.t.localhost ', undefined],
    ['shop_1.t.localhost', undefined],
    ['[::1]', undefined],
    ['[::1]:443', undefined],
    ['::1', undefined],
  ];
  for (const [authority, hostname] of cases)
    test(`${JSON.stringify(authority)} means ${hostname ?? 'no tunnel'}`, () =>
      assert.equal(hostnameFromAuthority(authority), hostname));
});
