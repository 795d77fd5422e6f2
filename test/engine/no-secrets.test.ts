/** The whole story of proofs at debug level: no secret that was used in it is in a log line, in a refusal, or in front of an upstream. */
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createLogger } from '../../src/base/log.ts';
import { createClock } from '../../src/base/time.ts';
import { createAuthority, issueClientIdentity } from '../../src/store/authority.ts';
import { fetchThrough } from '../support/downstream.ts';
import { startEngine, startHttpUpstream, type TestEngine } from '../support/engine.ts';
import { privateDial } from '../support/fake-agent.ts';
import { askApi } from './ask-api.ts';
import { FAMILIES, type Proof, SHARED } from './families.ts';
import { ask, connectHttp2 } from './http2-sides.ts';

/** The lines as the engine writes them. */
const textOf = ({ log }: TestEngine): string => {
  let text = '';
  const logger = createLogger('debug', {
    write: (line) => {
      text += line;
    },
  });
  for (const { level, fields, message } of log.lines) logger[level](fields, message);
  return text;
};

/** Shows a proof, alone, broken and beside others, at every door; gives all that was answered. */
const showEverywhere = async (
  t: TestContext,
  engine: TestEngine,
  proof: Proof,
  other: string,
): Promise<string> => {
  let told = '';
  const token = 'token' in proof ? proof.token : other;
  const pair = 'token' in proof ? undefined : proof.clientCertificate;
  const session = await connectHttp2(t, engine, 'either.t.localhost', {}, pair);
  for (const hostname of ['either.t.localhost', 'guarded.t.localhost', 'nobody.t.localhost'])
    for (const value of [token, `${token}x`, token.slice(0, -3)])
      for (const [path, headers] of [
        ['/', { authorization: `Bearer ${value}` }],
        [`/?rstream.token=${value}`, { accept: 'text/html' }],
        [`/page?a=1&rstream.token=${value}`, { authorization: `Bearer ${value}`, accept: 'text/html' }],
        [
          `/?rstream.token=${value}`,
          { connection: 'Upgrade', upgrade: 'custom', referer: `https://x/?rstream.token=${value}` },
        ],
      ] as [string, Record<string, string>][]) {
        if (hostname !== 'nobody.t.localhost') {
          const answer = await fetchThrough(engine, hostname, path, { headers, ...pair });
          told += JSON.stringify(answer);
        }
        const { connection: _, upgrade: __, ...h2 } = headers;
        const { headers: answered, body } = await ask(session, {
          ':authority': hostname,
          ':path': path,
          ...h2,
        });
        told += JSON.stringify(answered) + String(body);
      }
  session.destroy();
  const refused = (error: unknown) => {
    told += String(error);
  };
  for (const value of [token, `${token}x`]) {
    const agent = await engine.connectAgent({ token: value }).catch(refused);
    agent?.kill();
    await engine.connectAgent({ token: value, ...(pair && { clientCertificate: pair }) }).catch(refused);
    await privateDial({ port: engine.port, target: 'nowhere', zeroRtt: false, token: value }).catch(refused);
    told += JSON.stringify(await askApi(engine, '/api/tunnels?x', value));
    told += JSON.stringify(await askApi(engine, `/api/tunnels?rstream.token=${value}`));
  }
  return told;
};

test('CVE-2023-47390: no secret of the story is in a log line, a refusal, a file of the store or before an upstream', async (t) => {
  const engine = await startEngine(t, { settings: { auth: { jwt: { token_jwt_secret: SHARED } } } });
  let seen = '';
  const upstream = await startHttpUpstream(t, (request, response) => {
    seen += JSON.stringify([request.url, request.rawHeaders]);
    response.end('hello');
  });
  await engine.publish(upstream, { hostname: 'either', tokenAuth: true, mtlsAuth: true });
  await engine.publish({ port: 1 }, { hostname: 'guarded', tokenAuth: true });

  const clock = createClock();
  const authority = await createAuthority({ host: 'localhost', clock });
  const issued = await issueClientIdentity(authority, { name: 'phone', days: 1, clock });
  await engine.withCredentials((credentials) =>
    credentials.addCertificate({ name: 'phone', permissions: null, pem: issued.clientCertificate }),
  );
  const app = await engine.withCredentials((credentials) =>
    credentials.createApp({ name: 'dashboard', permissions: null }),
  );
  const proofs: Proof[] = [{ clientCertificate: { cert: issued.clientCertificate, key: issued.clientKey } }];
  // The others have credentials of the same names.
  for (const [name, make] of Object.entries(FAMILIES))
    if (!name.includes(' restricted')) proofs.push(await make(engine, null));

  let told = '';
  const [other = ''] = proofs.flatMap((proof) => ('token' in proof ? [proof.token] : []));
  for (const proof of proofs) told += await showEverywhere(t, engine, proof, other);
  await engine.stop();

  const pems = proofs.flatMap((proof) => ('token' in proof ? [] : [proof.clientCertificate.key]));
  const { keys } = JSON.parse(readFileSync(join(engine.directory, 'engine.signing-key'), 'utf8'));
  const secrets: [string, string][] = [
    ...proofs.flatMap((proof): [string, string][] =>
      'token' in proof ? [['a token', proof.token.split('.')[2]!.slice(0, -4)]] : [],
    ),
    ...pems.map((pem): [string, string] => ['a private key', pem.split('\n')[1]!]),
    [
      'a private key',
      createPrivateKey(issued.clientKey).export({ format: 'der', type: 'pkcs8' }).toString('hex'),
    ],
    ['the password of an archive', issued.archivePassword.reveal()],
    ['a client secret', app.clientSecret.reveal().slice(-80)],
    ['the shared secret', SHARED],
    ...keys.map(({ secret }: { secret: string }): [string, string] => ['the signing key', secret]),
  ];
  const files = readdirSync(engine.directory).filter((name) => /\.db/.test(name));
  const places: [string, Buffer][] = [
    ['the log', Buffer.from(textOf(engine))],
    ['an answer', Buffer.from(told)],
    ['the upstream', Buffer.from(seen)],
    ...files.map((name): [string, Buffer] => [name, readFileSync(join(engine.directory, name))]),
  ];
  assert.ok(engine.log.lines.length > 100 && told.length > 10_000 && seen.length > 100, 'there was a story');
  for (const [place, content] of places)
    for (const [what, secret] of secrets)
      assert.equal(content.includes(secret), false, `${what} in ${place}`);
});
