/** A doorstep on a free port of 127.0.0.1, and clients for it. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { createAddressSet } from '../../src/base/ip.ts';
import { createArrivals } from '../../src/socket/arrivals.ts';
import { type CertificateFiles, createCertificates } from '../../src/socket/certificates.ts';
import type { PublishedMode } from '../../src/socket/dispatch.ts';
import { createDoorstep, type Doorstep, type DoorstepOptions } from '../../src/socket/listener.ts';
import type { ConnectionHandler, ConnectionInfo, PeekedConnection } from '../../src/socket/receive.ts';
import { testCertificates } from './certificates.ts';
import { createFakeClock, type FakeClock } from './clock.ts';
import { createLogRecorder, type LogRecorder } from './log.ts';

export const ENGINE_HOST = 'edge.example.test';
export const PUBLISHED_HOST = 'app.t.edge.example.test';

/** A connection as a room gets it. */
export interface Arrival {
  readonly room: 'agent' | 'api' | 'published' | 'raw';
  readonly socket: TLSSocket;
  readonly connection: ConnectionInfo;
}

/** A connection whose TLS is not ended here. */
export interface Passed {
  readonly socket: Socket;
  readonly connection: PeekedConnection;
}

export interface TestDoorstep {
  readonly doorstep: Doorstep;
  readonly port: number;
  readonly clock: FakeClock;
  readonly log: LogRecorder;
  /** The next connection that comes through. Ask before it can come. */
  nextArrival(): Promise<Arrival>;
  /** The next connection that is passed through. */
  nextPassed(): Promise<Passed>;
  /** A TLS client that trusts the test authority; its errors are for the test to see, none ends the process. */
  connectTls(options: ConnectionOptions): TLSSocket;
  /** @param localAddress 127.0.0.1 by default; any of 127.0.0.0/8 is another source */
  connectTcp(localAddress?: string): Socket;
}

interface Extras {
  /** Addresses and ranges whose connections begin with a PROXY header. */
  readonly trustedProxies?: readonly string[];
  /** 0, which is no bound, by default. */
  readonly connectionsPerSource?: number;
  readonly ratePerSource?: number;
  readonly isExempt?: (address: string) => boolean;
  readonly files?: readonly CertificateFiles[];
  /** What is published at further names. */
  readonly modes?: Readonly<Record<string, PublishedMode>>;
  /** Runs in the place of a room. */
  readonly onArrival?: (arrival: Arrival) => void;
}

/** Starts one; when the test ends it is destroyed and must have left nothing behind. */
export const startDoorstep = async (
  t: TestContext,
  overrides: Partial<DoorstepOptions> & Extras = {},
): Promise<TestDoorstep> => {
  const { files, modes = {}, onArrival, trustedProxies = [], isExempt = () => false, ...rest } = overrides;
  const { connectionsPerSource = 0, ratePerSource = 0, ...options } = rest;
  const published: Readonly<Record<string, PublishedMode>> = {
    [PUBLISHED_HOST]: { kind: 'http', demands: { versionMin: options.versionMin ?? 'TLSv1.2' } },
    ...modes,
  };
  const made = await testCertificates();
  const clock = createFakeClock(Date.now());
  const log = createLogRecorder();
  const events = new EventEmitter();
  const passed = new EventEmitter();
  const clients = new Set<Socket>();
  const arriveIn =
    (room: Arrival['room']): ConnectionHandler =>
    (socket, connection) => {
      const arrival: Arrival = { room, socket, connection };
      onArrival?.(arrival);
      events.emit('arrival', arrival);
    };
  const arrivals = createArrivals(
    { clock, log, trustedProxies: createAddressSet(trustedProxies), isExempt },
    { connectionsPerSource, ratePerSource },
  );
  const doorstep = createDoorstep(
    {
      clock,
      log,
      arrivals,
      certificates: createCertificates({ log, clock }, files ?? [made]),
      publishedMode: (serverName) => published[serverName] ?? { kind: 'unknown' },
      onAgent: arriveIn('agent'),
      onApi: arriveIn('api'),
      onPublished: arriveIn('published'),
      onRaw: arriveIn('raw'),
      onPassthrough: (socket, connection) => passed.emit('passed', { socket, connection }),
    },
    {
      listenAddress: { host: '127.0.0.1', port: 0 },
      engineHost: ENGINE_HOST,
      connectionsMax: 100,
      versionMin: 'TLSv1.2',
      ...options,
    },
  );
  const { port } = await doorstep.listen();
  t.after(async () => {
    await doorstep.destroy();
    for (const client of clients) client.destroy();
    assert.equal(doorstep.connectionCount, 0, 'connections are left');
    assert.equal(clock.pendingCount, 0, 'timers are left');
  });

  const keep = <Client extends Socket>(client: Client): Client => {
    clients.add(client);
    client.on('error', () => {});
    return client;
  };
  return {
    doorstep,
    port,
    clock,
    log,
    nextArrival: async () => ((await once(events, 'arrival')) as [Arrival])[0],
    nextPassed: async () => ((await once(passed, 'passed')) as [Passed])[0],
    connectTls: (clientOptions) => {
      // Its own variable: Node takes allowHalfOpen here, its types do not know.
      const all = { host: '127.0.0.1', port, ca: made.ca, allowHalfOpen: true, ...clientOptions };
      return keep(connectTls(all));
    },
    connectTcp: (localAddress = '127.0.0.1') =>
      keep(connectTcp({ host: '127.0.0.1', port, localAddress, allowHalfOpen: true })),
  };
};
