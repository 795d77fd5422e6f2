/**
 * The real agent's door behind a real TLS listener, on a clock that tests move by hand.
 *
 * Every door asserts at the end of its test that nothing is left: no connection, session, dial, stream, tunnel or timer.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { createServer, type TLSSocket } from 'node:tls';
import { fail } from '../../src/base/errors.ts';
import { PERMISSIONS, type Principal } from '../../src/base/principal.ts';
import { createAgentDoor } from '../../src/control/accept.ts';
import { passResets } from '../../src/socket/reset.ts';
import { createRegistry } from '../../src/tunnel/registry.ts';
import { testCertificates } from './certificates.ts';
import { createFakeClock } from './clock.ts';
import {
  connectFake,
  connectFakeAgent,
  type FakeAgentOptions,
  type FakeConnection,
  privateDial,
} from './fake-agent.ts';
import { createLogRecorder } from './log.ts';

export const DIAL_BACK_MS = 30_000;
export const STREAM_IDLE_MS = 3_600_000;

const principal = (credentialId: string, permissions: string[] | null): Principal => ({
  credentialId,
  kind: 'pat',
  permissions: permissions && new Set(permissions),
});

/** Tokens that the door knows; `expired` and `revoked` are refused as such, all others as invalid. */
const PRINCIPALS: Readonly<Record<string, Principal>> = {
  alice: principal('crd_alice', null),
  bob: principal('crd_bob', null),
  'tunnels-only': principal('crd_tunnels', [PERMISSIONS.manageTunnels]),
  'streams-only': principal('crd_streams', [PERMISSIONS.manageStreams]),
};

const verifyCredential = async (token: string): Promise<Principal> => {
  if (token === 'expired') throw fail('TOKEN_EXPIRED');
  if (token === 'revoked') throw fail('TOKEN_REVOKED');
  const known = PRINCIPALS[token];
  if (!known) throw fail('TOKEN_INVALID');
  return known;
};

/** The door knows one certificate, `c0ffee`. */
const verifyCertificate = (fingerprint: string): Principal => {
  if (fingerprint !== 'c0ffee') throw fail('CLIENT_CERTIFICATE_UNKNOWN');
  return { credentialId: 'crd_certificate', kind: 'certificate', permissions: null };
};

/** Waits until `isTrue` holds; fails with `what` when it does not within seconds. */
export const eventually = async (what: string, isTrue: () => boolean): Promise<void> => {
  const endMs = Date.now() + 5_000;
  while (!isTrue()) {
    assert.ok(Date.now() < endMs, `waited in vain: ${what}`);
    await new Promise(setImmediate);
  }
};

export const startDoor = async (t: TestContext) => {
  const clock = createFakeClock();
  const log = createLogRecorder();
  const registry = createRegistry(
    { clock, admit: () => {} },
    { engineHost: 'localhost', publicPort: () => 443 },
  );
  const door = createAgentDoor(
    {
      clock,
      log,
      registry,
      verifyCredential,
      verifyCertificate,
      reservePort: async () => undefined,
      record: () => {},
      privateEdge: {
        admit: () => () => {},
        dialUpstream: (tunnel, { remoteAddress }, signal) =>
          door.dialBack(tunnel, { address: remoteAddress }, signal),
        serveHttp: (socket) => void socket.destroy(),
      },
    },
    { version: '0.0.0-test', dialBackMs: DIAL_BACK_MS, streamIdleMs: STREAM_IDLE_MS },
  );
  const { key, cert } = await testCertificates();
  const options = {
    key,
    cert,
    ALPNProtocols: ['rstrm/1'],
    minVersion: 'TLSv1.3' as const,
    allowHalfOpen: true,
  };
  const server = createServer(options, (socket) => {
    const { remoteAddress = '', remotePort = 0 } = socket;
    // As socket/terminate.ts does for every connection that it finishes.
    passResets(socket, (socket as unknown as { _parent: Socket })._parent);
    door.accept(socket, { remoteAddress, remotePort });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const opened: { destroy(): void }[] = [];
  const keep = <T>(it: T, socket: { destroy(): void }): T => {
    opened.push(socket);
    return it;
  };

  t.after(async () => {
    await door.destroy();
    for (const socket of opened) socket.destroy();
    server.close();
    await once(server, 'close');
    assert.deepEqual(door.counts(), { connections: 0, sessions: 0, dials: 0, dialBacks: 0, streams: 0 });
    assert.equal(registry.count, 0);
    assert.equal(clock.pendingCount, 0, 'no timer is left');
    assert.deepEqual(
      log.lines.filter(({ level }) => level === 'error'),
      [],
    );
  });

  return {
    clock,
    log,
    registry,
    door,
    /** A TLS connection with nothing sent. */
    async connect(): Promise<FakeConnection> {
      const connection = await connectFake({ port });
      return keep(connection, connection.socket);
    },
    /** An agent of alice, unless told otherwise. */
    async agent(options: Partial<FakeAgentOptions> = {}) {
      const agent = await connectFakeAgent({ port, token: 'alice', ...options });
      return keep(agent, agent.socket);
    },
    async dial(target: string, options: Partial<Parameters<typeof privateDial>[0]> = {}) {
      const socket = await privateDial({ port, token: 'alice', target, ...options });
      return keep(socket as TLSSocket, socket);
    },
  };
};
