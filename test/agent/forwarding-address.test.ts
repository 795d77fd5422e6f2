import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { forwardingAddress } from '../../src/agent/forwarding-address.ts';
import type { TunnelProperties } from '../../src/base/tunnel-properties.ts';

const CASES: [reply: TunnelProperties, address: string][] = [
  [{ hostname: 'a.t.h', protocol: 'http' }, 'https://a.t.h'],
  [{ hostname: 'a.t.h', protocol: 'http', port: 443 }, 'https://a.t.h'],
  [{ hostname: 'a.t.h', protocol: 'http', port: 8443 }, 'https://a.t.h:8443'],
  [{ hostname: 'a.t.h', protocol: 'tls' }, 'a.t.h:443 (tls)'],
  [{ hostname: 'a.t.h', protocol: 'tls', port: 8443 }, 'a.t.h:8443 (tls)'],
  [{ hostname: 'a.t.h', protocol: 'tcp', port: 20_000 }, 'a.t.h:20000 (tcp)'],
  [{ hostname: 'a.t.h', port: 8443 }, 'a.t.h:8443'],
  [{ host: 'a.t.h:8443', protocol: 'http', port: 443 }, 'https://a.t.h:8443'],
  [{ hostname: '', host: 'a.t.h', protocol: 'http' }, 'https://a.t.h'],
  [{ name: 'hello', id: 'tun_1' }, 'rstrm://hello (unpublished)'],
  [{ name: '', id: 'tun_1', protocol: 'http' }, 'rstrm://tun_1 (unpublished)'],
];

for (const [reply, address] of CASES)
  test(`${JSON.stringify(reply)} is ${address}`, () => assert.equal(forwardingAddress(reply), address));
