/**
 * The flags by which `forward` and `dial` find their engine, named like those of the official command line.
 *
 * Invariant: a token or private key is wrapped as a Secret as soon as it is read.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { ClientIdentity, EngineTarget } from '../agent/connection.ts';
import type { Address } from '../agent/tcp.ts';
import { fail } from '../base/errors.ts';
import { splitListenAddress } from '../base/ip.ts';
import { Secret } from '../base/secret.ts';
import type { CliContext } from './context.ts';

/** As commander gives them. */
export interface EngineFlags {
  readonly engine?: string;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
}

const DEFAULT_PORT = 443;

/** Adds the flags to a command. */
export const addEngineFlags = (command: Command): Command =>
  command
    .option(
      '--engine <host:port>',
      `engine to connect to; port ${DEFAULT_PORT} if none is given (RSTREAM_ENGINE)`,
    )
    .option('--token-file <path>', 'file that holds the token, and nothing else')
    .option(
      '--token <token>',
      'the token itself (RSTREAM_AUTHENTICATION_TOKEN); other users of this machine can read it in the list of processes: better --token-file',
    )
    .option('--ca-file <path>', "PEM file of the authority that signed the engine's certificate")
    .option(
      '--cert-file <path>',
      'PEM file of a client certificate, in place of a token (RSTREAM_MTLS_CERT_FILE)',
    )
    .option('--key-file <path>', 'PEM file of its private key (RSTREAM_MTLS_KEY_FILE)');

/** Engine of a command, and the token or client certificate by which it proves itself. Throws USAGE with what is wrong or missing. */
export const engineFrom = (
  flags: EngineFlags,
  env: CliContext['env'],
): { engine: EngineTarget; token?: Secret } => {
  const text = flags.engine ?? env.RSTREAM_ENGINE;
  if (!text) throw fail('USAGE', { problem: 'No engine is given: use --engine or RSTREAM_ENGINE' });
  const address = addressFrom(text) ?? addressFrom(`${text}:${DEFAULT_PORT}`);
  if (!address)
    throw fail('USAGE', { problem: `${text} is not an engine address like edge.example.com:443` });
  const ca = flags.caFile === undefined ? undefined : readText(flags.caFile, '--ca-file');
  if (ca !== undefined && !ca.includes('-----BEGIN CERTIFICATE-----'))
    throw fail('USAGE', { problem: `--ca-file ${flags.caFile} holds no PEM certificate` });
  const target = { ...address, ...(ca !== undefined && { ca }) };
  const identity = identityFrom(flags, env);
  const token = tokenFrom(flags, env);
  if (identity && token)
    throw fail('USAGE', { problem: 'A token and a client certificate cannot be used together' });
  if (identity) return { engine: { ...target, identity } };
  if (token) return { engine: target, token };
  throw fail('USAGE', {
    problem:
      'No token is given: use --token-file or RSTREAM_AUTHENTICATION_TOKEN, or --cert-file and --key-file',
  });
};

const identityFrom = (flags: EngineFlags, env: CliContext['env']): ClientIdentity | undefined => {
  const certFile = flags.certFile ?? env.RSTREAM_MTLS_CERT_FILE;
  const keyFile = flags.keyFile ?? env.RSTREAM_MTLS_KEY_FILE;
  if (!certFile && !keyFile) return undefined;
  if (!certFile || !keyFile) throw fail('USAGE', { problem: '--cert-file and --key-file belong together' });
  const certificate = readText(certFile, '--cert-file');
  const key = readText(keyFile, '--key-file');
  if (!isPair(certificate, key))
    throw fail('USAGE', { problem: `--cert-file ${certFile} and --key-file ${keyFile} are no PEM pair` });
  return { certificate, key: new Secret(key) };
};

const isPair = (certificate: string, key: string): boolean => {
  try {
    return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
};

/** `host:port` or `[v6]:port`; undefined when it is neither. */
export const addressFrom = (text: string): Address | undefined => {
  const address = splitListenAddress(text);
  return address && address.port > 0 && /^[\w.:-]+$/.test(address.host) ? address : undefined;
};

const tokenFrom = ({ token, tokenFile }: EngineFlags, env: CliContext['env']): Secret | undefined => {
  if (token !== undefined && tokenFile !== undefined)
    throw fail('USAGE', { problem: 'Give --token or --token-file, not both' });
  const text =
    tokenFile === undefined
      ? (token ?? env.RSTREAM_AUTHENTICATION_TOKEN)
      : readText(tokenFile, '--token-file');
  return text?.trim() ? new Secret(text.trim()) : undefined;
};

const readText = (path: string, flag: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw fail('USAGE', { problem: `${flag} ${path} cannot be read (${code})` }, cause);
  }
};
