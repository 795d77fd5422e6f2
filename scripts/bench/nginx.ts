/**
 * nginx in its two parts: the upstream that answers behind both subjects, and the TLS reverse proxy that the engine is compared with.
 *
 * Each runs as one process (`master_process off`): the process that works is then the one we started, so its CPU time and its end are ours to read.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, type Running, start } from './process.ts';

/** Bodies of the upstream's answers by path; `/bulk` has as many bytes as the bench asks for. */
export const BODY_BYTES = { '/': 1024, '/64k': 65_536, '/1m': 1_048_576 } as const;
const SMALL_BODY = 'rstream '.repeat(BODY_BYTES['/'] / 8);
// nginx closes a connection after 1,000 requests by default; no handshake may fall into a measured window for that.
const REQUESTS_MAX = 1_000_000_000;

/** A running nginx that listens on loopback. */
export interface Nginx extends Running {
  port: number;
}

/** Paths of a certificate and its key, PEM. */
export interface CertificatePaths {
  certificate: string;
  key: string;
}

const startNginx = async (name: string, dir: string, http: (port: number) => string): Promise<Nginx> => {
  mkdirSync(dir, { recursive: true });
  const port = await freePort();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${join(dir, kind)};`)
    .join(' ');
  const config = `
daemon off; master_process off; worker_processes 1;
pid ${join(dir, 'nginx.pid')}; error_log stderr;
events { worker_connections 8192; }
http {
  access_log off; tcp_nodelay on; ${temporary}
  keepalive_requests ${REQUESTS_MAX}; keepalive_timeout 300s;
  ${http(port)}
}
`;
  const path = join(dir, 'nginx.conf');
  writeFileSync(path, config);
  return { port, ...start(name, 'nginx', ['-p', dir, '-e', 'stderr', '-c', path]) };
};

/** Where nginx passes upgrades on as proxies do that have to: by hand. */
const upgradeTo = (target: string): string => `location = /echo {
      proxy_pass http://${target};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
      proxy_set_header Host $host;
    }`;

/** The upstream: the bodies of {@link BODY_BYTES}, `/bulk`, and at `/echo` the WebSocket server of `echoPort`. */
export const startUpstream = async (dir: string, bulkBytes: number, echoPort: number): Promise<Nginx> => {
  const files = join(dir, 'files');
  mkdirSync(files, { recursive: true });
  for (const [path, bytes] of Object.entries({ ...BODY_BYTES, '/bulk': bulkBytes })) {
    if (path === '/') continue;
    closeSync(openSync(join(files, path), 'w'));
    // A hole instead of bytes: TLS does not compress, and the page cache is all that is read.
    truncateSync(join(files, path), bytes);
  }
  return startNginx(
    'upstream nginx',
    dir,
    (port) => `server {
    listen 127.0.0.1:${port};
    sendfile on;
    root ${files};
    location = / { default_type text/plain; return 200 "${SMALL_BODY}"; }
    ${upgradeTo(`127.0.0.1:${echoPort}`)}
  }`,
  );
};

/** The reference: one nginx process that terminates TLS, speaks HTTP/2 too, and passes each request to the upstream over kept connections. */
export const startProxy = async (
  dir: string,
  upstreamPort: number,
  certificate: CertificatePaths,
): Promise<Nginx> =>
  startNginx(
    'reference nginx',
    dir,
    (port) => `ssl_protocols TLSv1.2 TLSv1.3;
  upstream app { server 127.0.0.1:${upstreamPort}; keepalive 512; keepalive_requests ${REQUESTS_MAX}; }
  server {
    listen 127.0.0.1:${port} ssl http2;
    ssl_certificate ${certificate.certificate};
    ssl_certificate_key ${certificate.key};
    ${upgradeTo('app')}
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
    }
  }`,
  );

/** `nginx/1.22.1`. */
export const nginxVersion = (): string =>
  // nginx prints its version on standard error.
  execFileSync('sh', ['-c', 'nginx -v 2>&1'], { encoding: 'utf8' }).trim().replace('nginx version: ', '');

/** Makes a self-signed ECDSA P-256 certificate, as `init` makes one for the engine. */
export const makeCertificate = (dir: string): CertificatePaths => {
  mkdirSync(dir, { recursive: true });
  const paths = { certificate: join(dir, 'server.pem'), key: join(dir, 'server-key.pem') };
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const files = ['-keyout', paths.key, '-out', paths.certificate];
  execFileSync('openssl', ['req', '-x509', ...curve, ...files, '-subj', '/CN=localhost', '-days', '2'], {
    stdio: 'ignore',
  });
  return paths;
};
