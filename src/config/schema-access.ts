/** Settings of who may use the engine and reach what it publishes. */
import { z } from 'zod';
import { LIMITS } from '../base/limits.ts';
import { always, filePath, PLACEHOLDER, secret, section, textWith } from './kinds.ts';
import { countryProblem, coversEverything, publishedProtocolProblem, rangeProblem } from './text-rules.ts';

export const jwt = z
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

export const policy = z
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
        doc: 'Countries that may reach published tunnels, besides what each tunnel asks for; empty for all; needs geoip.database. Addresses of no country, as in private networks, are then denied.',
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

export const geoip = section('Countries of downstreams.', {
  database: filePath().optional().meta({
    doc: 'MaxMind file (.mmdb) with countries, such as GeoLite2-Country, read again when it changes; tunnels may then ask for geoip.',
    example: '/var/lib/GeoIP/GeoLite2-Country.mmdb',
    file: true,
  }),
});
