/** curl against the published tunnel, with the engine's CA verified: what a person would try first. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '../interop/command.ts';
import type { Published } from './published.ts';
import { type Cases, requireTool, runCases } from './tools.ts';
import { digestOf, LARGE } from './upstream.ts';

const CASE_MS = 30_000;
// RFC 6455 1.3: what a WebSocket server appends to the key of its client.
const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** Runs curl with the flags, which name no host, for a path; returns its exit code and what it printed. */
type Curl = (path: string, ...flags: string[]) => Promise<{ code: number | null; output: string }>;

const createCurl =
  ({ host, port, caFile }: Published): Curl =>
  (path, ...flags) => {
    const where = [
      '--resolve',
      `${host}:${port}:127.0.0.1`,
      '--cacert',
      caFile,
      `https://${host}:${port}${path}`,
    ];
    return runCommand('curl', ['--silent', '--show-error', ...flags, ...where], {
      timeoutMs: CASE_MS,
      output: 'keep',
    });
  };

const casesOf = (curl: Curl, flag: string, version: string, directory: string): Cases => {
  const file = join(directory, 'large');
  const downloaded = join(directory, 'downloaded');
  const told = ['--write-out', '%{http_code} HTTP/%{http_version}'];
  const succeed = async (path: string, ...flags: string[]): Promise<string> => {
    const { code, output } = await curl(path, flag, ...flags);
    assert.equal(code, 0, output);
    return output;
  };
  return {
    [`${flag}: an answer`]: async () =>
      assert.equal(await succeed('/late', ...told), `late but complete\n200 HTTP/${version}`),
    [`${flag}: headers alone`]: async () =>
      assert.match(
        await succeed('/large', '--head'),
        new RegExp(`^HTTP/${version} 200 .*\r\ncontent-length: ${LARGE.length}\r\n`, 'is'),
      ),
    [`${flag}: a download`]: async () => {
      assert.equal(await succeed('/large', ...told, '--output', downloaded), `200 HTTP/${version}`);
      assert.equal(digestOf(readFileSync(downloaded)), digestOf(LARGE));
    },
    [`${flag}: an upload of known length`]: async () => {
      writeFileSync(file, LARGE);
      assert.equal(await succeed('/digest', '--upload-file', file), digestOf(LARGE));
    },
    [`${flag}: an upload of unknown length`]: async () => {
      writeFileSync(file, LARGE);
      const flags = ['--header', 'Transfer-Encoding: chunked', '--upload-file', file];
      assert.equal(await succeed('/digest', ...flags), digestOf(LARGE));
    },
    [`${flag}: a name that nobody published`]: async () => {
      const { code, output } = await curl('/late', flag, '--fail', '--header', 'Host: nobody.t.localhost');
      assert.deepEqual([code, /error: 404/.test(output)], [22, true], output);
    },
  };
};

/** Not every curl speaks WebSocket, but each can ask for one and show the answer. */
const upgrade = async (curl: Curl): Promise<void> => {
  const key = Buffer.from('sixteen bytes ok').toString('base64');
  const accept = createHash('sha1')
    .update(key + WEBSOCKET_GUID)
    .digest('base64');
  const asked = {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': key,
  };
  const headers = Object.entries(asked).flatMap(([name, value]) => ['--header', `${name}: ${value}`]);
  const { output } = await curl('/echo?goodbye', '--http1.1', '--include', ...headers);
  // What curl makes of a connection that then belongs to no HTTP differs by version.
  assert.match(output, /^HTTP\/1\.1 101 Switching Protocols\r$/m);
  assert.ok(output.includes(`\r\nSec-WebSocket-Accept: ${accept}\r\n`), output);
};

/** Runs all cases; returns what there is to tell, or throws every fault. */
export const runCurl = async (published: Published): Promise<string> => {
  await requireTool('curl', ['--version'], 'curl');
  const curl = createCurl(published);
  return runCases({
    ...casesOf(curl, '--http1.1', '1.1', published.directory),
    ...casesOf(curl, '--http2', '2', published.directory),
    'a WebSocket handshake': () => upgrade(curl),
  });
};
