/**
 * What an agent asks for and is told about a tunnel (protocol.md 7.1): the one shape that wire decodes, tunnel validates and the
 * Engine API shows.
 */

/** All fields optional, as on the wire: unset means that the engine chooses. */
export interface TunnelProperties {
  id?: string;
  /** Milliseconds since 1970. */
  creationDate?: number;
  name?: string;
  type?: string;
  publish?: boolean;
  protocol?: string;
  labels?: Record<string, string>;
  geoip?: string[];
  trustedIps?: string[];
  /** Deprecated: hostname, or hostname:port. */
  host?: string;
  tlsMode?: string;
  tlsAlpns?: string[];
  tlsMinVersion?: string;
  tlsCiphers?: string[];
  mtlsAuth?: boolean;
  /** Deprecated. */
  mtlsCacertPem?: string;
  httpVersion?: string;
  /** Deprecated alias of upstreamTls. */
  httpUseTls?: boolean;
  tokenAuth?: boolean;
  rstreamAuth?: boolean;
  challengeMode?: boolean;
  hostname?: string;
  port?: number;
  upstreamTls?: boolean;
  datagramGuaranteedDelivery?: boolean;
  allowCrossRegionRouting?: boolean;
}
