/**
 * An edge alone: the test moves its clock, holds both of its ends in memory, and answers its dials.
 *
 * When the test ends the edge is destroyed and must have left no connection, stream, waiter or timer.
 */
import assert from 'node:assert/strict';
import type { Duplex } from 'node:stream';
import type { TestContext } from 'node:test';
import { type EngineError, fail } from '../../src/base/errors.ts';
import { newAgentId, type StreamId } from '../../src/base/ids.ts';
import { createAddressSet } from '../../src/base/ip.ts';
import { createSweep } from '../../src/base/time.ts';
import type { EdgeConnection } from '../../src/edge/connection.ts';
import type { EdgeOptions } from '../../src/edge/context.ts';
import { createEdge } from '../../src/edge/edge.ts';
import { createPolicies } from '../../src/edge/policies.ts';
import type { Taps } from '../../src/edge/tap.ts';
import { createAccessLog } from '../../src/observe/access-log.ts';
import { createRegistry } from '../../src/tunnel/registry.ts';
import { createRouter } from '../../src/tunnel/router.ts';
import { createFakeClock } from '../support/clock.ts';
import { createDuplexPair } from '../support/duplex-pair.ts';
import { OPEN_RULES } from '../support/engine-rules.ts';
import { eventually } from '../support/eventually.ts';
import { createLogRecorder } from '../support/log.ts';

/** One end of a connection, with what has come on it so far as latin1. */
export interface End {
  readonly socket: Duplex;
  readonly text: string;
  readonly isEnded: boolean;
  /** Waits until what has come satisfies the test's condition. */
  until(isEnough: (text: string) => boolean): Promise<string>;
}

/** A dial of the edge that waits for its answer. */
export interface TestDial {
  readonly signal: AbortSignal | undefined;
  /** The upstream's end of the stream that it becomes; `cut` takes the stream away on the engine's side. */
  grant(): End & { cut(): void };
  refuse(error: EngineError): void;
}

export const readingEnd = (socket: Duplex): End => {
  let text = '';
  let isEnded = false;
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  socket.on('end', () => {
    isEnded = true;
  });
  return {
    socket,
    get text() {
      return text;
    },
    get isEnded() {
      return isEnded;
    },
    async until(isEnough) {
      await eventually(() => isEnough(text), `enough of ${JSON.stringify(text.slice(0, 200))}`);
      return text;
    },
  };
};

/** What the doorstep would say of a connection. */
export const CONNECTION: EdgeConnection = {
  remoteAddress: '192.0.2.1',
  remotePort: 1_024,
  serverName: 'web.t.localhost',
  tlsVersion: 'TLSv1.3',
  cipher: 'TLS_AES_128_GCM_SHA256',
};

export const startEdge = (
  t: TestContext,
  { taps, ...overrides }: Partial<EdgeOptions> & { readonly taps?: Taps } = {},
) => {
  const clock = createFakeClock();
  const log = createLogRecorder();
  const sweep = createSweep(clock, 1_000);
  const registry = createRegistry(
    { clock, admit: () => {} },
    { engineHost: 'localhost', publicPort: () => 443 },
  );
  const router = createRouter({ registry, clock }, { engineHost: 'localhost' });
  const policies = createPolicies({ registry, countryOf: () => undefined }, OPEN_RULES);
  const dials: TestDial[] = [];
  const streams: Duplex[] = [];
  const edge = createEdge(
    {
      clock,
      log,
      sweep,
      registry,
      router,
      policies,
      proofs: {
        knownToken: () => undefined,
        verifyToken: () => Promise.reject(fail('TOKEN_INVALID')),
        verifyCertificate: () => {
          throw fail('CLIENT_CERTIFICATE_UNKNOWN');
        },
      },
      publicPort: () => 443,
      taps,
      record: createAccessLog(log, { level: 'debug' }),
      listenOnPort: (port) => Promise.resolve({ port, close() {} }),
      trustedProxies: createAddressSet([]),
      secureUpstream: (socket) => Promise.resolve({ socket, alpnProtocol: undefined }),
      dialBack: (tunnel, _source, signal) =>
        new Promise((resolve, reject) => {
          dials.push({
            signal,
            refuse: reject,
            grant() {
              const [ours, theirs] = createDuplexPair();
              ours.pause();
              streams.push(ours);
              resolve({ id: 'str_test' as StreamId, tunnelId: tunnel.id, socket: ours });
              return Object.assign(readingEnd(theirs), { cut: () => void ours.destroy() });
            },
          });
        }),
    },
    {
      idleMs: 90_000,
      responseMs: 30_000,
      requestBodyIdleMs: 20_000,
      streamIdleMs: 600_000,
      requestsPerConnectionMax: 100,
      requestsPerTunnelMax: 1_000,
      probe: { deadlineMs: 10_000, userAgent: 'the-probe/1' },
      ...overrides,
    },
  );
  const tunnel = registry.open({ agentId: newAgentId(), credentialId: 'crd_1' }, { hostname: 'web' });
  const ends: Duplex[] = [];

  t.after(async () => {
    const destroyed = edge.destroy();
    for (const end of ends) end.destroy();
    await destroyed;
    await eventually(() => edge.connectionCount === 0, 'every connection is closed');
    await eventually(() => policies.followedCount === 0, 'no exchange or relay is judged any more');
    assert.equal(edge.pooledCount, 0, 'streams or waiters are left in a pool');
    assert.equal(clock.pendingCount, 0, 'timers are left');
  });

  return {
    edge,
    policies,
    clock,
    log,
    registry,
    tunnel,
    dials,
    /** The engine's end of every stream. */
    streams,
    /** The downstream's end of a new connection. */
    connect({ highWaterMark = 16_384, isReading = true } = {}): End {
      const [ours, theirs] = createDuplexPair(highWaterMark);
      ends.push(theirs);
      edge.accept(ours, CONNECTION);
      const end = readingEnd(theirs);
      if (!isReading) theirs.pause();
      return end;
    },
    /** Waits for the dial of this number, the first being 0. */
    async dial(index: number): Promise<TestDial> {
      await eventually(() => dials.length > index, `dial ${index}`);
      return dials[index] as TestDial;
    },
  };
};

/** A request to the tunnel that every edge has. */
export const requestText = (line: string, ...headers: string[]): string =>
  `${[`${line} HTTP/1.1`, 'Host: web.t.localhost', ...headers].join('\r\n')}\r\n\r\n`;

/** Lets everything happen that is under way in memory. */
export const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

/** How often a part occurs. */
export const countOf = (text: string, part: string): number => text.split(part).length - 1;
