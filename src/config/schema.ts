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
import { Secret } from '../base/secret.ts';
import { webhookFilterProblem, webhookSecretProblem, webhookUrlProblem } from '../base/webhook.ts';
import {
  adminHostProblem,
  countryProblem,
  coversEverything,
  headerNameProblem,
  hostProblem,
  isLoopback,
  listenAddressProblem,
  listenHostProblem,
  portRangeProblem,
  publishedProtocolProblem,
  rangeProblem,
  trustedRangeProblem,
} from './text-rules.ts';

/** A text in which `problemOf` finds nothing wrong. */
const textWith = (problemOf: (text: string) => string | undefined) =>
  z
    .string()
    .min(1)
    .superRefine((text, context) => {
      const message = problemOf(text);
      if (message) context.addIssue({ code: 'custom', message });
    });

const listenAddress = () => textWith(listenAddressProblem);
const proxyRanges = () => z.array(textWith(trustedRangeProblem)).default([]).readonly();
const filePath = () => textWith((text) => (text.includes('\0') ? 'must be a path' : undefined));
const seconds = (min: number, max: number) => z.int().min(min).max(max);
const secret = (bytesMin: number) =>
  textWith((text) => {
    if (text === PLACEHOLDER) return PLACEHOLDER_PROBLEM;
    return Buffer.byteLength(text) < bytesMin ? `must be at least ${bytesMin} bytes long` : undefined;
  }).transform((text) => new Secret(text));

// Everybody can read it, so it is refused wherever it is left in place.
const PLACEHOLDER = 'change-me';
const PLACEHOLDER_PROBLEM = 'is the example of the documentation: set a secret of your own';

/** True, and a switch only so that configurations of the official engine load unchanged. */
const alwaysTrue = (message: string) =>
  z
    .boolean()
    .refine((isOn) => isOn, message)
    .default(true);

const section = <Shape extends z.ZodRawShape>(doc: string, shape: Shape) =>
  z.strictObject(shape).readonly().meta({ doc });

// Rules between settings also run when one of them has a fault of its own: the operator is told everything at once.
const always = { when: ({ value }: { value: unknown }) => typeof value === 'object' && value !== null };

const jwt = z
  .strictObject({
    enabled: z
      .boolean()
      .default(true)
      .meta({ doc: 'Accept HS256 JWTs that are signed with token_jwt_secret.' }),
    token_jwt_secret: secret(LIMITS.jwtSecretBytesMin).optional().meta({
      doc: 'Shared secret of these JWTs; without it only tokens that this engine has issued are accepted.',
      secret: true,
      example: PLACEHOLDER,
    }),
  })
  .superRefine(({ enabled, token_jwt_secret }, context) => {
    const message = 'must not be set while auth.jwt.enabled is false: remove one of the two';
    if (enabled === false && token_jwt_secret !== undefined)
      context.addIssue({ code: 'custom', path: ['token_jwt_secret'], message });
  }, always)
  .readonly()
  .meta({ doc: 'Tokens that another program signs.' });

const prometheus = z
  .strictObject({
    enabled: z
      .boolean()
      .default(false)
      .meta({ doc: 'Serve metrics over plain HTTP, on a listener of their own.' }),
    listen_addr: listenAddress().default('127.0.0.1:9090').meta({
      doc: 'Address of the metrics listener; one that other machines can reach needs bearer_token.',
    }),
    path: textWith((text) => (/^[\w/.~-]+$/.test(text) ? undefined : 'must be the path of a URL'))
      .overwrite((text) => (text.startsWith('/') ? text : `/${text}`))
      .default('/metrics')
      .meta({ doc: 'Path of the metrics; a missing leading slash is added.' }),
    bearer_token: secret(1).optional().meta({
      doc: 'Token that a scraper sends as `Authorization: Bearer`.',
      secret: true,
      example: PLACEHOLDER,
    }),
  })
  .superRefine(({ listen_addr, bearer_token }, context) => {
    const isOpen = typeof listen_addr === 'string' && !isLoopback(listen_addr);
    if (isOpen && bearer_token === undefined)
      context.addIssue({
        code: 'custom',
        path: ['bearer_token'],
        message: 'is required because other machines can reach metrics.prometheus.listen_addr',
      });
  }, always)
  .readonly()
  .meta({ doc: 'Metrics in the format of Prometheus.' });

const policy = z
  .strictObject({
    require_authentication: z.boolean().default(false).meta({
      doc: 'Refuse to publish tunnels that ask for no authentication; TCP and TLS passthrough cannot have any.',
    }),
    published_protocols: z
      .array(textWith(publishedProtocolProblem))
      .readonly()
      .default(['http', 'tls', 'tcp'])
      .meta({
        doc: 'Protocols that tunnels may be published with: http, tls and tcp; an empty list publishes none.',
      }),
    tls_min_version: z.enum(['tls1.2', 'tls1.3']).optional().meta({
      doc: 'Lowest TLS version that any published tunnel is served with; refuses those whose TLS the engine does not end.',
      example: 'tls1.3',
    }),
    post_quantum: z.enum(['optional', 'require']).default('optional').meta({
      doc: 'With require, published tunnels are served only over a key exchange that a quantum computer cannot break.',
    }),
    trusted_ips: z
      .array(textWith(rangeProblem))
      .readonly()
      .default([])
      .meta({
        doc: 'Addresses and CIDR ranges that may reach published tunnels, besides what each tunnel asks for; empty for all.',
        example: ['192.0.2.0/24'],
      }),
    geoip: z
      .array(textWith(countryProblem).toUpperCase())
      .readonly()
      .default([])
      .meta({
        doc: 'Countries that may reach published tunnels, besides what each tunnel asks for; empty for all; needs geoip.database.',
        example: ['FR', 'DE'],
      }),
    allow_any: z
      .boolean()
      .default(false)
      .meta({ doc: 'Accept 0.0.0.0/0 and ::/0 as trusted IPs, which is often a slip.' }),
  })
  .superRefine(({ trusted_ips, allow_any }, context) => {
    if (allow_any === true || !Array.isArray(trusted_ips)) return;
    const message = 'covers every address: set policy.allow_any to true if that is meant';
    for (const [index, range] of trusted_ips.entries())
      if (typeof range === 'string' && coversEverything(range))
        context.addIssue({ code: 'custom', path: ['trusted_ips', index], message });
  }, always)
  .readonly()
  .meta({
    doc: 'What binds every published tunnel, whatever its agent asks for; private tunnels are not concerned.',
  });

const geoip = section('Countries of downstreams.', {
  database: filePath().optional().meta({
    doc: 'MaxMind file (.mmdb) with countries, such as GeoLite2-Country, read again when it changes; tunnels may then ask for geoip.',
    example: '/var/lib/GeoIP/GeoLite2-Country.mmdb',
    file: true,
  }),
});

const webhookEndpoint = z
  .strictObject({
    name: z.string().min(1).max(LIMITS.webhookNameCharsMax),
    url: z.string(),
    secret: textWith((text) => (text === PLACEHOLDER ? PLACEHOLDER_PROBLEM : webhookSecretProblem(text)))
      .transform((text) => new Secret(text))
      .meta({ secret: true }),
    events: z.array(textWith(webhookFilterProblem)).min(1).max(LIMITS.webhookFiltersMax).readonly(),
  })
  .readonly();

const webhooks = z
  .strictObject({
    endpoints: z
      .array(webhookEndpoint)
      .max(LIMITS.webhooksMax)
      .readonly()
      .optional()
      .meta({
        doc: 'Who is told of what: a name, an https address, the secret that signs (whsec_ and 32 characters or more), and events such as client.* or stream.failed (docs/webhooks.md); the Admin API makes others.',
        example: [
          {
            name: 'operations',
            url: 'https://hooks.example.com/rstream',
            secret: PLACEHOLDER,
            events: ['tunnel.*', 'stream.failed'],
          },
        ],
      }),
    allow_private: z.boolean().default(false).meta({
      doc: 'Send webhooks to private, link-local and loopback addresses as well, to loopback also without TLS; whoever may make webhooks can then reach them.',
    }),
    path: filePath().default('webhooks.db').meta({
      doc: 'SQLite file of webhooks and their deliveries, made with the first webhook; it holds their secrets.',
      file: true,
    }),
  })
  .superRefine(({ endpoints, allow_private }, context) => {
    if (!Array.isArray(endpoints)) return;
    const issue = (index: number, name: string, message: string) =>
      context.addIssue({ code: 'custom', path: ['endpoints', index, name], message });
    for (const [index, endpoint] of endpoints.entries()) {
      const url = endpoint?.url;
      const problem = typeof url === 'string' ? webhookUrlProblem(url, allow_private === true) : undefined;
      if (problem) issue(index, 'url', problem);
      if (endpoints.findIndex((other) => other?.name === endpoint?.name) < index)
        issue(index, 'name', 'is the name of another webhook');
    }
  }, always)
  .readonly()
  .meta({ doc: 'HTTP requests by which the engine tells others what happens.' });

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
    metrics: section('What the engine tells about itself.', { prometheus }),
    records: section('What happened to each request and stream: kept in a database, and told to the log.', {
      enabled: z.boolean().default(true).meta({
        doc: 'Keep records: address, host, path without query, status, times, bytes, and who ended it. A busy engine keeps 512 a second, failures first.',
      }),
      path: filePath().default('records.db').meta({ doc: 'SQLite file of the records.', file: true }),
      max_rows: z.int().min(1_000).max(100_000_000).default(100_000).meta({
        doc: 'The oldest records are removed when there are more; one takes about 400 bytes.',
      }),
      max_age_days: z
        .int()
        .min(1)
        .max(3_650)
        .default(30)
        .meta({ doc: 'Records that are older are removed.' }),
      log: z.enum(['off', 'debug', 'info']).default('debug').meta({
        doc: 'Log level of the line about each request and stream that went well; what fails is always told.',
      }),
    }),
    probes: section(
      'Whether tunnels work, by proof: bytes that came from their service, or the answer to a probe where none come.',
      {
        enabled: z.boolean().default(true).meta({
          doc: 'Probe idle tunnels and tell what is known of each. An HTTP service gets `HEAD /`, or GET of the path in the label rstream.probe-path of its tunnel; any other gets a connection that is closed without a byte.',
        }),
        interval_seconds: seconds(1, 3_600).default(60).meta({
          doc: 'Probe a tunnel when nothing has come from its service for this long at the most, and half of it at the least. The first probe of a published HTTP tunnel comes within two seconds, that of any other after one to two intervals. A proof that is twice as old makes it suspect.',
        }),
        deadline_seconds: seconds(1, 60).default(10).meta({
          doc: 'Wait for the answer to a probe. Three failures in a row are down.',
        }),
      },
    ),
    inspector: section(
      'The inspector, by which an admin captures whole exchanges of a tunnel for a while, in memory, and sends one again.',
      {
        enabled: z.boolean().default(false).meta({
          doc: 'Let admins inspect tunnels: they then see what people send and get, bodies included.',
        }),
        exchanges_max: z.int().min(1).max(10_000).default(200).meta({
          doc: 'Exchanges that are kept of one tunnel; the oldest make room.',
        }),
        body_bytes_max: z.int().min(0).max(16_777_216).default(65_536).meta({
          doc: 'Bytes that are kept of each body, from its beginning.',
        }),
        memory_bytes_max: z
          .int()
          .min(1_048_576)
          .max(2 ** 34)
          .default(67_108_864)
          .meta({
            doc: 'Memory for everything that is captured; the oldest exchanges of all tunnels make room.',
          }),
        redact_headers: z
          .array(textWith(headerNameProblem).toLowerCase())
          .default([])
          .readonly()
          .meta({
            doc: 'Further headers whose values are never kept; authorization, proxy-authorization, cookie, set-cookie, x-api-key and whatever is named like a token or a secret are not in any case.',
            example: ['x-internal-user'],
          }),
      },
    ),
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
      doc: 'Addresses and CIDR ranges of proxies whose X-Forwarded-* headers are kept.',
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
