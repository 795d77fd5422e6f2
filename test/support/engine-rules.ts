/** The operator's rules as a configuration without a `policy` section has them. */
import type { EngineRules } from '../../src/policy/engine-rules.ts';

export const OPEN_RULES: EngineRules = {
  requiresAuthentication: false,
  publishedProtocols: ['http', 'tls', 'tcp'],
  requiresPostQuantum: false,
  trustedIps: [],
  geoip: [],
  allowsAny: false,
  hasGeoipDatabase: false,
};
