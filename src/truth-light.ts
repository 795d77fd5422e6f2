/**
 * Puts the truth light together: who is probed, how, and where what is known of tunnels is told.
 *
 * Flow: engine.ts makes one where `probes.enabled` is set; the edge asks, the Admin API shows, metrics count, the log tells the turns.
 */
import type { Logger } from './base/log.ts';
import type { Metrics } from './base/metric-numbers.ts';
import type { Clock } from './base/time.ts';
import type { Config } from './config/schema.ts';
import type { ProbeTunnel } from './edge/tunnel-probe.ts';
import { createProbes, type Probes } from './observe/probes.ts';
import { TRUTH_STATES } from './observe/standing.ts';
import { createTruthLog } from './observe/truth-log.ts';
import type { TunnelRegistry } from './tunnel/registry.ts';
import { VERSION } from './version.ts';

export interface TruthLightNeeds {
  readonly clock: Clock;
  readonly log: Logger;
  readonly registry: TunnelRegistry;
  readonly probe: ProbeTunnel;
  readonly metrics: Metrics | undefined;
}

/** What the edge has to know of probes. */
export const probeOptionsFrom = ({ probes }: Config) => ({
  deadlineMs: probes.deadline_seconds * 1_000,
  userAgent: `rstream-engine-ce-probe/${VERSION}`,
});

export const createTruthLight = (needs: TruthLightNeeds, { probes }: Config): Probes | undefined => {
  if (!probes.enabled) return undefined;
  const { metrics } = needs;
  const light = createProbes(
    {
      ...needs,
      onTurn: createTruthLog(needs),
      count: (outcome) => {
        if (metrics) metrics.cell('rstream_engine_probes_total', { outcome }).value += 1;
      },
    },
    { intervalMs: probes.interval_seconds * 1_000 },
  );
  metrics?.onScrape(() => {
    const counts = light.counts();
    for (const state of TRUTH_STATES)
      metrics.cell('rstream_engine_tunnel_truth', { state }).value = counts[state];
  });
  return light;
};
