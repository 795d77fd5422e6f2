/**
 * The flags that say what a tunnel shall be like: one for each property of the protocol that an agent may choose (protocol.md 7.1).
 *
 * Invariant: values go to the engine as they are; it knows which of them mean something together, and says so.
 */
import type { Command } from 'commander';
import { fail } from '../base/errors.ts';
import type { TunnelProperties } from '../base/tunnel-properties.ts';

/** What commander makes of them. */
export interface TunnelFlags {
  readonly publish: boolean;
  readonly name?: string;
  readonly hostname?: string;
  readonly protocol?: string;
  readonly port?: string;
  readonly httpVersion?: string;
  readonly upstreamTls?: boolean;
  readonly tlsMode?: string;
  readonly tlsAlpn?: string[];
  readonly tlsMinVersion?: string;
  readonly tlsCipher?: string[];
  readonly trustedIp?: string[];
  readonly geoip?: string[];
  readonly tokenAuth?: boolean;
  readonly mtlsAuth?: boolean;
  readonly label?: string[];
}

/** Adds the flags to a command. */
export const addTunnelFlags = (command: Command): Command =>
  command
    .option('--name <name>', 'name by which agents can dial the tunnel')
    .option('--hostname <label>', 'public name to ask for; the engine chooses one if none is given')
    .option('--no-publish', 'give it no public address: only agents can dial it')
    .option('--protocol <protocol>', 'http, tls or tcp (default: http for a published tunnel)')
    .option('--port <port>', 'public port to ask for; tcp only')
    .option('--http-version <version>', 'what the service speaks: http/1.1 or h2c (default: http/1.1)')
    .option('--upstream-tls', 'the service speaks TLS')
    .option('--tls-mode <mode>', 'terminated or passthrough; tls only (default: terminated)')
    .option('--tls-alpn <protocol>', 'protocol to agree on, tls only; repeatable', collect)
    .option('--tls-min-version <version>', 'tls1.2 or tls1.3')
    .option('--tls-cipher <suite>', 'cipher suite to allow; repeatable', collect)
    .option('--trusted-ip <range>', 'address or CIDR range that may connect; repeatable', collect)
    .option('--geoip <country>', 'two-letter country that may connect; repeatable', collect)
    .option('--token-auth', 'who connects must show a token; http only')
    .option('--mtls-auth', 'who connects must show a client certificate; either is enough with --token-auth')
    .option('--label <key=value>', 'label of the tunnel; repeatable', collect);

const collect = (value: string, earlier: string[] = []): string[] => [...earlier, value];

/** @throws USAGE */
export const propertiesFrom = (flags: TunnelFlags): TunnelProperties => {
  const { publish, name, hostname, protocol, httpVersion, upstreamTls, tlsMode, tlsMinVersion } = flags;
  if (hostname !== undefined && !publish)
    throw fail('USAGE', { problem: 'A tunnel with --no-publish has no --hostname' });
  const { port, label, tlsAlpn: tlsAlpns, tlsCipher: tlsCiphers, trustedIp: trustedIps, geoip } = flags;
  const { tokenAuth, mtlsAuth } = flags;
  const properties: { [Key in keyof TunnelProperties]: TunnelProperties[Key] | undefined } = {
    publish,
    ...{ name, hostname, protocol, httpVersion, upstreamTls, tlsMode, tlsMinVersion },
    ...{ tlsAlpns, tlsCiphers, trustedIps, geoip, tokenAuth, mtlsAuth },
    port: port === undefined ? undefined : portFrom(port),
    labels: label && Object.fromEntries(label.map(labelFrom)),
  };
  return Object.fromEntries(Object.entries(properties).filter(([, value]) => value !== undefined));
};

const portFrom = (text: string): number => {
  if (!/^\d{1,5}$/.test(text)) throw fail('USAGE', { problem: `--port ${text} is not a number` });
  return Number(text);
};

const labelFrom = (text: string): [string, string] => {
  const [, key, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (key === undefined || value === undefined)
    throw fail('USAGE', { problem: `--label ${text} is not of the form key=value` });
  return [key, value];
};
