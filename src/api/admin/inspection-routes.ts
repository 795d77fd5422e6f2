/**
 * The inspection of a tunnel: start and stop it, read what it has captured, send one exchange again.
 *
 * Invariant: for the role admin alone, also to read: what is captured are other people's requests. Start, stop, each look at a body and each
 * replay are in the audit log. A body is handed out as bytes to keep, never as what it claims to be.
 */
import { type EngineError, fail } from '../../base/errors.ts';
import type { CapturedExchange } from '../../observe/captured-exchange.ts';
import type { Inspector } from '../../observe/inspector.ts';
import type { GivenAnew } from '../../observe/replay-order.ts';
import type { Tunnel } from '../../tunnel/tunnel.ts';
import {
  exchangeFrom,
  exchangeSchema,
  exchangeSummarySchema,
  type InspectionBounds,
  inspectionFrom,
  inspectionOrderSchema,
  inspectionSchema,
  msFromOrder,
  replayOrderSchema,
  replaySchema,
  summaryFrom,
} from './inspection-shapes.ts';
import { listQuery, pageFrom, pageOf } from './listing.ts';
import { type AdminRequest, type AdminRoute, route } from './route.ts';

/** What became of a replay as far as is known; by edge/replay.ts. */
export type ReplayOutcome =
  | { readonly kind: 'answered'; readonly status: number }
  | { readonly kind: 'refused'; readonly error: EngineError }
  | { readonly kind: 'waiting' };

export interface InspectionDesk {
  /** Undefined where the configuration has none. */
  readonly inspector: Inspector | undefined;
  readonly bounds: InspectionBounds;
  findTunnel(id: string): Tunnel | undefined;
  /**
   * @param address of who asks for it
   * @throws REPLAY_IMPOSSIBLE
   */
  replay(
    tunnel: Tunnel,
    exchange: CapturedExchange,
    given: GivenAnew,
    address: string,
  ): Promise<{ readonly exchangeId: string; readonly outcome: ReplayOutcome }>;
}

const INSPECTION = '/tunnels/:id/inspection';
const EXCHANGES = `${INSPECTION}/exchanges`;
const EXCHANGE = `${EXCHANGES}/:exchangeId`;

export const inspectionRoutes = (desk: InspectionDesk): readonly AdminRoute[] => [
  ...stateRoutes(desk),
  ...exchangeRoutes(desk),
];

const tunnelOf = ({ findTunnel }: InspectionDesk, id: string): Tunnel => {
  const tunnel = findTunnel(id);
  if (!tunnel) throw fail('TUNNEL_NOT_FOUND');
  return tunnel;
};

const inspectorOf = ({ inspector }: InspectionDesk): Inspector => {
  if (!inspector) throw fail('INSPECTOR_DISABLED');
  return inspector;
};

const stateRoutes = (desk: InspectionDesk): readonly AdminRoute[] => [
  route({
    method: 'GET',
    path: INSPECTION,
    operationId: 'getInspection',
    summary: 'Whether a tunnel is inspected, until when, and how much was captured.',
    access: 'admin',
    answers: inspectionSchema,
    answer: ({ id }) => {
      const tunnel = tunnelOf(desk, id);
      return inspectionFrom(desk.inspector?.state(tunnel.id), desk.inspector !== undefined, desk.bounds);
    },
  }),
  route({
    method: 'PUT',
    path: INSPECTION,
    operationId: 'startInspection',
    summary: 'Capture the exchanges of a tunnel for some minutes from now; what is captured already stays.',
    access: 'admin',
    action: 'inspection.start',
    body: inspectionOrderSchema,
    answers: inspectionSchema,
    answer: ({ id, body }) => {
      const inspector = inspectorOf(desk);
      const tunnel = tunnelOf(desk, id);
      if (tunnel.properties.protocol !== 'http')
        throw fail('ADMIN_INVALID', { problem: 'only HTTP tunnels have exchanges to capture' });
      return inspectionFrom(inspector.start(tunnel.id, msFromOrder(body)), true, desk.bounds);
    },
  }),
  route({
    method: 'DELETE',
    path: INSPECTION,
    operationId: 'stopInspection',
    summary: 'Stop capturing, and forget all that was captured.',
    access: 'admin',
    action: 'inspection.stop',
    answer: ({ id }) => {
      if (!inspectorOf(desk).stop(tunnelOf(desk, id).id)) throw fail('NOT_INSPECTED');
    },
  }),
];

const exchangeRoutes = (desk: InspectionDesk): readonly AdminRoute[] => {
  const exchangeOf = ({ id, subId }: Pick<AdminRequest, 'id' | 'subId'>): CapturedExchange =>
    inspectorOf(desk).find(tunnelOf(desk, id).id, subId);
  return [
    route({
      method: 'GET',
      path: EXCHANGES,
      operationId: 'listCapturedExchanges',
      summary: 'What was captured of a tunnel, the newest first.',
      access: 'admin',
      query: listQuery,
      answers: pageOf(exchangeSummarySchema),
      answer: ({ id, query }) => {
        const all = inspectorOf(desk).list(tunnelOf(desk, id).id).map(summaryFrom);
        return pageFrom(all, ({ number }) => String(number).padStart(16, '0'), query);
      },
    }),
    route({
      method: 'GET',
      path: EXCHANGE,
      operationId: 'getCapturedExchange',
      summary: 'The heads and timings of a captured exchange, and how much there is of its bodies.',
      access: 'admin',
      answers: exchangeSchema,
      answer: (request) => exchangeFrom(exchangeOf(request)),
    }),
    bodyRoute('request', (request) => exchangeOf(request).requestBody.content),
    bodyRoute('response', (request) => exchangeOf(request).responseBody.content),
    route({
      method: 'POST',
      path: `${EXCHANGE}/replay`,
      operationId: 'replayCapturedExchange',
      summary:
        'Send a captured request to its tunnel once more, marked by x-rstream-replay; the policy of the tunnel is not asked.',
      access: 'admin',
      action: 'inspection.replay',
      body: replayOrderSchema,
      answers: replaySchema,
      answer: async ({ id, subId, body, origin }) => {
        const tunnel = tunnelOf(desk, id);
        const exchange = exchangeOf({ id, subId });
        const { exchangeId, outcome } = await desk.replay(tunnel, exchange, body, origin.address);
        return {
          exchange_id: exchangeId,
          outcome: outcome.kind,
          status: outcome.kind === 'answered' ? outcome.status : undefined,
          code: outcome.kind === 'refused' ? outcome.error.code : undefined,
        };
      },
    }),
  ];
};

const bodyRoute = (
  side: 'request' | 'response',
  contentOf: (request: Pick<AdminRequest, 'id' | 'subId'>) => Buffer,
): AdminRoute =>
  route({
    method: 'GET',
    path: `${EXCHANGE}/${side}-body`,
    operationId: `download${side === 'request' ? 'Request' : 'Response'}Body`,
    summary: `What was kept of the ${side}'s body.`,
    access: 'admin',
    action: `inspection.read-${side}`,
    isDownload: true,
    answer: (request) => {
      const content = contentOf(request);
      request.ctx.set({
        'content-type': 'application/octet-stream',
        'content-disposition': `attachment; filename="${request.subId}-${side}.bin"`,
      });
      return content;
    },
  });
