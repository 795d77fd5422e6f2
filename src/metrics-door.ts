/**
 * Puts the metrics together that are read when somebody scrapes: their readings and their listener.
 *
 * Flow: engine.ts makes one where `metrics.prometheus.enabled` is set.
 */
import { createMetricsServer } from './api/metrics-server.ts';
import type { Logger } from './base/log.ts';
import type { Config } from './config/schema.ts';
import { listenAddressOf } from './engine-options.ts';
import { createReadings, type ReadingsNeeds } from './observe/readings.ts';
import { bind } from './socket/bind.ts';

export interface MetricsDoorNeeds extends Omit<ReadingsNeeds, 'databases'> {
  readonly log: Logger;
}

export const createMetricsDoor = (needs: MetricsDoorNeeds, config: Config) => {
  const { log, metrics } = needs;
  const { listen_addr, path, bearer_token } = config.metrics.prometheus;
  const readings = createReadings({
    ...needs,
    databases: {
      credentials: config.store.path,
      audit: config.audit.path,
      ...(config.records.enabled && { records: config.records.path }),
      webhooks: config.webhooks.path,
    },
  });
  const server = createMetricsServer({ log, metrics }, { path, bearerToken: bearer_token });
  return {
    /** @throws ADDRESS_IN_USE, ADDRESS_UNAVAILABLE */
    async listen(): Promise<void> {
      const place = await bind(server, listenAddressOf(listen_addr), 'metrics.prometheus.listen_addr');
      log.info({ address: place.host, port: place.port, path }, 'metrics ready');
    },
    destroy(): void {
      server.close();
      server.closeAllConnections();
      readings.stop();
    },
  };
};
