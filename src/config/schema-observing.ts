/** Settings of what the engine tells: metrics, records, probes, the inspector, webhooks. */
import { z } from 'zod';
import { LIMITS } from '../base/limits.ts';
import { Secret } from '../base/secret.ts';
import { webhookFilterProblem, webhookSecretProblem, webhookUrlProblem } from '../base/webhook.ts';
import {
  always,
  filePath,
  listenAddress,
  PLACEHOLDER,
  PLACEHOLDER_PROBLEM,
  seconds,
  secret,
  section,
  textWith,
} from './kinds.ts';
import { headerNameProblem, isLoopback } from './text-rules.ts';

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

export const metrics = section('What the engine tells about itself.', { prometheus });

export const records = section(
  'What happened to each request and stream: kept in a database, and told to the log.',
  {
    enabled: z.boolean().default(true).meta({
      doc: 'Keep records: address, host, path without query, status, times, bytes, and who ended it. A busy engine keeps 512 a second, failures first.',
    }),
    path: filePath().default('records.db').meta({ doc: 'SQLite file of the records.', file: true }),
    max_rows: z.int().min(1_000).max(100_000_000).default(100_000).meta({
      doc: 'The oldest records are removed when there are more; one takes about 400 bytes.',
    }),
    max_age_days: z.int().min(1).max(3_650).default(30).meta({ doc: 'Records that are older are removed.' }),
    log: z.enum(['off', 'debug', 'info']).default('debug').meta({
      doc: 'Log level of the line about each request and stream that went well; what fails is always told.',
    }),
  },
);

export const probes = section(
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
);

export const inspector = section(
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
);

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

export const webhooks = z
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
