/**
 * Puts the inspector together: who captures (observe/), where exchanges pass (edge/), and the Admin API, which asks for both.
 *
 * Flow: engine.ts makes the inspector and hands its taps to the edge; admin-door.ts makes the desk.
 * Invariant: without `inspector.enabled` there is no inspector, and nothing to switch on at run time.
 */
import type { InspectionDesk } from './api/admin/inspection-routes.ts';
import { newCaptureId } from './base/ids.ts';
import type { Config } from './config/schema.ts';
import type { Edge } from './edge/edge.ts';
import { createInspector, type Inspector, type InspectorNeeds } from './observe/inspector.ts';
import { replayedRequestFrom } from './observe/replay-order.ts';
import type { TunnelRegistry } from './tunnel/registry.ts';

export const createInspectorFrom = ({ inspector }: Config, needs: InspectorNeeds): Inspector | undefined =>
  inspector.enabled
    ? createInspector(needs, {
        exchangesMax: inspector.exchanges_max,
        bodyBytesMax: inspector.body_bytes_max,
        memoryBytesMax: inspector.memory_bytes_max,
        redactHeaders: inspector.redact_headers,
      })
    : undefined;

export interface InspectionDeskNeeds {
  readonly inspector: Inspector | undefined;
  readonly registry: TunnelRegistry;
  readonly replay: Edge['replay'];
}

export const createInspectionDesk = (
  { inspector, registry, replay }: InspectionDeskNeeds,
  config: Config,
): InspectionDesk => ({
  inspector,
  bounds: {
    exchangesMax: config.inspector.exchanges_max,
    bodyBytesMax: config.inspector.body_bytes_max,
  },
  findTunnel: registry.byId,
  async replay(tunnel, exchange, given, remoteAddress) {
    const as = newCaptureId();
    const request = replayedRequestFrom(exchange, given);
    const outcome = await replay(tunnel, { ...request, remoteAddress, replay: { of: exchange.id, as } });
    return { exchangeId: as, outcome };
  },
});
