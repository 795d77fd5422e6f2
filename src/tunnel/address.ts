/**
 * Public addresses: which hostnames a tunnel may have, and which hostname a downstream means (protocol.md 0.1, 7.5).
 *
 * Invariant: every published hostname is `<label>.t.<engine host>`, in lower case, without a trailing dot.
 */
import { fail } from '../base/errors.ts';
import { randomText } from '../base/ids.ts';

const LABEL_CHARS_MAX = 63;
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const AUTO_LABEL_RANDOM_CHARS = 6;

/** The address space of one engine. */
export interface AddressSpace {
  /**
   * The public hostname for the one that an agent asked for: `label`, `label.t.HOST`, or `label.t.REST`, where REST is HOST without
   * its first label, because the official CLI asks so. A single-label HOST such as `localhost` has no REST.
   * @throws HOSTNAME_INVALID
   */
  hostnameFor(requested: string): string;
  /** A hostname for an agent that asked for none: a slug of the tunnel's name, where it has one, and 6 random characters. */
  newHostname(tunnelName: string | undefined, isTaken: (hostname: string) => boolean): string;
}

/** @param engineHost the engine's own host name, without port */
export const createAddressSpace = (engineHost: string): AddressSpace => {
  const host = canonicalHostname(engineHost);
  const suffix = `.t.${host}`;
  const rest = host.includes('.') ? host.slice(host.indexOf('.') + 1) : undefined;
  const suffixes = rest === undefined ? [suffix] : [suffix, `.t.${rest}`];

  return {
    hostnameFor(requested) {
      const wanted = canonicalHostname(requested);
      for (const candidate of [...suffixes, '']) {
        const label = wanted.endsWith(candidate) ? wanted.slice(0, wanted.length - candidate.length) : '';
        if (LABEL.test(label)) return `${label}${suffix}`;
      }
      throw fail('HOSTNAME_INVALID', { hostname: requested, suffix: suffix.slice(1) });
    },

    newHostname(tunnelName, isTaken) {
      const slug = slugFrom(tunnelName ?? '');
      // 2^30 names against some thousands that are taken: a second turn is rare, a third was never seen.
      for (;;) {
        const random = randomText(AUTO_LABEL_RANDOM_CHARS);
        const hostname = `${slug === '' ? random : `${slug}-${random}`}${suffix}`;
        if (!isTaken(hostname)) return hostname;
      }
    },
  };
};

/**
 * The hostname that the authority of a request or a server name means: lower case, without port and trailing dot (RFC 9110 4.2.3).
 * Undefined for what no tunnel can have: an IPv6 literal, user information, or a malformed port or name.
 */
export const hostnameFromAuthority = (authority: string): string | undefined => {
  const [, name = '', port = ''] = /^([^:]*)(?::(\d*))?$/.exec(authority) ?? [];
  // The port is ignored, since an engine behind a port mapping cannot know it, but it has to be one (RFC 3986: or empty).
  if (Number(port) > 65_535) return undefined;
  const hostname = canonicalHostname(name);
  return hostname.split('.').every((label) => LABEL.test(label)) ? hostname : undefined;
};

const canonicalHostname = (hostname: string): string => hostname.toLowerCase().replace(/\.$/, '');

/** What a tunnel's name leaves when only letters, digits and single hyphens may stay, with room for the random part. */
const slugFrom = (name: string): string =>
  name
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, LABEL_CHARS_MAX - AUTO_LABEL_RANDOM_CHARS - 1)
    .replace(/^-+|-+$/g, '');
