/**
 * sslscan, and OpenSSL's client for what it does not see, against the published tunnel and the Engine API: what a stranger who looks for
 * weak TLS would find.
 */
import assert from 'node:assert/strict';
import { TLS_SUITES } from '../../src/base/tls.ts';
import { runCommand } from '../interop/command.ts';
import type { Published } from './published.ts';
import { type Cases, requireTool, runCases } from './tools.ts';

const SCAN_MS = 180_000;
// X25519, P-256, P-384 and X25519MLKEM768; a version of sslscan that knows more groups must find no more.
const GROUPS = ['0x001d', '0x0017', '0x0018', '0x11ec'];

/** The attributes of every element of this name. */
const elementsOf = (report: string, name: string): Readonly<Record<string, string>>[] =>
  [...report.matchAll(new RegExp(`<${name} ([^>]*)/>`, 'g'))].map(([, attributes = '']) =>
    Object.fromEntries([...attributes.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value])),
  );

const scan = async (port: number, serverName: string): Promise<string> => {
  const args = ['--no-colour', '--xml=-', `--sni-name=${serverName}`];
  const { code, output } = await runCommand('sslscan', [...args, `127.0.0.1:${port}`], {
    timeoutMs: SCAN_MS,
    output: 'keep',
  });
  assert.equal(code, 0, output);
  return output;
};

const casesOf = (serverName: string, report: string): Cases => ({
  [`${serverName}: TLS 1.2 and 1.3, nothing older`]: async () => {
    const enabled = elementsOf(report, 'protocol').filter((protocol) => protocol.enabled === '1');
    assert.deepEqual(
      enabled.map(({ type, version }) => `${type} ${version}`),
      ['tls 1.2', 'tls 1.3'],
    );
  },
  [`${serverName}: suites of the table only`]: async () => {
    const suites = elementsOf(report, 'cipher').map(({ cipher }) => cipher);
    assert.ok(suites.length >= 6, report);
    const known = TLS_SUITES.map(({ openSslName }) => openSslName);
    assert.deepEqual(
      suites.filter((suite) => !known.includes(suite ?? '')),
      [],
    );
  },
  [`${serverName}: groups of the table only`]: async () => {
    const groups = elementsOf(report, 'group').map(({ id }) => id ?? '');
    assert.ok(groups.length > 0, report);
    assert.deepEqual(
      groups.filter((group) => !GROUPS.includes(group)),
      [],
    );
  },
  [`${serverName}: no heartbleed`]: async () => {
    const found = elementsOf(report, 'heartbleed').map(({ vulnerable }) => vulnerable);
    assert.deepEqual(found, ['0', '0']);
  },
});

/**
 * sslscan finds no renegotiation anywhere, not even where there is some. Nobody looks for compression: neither Debian's OpenSSL nor Node's
 * was built with it.
 */
const renegotiation = async (port: number, serverName: string): Promise<void> => {
  const where = ['-connect', `127.0.0.1:${port}`, '-servername', serverName];
  const { output } = await runCommand('openssl', ['s_client', '-tls1_2', ...where], {
    timeoutMs: SCAN_MS,
    input: 'R\n',
    output: 'keep',
  });
  assert.match(output, /^RENEGOTIATING\n.*:no renegotiation:/m);
};

/** Runs it; returns what there is to tell, or throws every fault. */
export const runSslscan = async ({ host, port }: Published): Promise<string> => {
  await requireTool('sslscan', ['--version'], 'sslscan');
  await requireTool('openssl', ['version'], 'openssl');
  const cases: Record<string, () => Promise<void>> = {};
  for (const serverName of [host, 'localhost']) {
    Object.assign(cases, casesOf(serverName, await scan(port, serverName)));
    cases[`${serverName}: no renegotiation`] = () => renegotiation(port, serverName);
  }
  return runCases(cases);
};
