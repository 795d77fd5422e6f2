/** `openssl s_client` as a downstream: another TLS library's process, with options that Node's client has not. */
import { spawn } from 'node:child_process';

const RUN_MS_MAX = 20_000;

/**
 * Shakes hands with 127.0.0.1 and leaves; the answer is all that the client has to tell.
 * @param flags such as `-tls1_2`, `-alpn h2`; each word is one
 */
export const opensslClient = (port: number, serverName: string, ...flags: string[]): Promise<string> =>
  new Promise((resolve, reject) => {
    const where = ['-connect', `127.0.0.1:${port}`, '-servername', serverName];
    // Without input it leaves once the handshake is done.
    const child = spawn('openssl', ['s_client', ...where, ...flags], {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: RUN_MS_MAX,
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString('latin1');
      });
    child.once('error', reject).once('close', () => resolve(output));
  });
