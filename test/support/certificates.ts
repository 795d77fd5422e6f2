/**
 * A certificate authority and server certificates for tests, made once per process.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'selfsigned';

/** Names that every test certificate is good for; 127.0.0.1 and ::1 too. */
export const TEST_HOSTS = ['localhost', '*.t.localhost', 'edge.example.test', '*.t.edge.example.test'];

export interface TestPair {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
}

export interface TestCertificates extends TestPair {
  /** PEM of the authority, for a client's `ca` option. */
  readonly ca: string;
  /** The same three as files, which are removed when the process exits. */
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

const nameFrom = (value: string) => [{ name: 'commonName', value }];

const createAuthority = (): Promise<{ private: string; cert: string }> =>
  generate(nameFrom('Test Authority'), {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  });

let authority: ReturnType<typeof createAuthority> | undefined;
let made: Promise<TestCertificates> | undefined;

const hostNames = (hosts: readonly string[]) => hosts.map((value) => ({ type: 2 as const, value }));

/**
 * A fresh RSA pair, signed by itself: what makes the others cannot sign the one kind of key with the other.
 * @param hosts that it is good for
 */
export const createRsaPair = async (commonName: string, hosts: readonly string[] = []): Promise<TestPair> => {
  const { private: key, cert } = await generate(nameFrom(commonName), {
    keyType: 'rsa',
    keySize: 2_048,
    algorithm: 'sha256',
    ...(hosts.length > 0 && { extensions: [{ name: 'subjectAltName', altNames: hostNames(hosts) }] }),
  });
  return { cert, key };
};

/**
 * A fresh pair that the authority has signed.
 * @param commonName tells pairs apart
 * @param lifetime begins now and lasts a year when left out
 * @param hosts that it is good for
 */
export const createTestPair = async (
  commonName: string,
  lifetime: { notBeforeDate?: Date; notAfterDate?: Date } = {},
  hosts: readonly string[] = TEST_HOSTS,
): Promise<TestPair> => {
  authority ??= createAuthority();
  const { private: caKey, cert: caCert } = await authority;
  const { private: key, cert } = await generate(nameFrom(commonName), {
    ...lifetime,
    keyType: 'ec',
    algorithm: 'sha256',
    ca: { key: caKey, cert: caCert },
    extensions: [
      { name: 'basicConstraints', cA: false },
      { name: 'keyUsage', digitalSignature: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: [
          ...hostNames(hosts),
          { type: 7 as const, ip: '127.0.0.1' },
          { type: 7 as const, ip: '::1' },
        ],
      },
    ],
  });
  return { cert, key };
};

const create = async (): Promise<TestCertificates> => {
  const { cert, key } = await createTestPair('Test Server');
  const { cert: ca } = await (authority as ReturnType<typeof createAuthority>);
  const directory = mkdtempSync(join(tmpdir(), 'rstream-test-tls-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const fileFrom = (name: string, content: string) => {
    const path = join(directory, name);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  };
  return {
    ca,
    cert,
    key,
    caFile: fileFrom('ca.pem', ca),
    certFile: fileFrom('cert.pem', cert),
    keyFile: fileFrom('key.pem', key),
  };
};

/** The authority and the server certificate of this process. */
export const testCertificates = (): Promise<TestCertificates> => {
  made ??= create();
  return made;
};
