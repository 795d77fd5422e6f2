/**
 * The rows of the bench: what each one puts on a subject, and which figures it gives.
 */
import { askColdTunnels, openConnections } from './connections.ts';
import type { Sample, Unit } from './figures.ts';
import { type Load, runLoad } from './load.ts';
import { BODY_BYTES } from './nginx.ts';
import type { Subject } from './subject.ts';
import { echoMessages } from './websocket.ts';

/** A figure, and the greatest ratio to the reference that the project wants to see, if it wants one. */
export interface Aim {
  unit: Unit;
  ratioAim?: number;
}

/** A row of the bench. */
export interface Workload {
  name: string;
  /** For people. */
  what: string;
  figures: Aim[];
  run(subject: Subject, seconds: number): Promise<Sample>;
}

const h1 = { protocol: 'http/1.1', path: '/', bodyBytes: BODY_BYTES['/'] } as const;
const h2 = { ...h1, protocol: 'h2' } as const;
const perRequest = (ratioAim?: number): Aim => ({
  unit: 'CPU us/request',
  ...(ratioAim !== undefined && { ratioAim }),
});
const perGib: Aim = { unit: 'CPU s/GiB', ratioAim: 1.3 };

/**
 * @param bulkBytes the body of one download of `bulk`; eight make a round
 * @param isSmoke few requests instead of requests for a time, which on a busy machine may be none
 */
export const workloadsWith = (bulkBytes: number, isSmoke: boolean): Workload[] => {
  const http = (name: string, what: string, load: Load, ...figures: Aim[]): Workload => {
    const requests = 2 * load.connections * (load.streams ?? 1);
    const whole = isSmoke ? { ...load, requests } : load;
    return { name, what, figures, run: (subject, seconds) => runLoad(subject, whole, seconds) };
  };
  return [
    http('h1-1', '1 KiB, 1 connection', { ...h1, connections: 1 }, perRequest()),
    http('h1-64', '1 KiB, 64 connections', { ...h1, connections: 64 }, perRequest(2.5)),
    // A thousand handshakes, dial-backs included, take the engine more than a second.
    http('h1-512', '1 KiB, 512 connections', { ...h1, connections: 512, warmUpSeconds: 10 }, perRequest()),
    http(
      'h2-16x4',
      '1 KiB, 16 connections x 4 streams',
      { ...h2, connections: 16, streams: 4 },
      perRequest(3),
    ),
    http(
      'h2-64x8',
      '1 KiB, 64 connections x 8 streams',
      { ...h2, connections: 64, streams: 8 },
      perRequest(3),
    ),
    http(
      'body-64k',
      '64 KiB, 16 connections',
      { ...h1, path: '/64k', bodyBytes: BODY_BYTES['/64k'], connections: 16 },
      perRequest(),
      { unit: 'CPU s/GiB' },
    ),
    http(
      'body-1m',
      '1 MiB, 16 connections',
      { ...h1, path: '/1m', bodyBytes: BODY_BYTES['/1m'], connections: 16 },
      perRequest(),
      perGib,
    ),
    http(
      'bulk',
      `${bulkBytes / 2 ** 20} MiB, 4 connections`,
      { ...h1, path: '/bulk', bodyBytes: bulkBytes, connections: 4, requests: 8 },
      perGib,
    ),
    {
      name: 'connect',
      what: 'a full handshake and one request for each connection, 16 at once',
      figures: [{ unit: 'CPU us/connection', ratioAim: 1.6 }],
      run: openConnections,
    },
    {
      name: 'websocket',
      what: '128 bytes there and back, one at a time',
      figures: [{ unit: 'ms p50' }, { unit: 'ms p99' }, { unit: 'CPU us/message' }],
      run: echoMessages,
    },
    {
      name: 'cold',
      what: 'from a new connection to the first byte of a new tunnel',
      figures: [{ unit: 'ms p50' }, { unit: 'ms p99' }],
      run: askColdTunnels,
    },
  ];
};
