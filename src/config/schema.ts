/**
 * Every setting of the engine: type, default, bounds and one sentence for the operator.
 *
 * Flow: load.ts validates against it; config.example.yaml and docs/configuration.md are rendered from it.
 * Invariant: the environment name of `a.b_c` is RSTREAM_ENGINE_A__B_C, without exception; a `secret` becomes a Secret; a `file` is
 * relative to the directory of the configuration.
 */
import { z } from 'zod';
import { LIMITS } from '../base/limits.ts';
import { LOG_LEVELS } from '../base/log.ts';
import {
  always,
  alwaysTrue,
  filePath,
  listenAddress,
  PLACEHOLDER,
  proxyRanges,
  seconds,
  secret,
  section,
  textWith,
} from './kinds.ts';
import { geoip, jwt, policy } from './schema-access.ts';
import { inspector, metrics, probes, records, webhooks } from './schema-observing.ts';
import { adminHostProblem, hostProblem, listenHostProblem, portRangeProblem } from './text-rules.ts';

/** The schema. Read it by load.ts, which also brings missing sections, the environment and the directory. */
export const configSchema = z
  .strictObject({
    engine: section('The engine itself.', {
      host: textWith(hostProblem).toLowerCase().meta({
        doc: 'Host name of the engine; agents and the Engine API use it, and tunnels are published as <label>.t.<host>.',
        example: 'edge.example.com',
      }),
      log_level: z.enum(LOG_LEVELS).default('info').meta({ doc: 'Log lines below this level are dropped.' }),
    }),
    http: section('The plain HTTP listener, which redirects to HTTPS.', {
      enabled: z.boolean().default(false).meta({ doc: 'Listen for plain HTTP and redirect it to HTTPS.' }),
      listen_addr: listenAddress().default('[::]:80').meta({ doc: 'Address of the plain HTTP listener.' }),
    }),
    tls: section('The TLS listener for agents, the Engine API and published tunnels.', {
      enabled: alwaysTrue('must be true: everything that the engine does goes through its TLS listener').meta(
        {
          doc: 'Always true; the engine has no other way in.',
        },
      ),
      listen_addr: listenAddress().default('[::]:443').meta({
        doc: 'Address of the TLS listener: host:port, [IPv6]:port or :port; [::] takes IPv4 as well.',
      }),
      min_version: z.enum(['tls1.2', 'tls1.3']).default('tls1.2').meta({
        doc: 'Lowest TLS version of published tunnels that ask for none; agents always use TLS 1.3.',
      }),
      post_quantum: z.enum(['off', 'prefer', 'require']).default('prefer').meta({
        doc: 'Key exchange X25519MLKEM768: prefer uses it with clients that offer it, require refuses all others, agents included.',
      }),
      public_port: z.int().min(1).max(65_535).optional().meta({
        doc: 'Port in the addresses of tunnels where something maps another port to this listener; the listening port if unset.',
        example: 443,
      }),
    }),
    tcp: section('Published TCP tunnels, each on a port of its own.', {
      enabled: z.boolean().default(false).meta({
        doc: 'Publish TCP tunnels; whoever may open tunnels can then open any port of the range.',
      }),
      listen_host: textWith(listenHostProblem).default('::').meta({
        doc: 'IP address of these ports; :: takes every address, IPv4 as well.',
      }),
      port_range: textWith(portRangeProblem).default('20000-20999').meta({
        doc: 'First and last port, as FIRST-LAST; a tunnel gets the one that it asks for, or any.',
      }),
    }),
    certs: section('Server certificates.', {
      static: section('A certificate from files, which are read again when they change.', {
        enabled: alwaysTrue('must be true: certificates from files are the only kind in this version').meta({
          doc: 'Always true in this version.',
        }),
        cert_file: filePath().meta({
          doc: 'PEM file with the certificate for <host> and *.t.<host>, followed by its intermediates.',
          example: '/etc/rstream/tls/cert.pem',
          file: true,
        }),
        key_file: filePath().meta({
          doc: 'PEM file with the private key of the certificate.',
          example: '/etc/rstream/tls/key.pem',
          file: true,
        }),
        additional: z
          .array(
            z
              .strictObject({
                cert_file: filePath().meta({ file: true }),
                key_file: filePath().meta({ file: true }),
              })
              .readonly(),
          )
          .max(LIMITS.certificatePairsMax - 1)
          .readonly()
          .optional()
          .meta({
            doc: 'Further pairs: for the same names with a key of another kind (RSA for clients that cannot do ECDSA), or for other names.',
            example: [
              { cert_file: '/etc/rstream/tls/rsa-cert.pem', key_file: '/etc/rstream/tls/rsa-key.pem' },
            ],
          }),
      }),
    }),
    auth: section('Who may use the engine.', { jwt }),
    policy,
    geoip,
    store: section('The database of credentials.', {
      path: filePath().default('engine.db').meta({
        doc: 'SQLite file; relative paths, here and elsewhere, start at the directory of this configuration.',
        file: true,
      }),
      signing_key: secret(LIMITS.jwtSecretBytesMin).optional().meta({
        doc: 'Key that signs the tokens of this engine, in place of the file beside the database (engine.db has engine.signing-key).',
        secret: true,
        example: PLACEHOLDER,
      }),
    }),
    audit: section('The log of what was done to credentials.', {
      path: filePath().default('audit.db').meta({ doc: 'SQLite file of the audit log.', file: true }),
      size_bytes: z
        .int()
        .min(1_048_576)
        .max(2 ** 40)
        .default(67_108_864)
        .meta({ doc: 'The oldest entries are removed when the log is larger than this.' }),
      keep_days: z.int().min(1).max(36_500).default(730).meta({
        doc: 'Entries that are older are removed.',
      }),
    }),
    admin: section('The admin page and its API, on a listener of their own.', {
      enabled: z.boolean().default(false).meta({
        doc: 'Serve the admin page; `rstream-engine-ce admin create` makes the first login.',
      }),
      listen_addr: listenAddress().default('127.0.0.1:9443').meta({
        doc: 'Address of the admin listener, which has the certificate of the engine; keep it where only operators can connect.',
      }),
      hosts: z
        .array(textWith(adminHostProblem).toLowerCase())
        .default([])
        .readonly()
        .meta({
          doc: 'Further names that browsers may use for it, as host:port; engine.host, localhost, 127.0.0.1 and [::1] with the port of the listener are always good.',
          example: ['admin.example.com:443'],
        }),
      ca_cert_file: filePath().default('ca.pem').meta({
        doc: 'Certificate of the local CA, by which the page issues client certificates.',
        file: true,
      }),
      ca_key_file: filePath().default('ca-key.pem').meta({ doc: 'Key of the local CA.', file: true }),
    }),
    metrics,
    records,
    probes,
    inspector,
    webhooks,
    timeouts: section('How long the engine waits, in seconds.', {
      stream_request_seconds: seconds(1, 300).default(30).meta({
        doc: 'Wait for an agent to answer a dial request.',
      }),
      http_idle_seconds: seconds(1, 3_600).default(90).meta({
        doc: 'Keep an idle HTTP connection of a downstream, and an idle stream to an agent, for the next request.',
      }),
      http_response_seconds: seconds(1, 3_600).default(300).meta({
        doc: 'Wait for the head of a response from the service behind a tunnel.',
      }),
      request_body_idle_seconds: seconds(1, 3_600).default(60).meta({
        doc: 'Wait for the next bytes of a request body.',
      }),
      stream_idle_seconds: seconds(1, 604_800).default(86_400).meta({
        doc: 'Close a raw stream or a response body that has carried no byte in either direction for this long.',
      }),
      drain_seconds: seconds(0, 3_600).default(30).meta({
        doc: 'Let running requests and streams finish for this long when the engine stops.',
      }),
    }),
    limits: section('How much the engine takes on.', {
      connections: z.int().min(1).max(1_000_000).default(20_000).meta({
        doc: 'Connections at the same time on the TLS listener, and as many on all ports of TCP tunnels; the process needs as many file descriptors.',
      }),
      connections_per_source: z.int().min(0).max(1_000_000).default(1_000).meta({
        doc: 'Connections at the same time from one source, an IPv4 address or an IPv6 /64; 0 is no bound. Loopback, the addresses of connected agents and of proxy_protocol.trusted are exempt.',
      }),
      connection_rate_per_source: z.int().min(0).max(1_000_000).default(200).meta({
        doc: 'Connections a second from one source, which may open those of five seconds at once; 0 is no bound. The same sources are exempt.',
      }),
      requests_per_connection: z.int().min(1).max(10_000).default(128).meta({
        doc: 'Requests at the same time on one HTTP/2 connection.',
      }),
      requests_per_tunnel: z.int().min(1).max(1_000_000).default(10_000).meta({
        doc: 'Requests at the same time through one tunnel, those that wait for its agent included.',
      }),
      request_body_bytes: z
        .int()
        .min(1)
        .max(2 ** 50)
        .optional()
        .meta({
          doc: 'Largest request body; without it there is no bound.',
          example: 1_073_741_824,
        }),
    }),
    upstream: section('The services behind tunnels.', {
      verify: z.boolean().default(false).meta({
        doc: 'Verify the certificates of services that speak TLS (upstream_tls); most of them are self-signed.',
      }),
    }),
    proxy_protocol: section(
      'The PROXY protocol, by which a TCP proxy in front of the engine tells the address of its client.',
      {
        trusted: proxyRanges().meta({
          doc: 'Addresses and CIDR ranges of such proxies: every connection from them must begin with a PROXY header (version 1 or 2), and nobody else may send one.',
          example: ['192.0.2.10'],
        }),
      },
    ),
    trusted_proxies: proxyRanges().meta({
      doc: 'Addresses and CIDR ranges of proxies whose X-Forwarded-* headers are kept, for the services behind; rules, limits and records go by the address of the connection.',
      example: ['10.0.0.0/8'],
    }),
  })
  .superRefine(({ policy, geoip }, context) => {
    if (!policy?.geoip?.length || geoip?.database !== undefined) return;
    const message = 'needs geoip.database: without one no country is known';
    context.addIssue({ code: 'custom', path: ['policy', 'geoip'], message });
  }, always)
  .readonly()
  .meta({ doc: 'The configuration of the engine.' });

/** The effective configuration: complete, valid and frozen. */
export type Config = z.output<typeof configSchema>;
