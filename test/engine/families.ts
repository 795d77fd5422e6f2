/** Every family of credentials, as its owner comes by one. */
import { createPrivateKey } from 'node:crypto';
import { SignJWT } from 'jose';
import type { TestPair } from '../support/certificates.ts';
import type { TestEngine } from '../support/engine.ts';
import { forgeToken } from '../support/store.ts';

/** The operator's `auth.jwt.token_jwt_secret`. */
export const SHARED = 'a-shared-secret-of-more-than-32-bytes';
export type Permissions = readonly string[] | null;
export type Proof = { token: string } | { clientCertificate: TestPair };

/** How a credential of each family comes by its permissions. */
export const FAMILIES: Record<string, (engine: TestEngine, permissions: Permissions) => Promise<Proof>> = {
  'personal access token': async (engine, permissions) => ({
    token: await engine.createToken('pat', permissions),
  }),
  'auth token of an unrestricted source': async (engine, permissions) => {
    await engine.createToken('source');
    return mintFrom(engine, permissions);
  },
  'auth token of a restricted source': async (engine, permissions) => {
    await engine.createToken('source', permissions);
    return mintFrom(engine, null);
  },
  'app token of an unrestricted application': (engine, permissions) => appToken(engine, null, permissions),
  'app token of a restricted application': (engine, permissions) => appToken(engine, permissions, null),
  'token of the operator': async (_, permissions) => ({
    token: forgeToken({ claims: { sub: 'ci', permissions }, key: SHARED }),
  }),
  'client certificate': async (engine, permissions) => ({
    clientCertificate: await engine.createClientCertificate('laptop', permissions),
  }),
};

const mintFrom = (engine: TestEngine, permissions: Permissions): Promise<Proof> =>
  engine.withCredentials(async (credentials) => {
    const order = { source: credentials.principalOf('source'), permissions, expiresInSeconds: 60 };
    return { token: (await credentials.mintAuthToken(order)).token };
  });

const appToken = async (engine: TestEngine, stored: Permissions, claimed: Permissions): Promise<Proof> => {
  const order = { name: 'app', permissions: stored };
  const { record, clientSecret } = await engine.withCredentials((credentials) =>
    credentials.createApp(order),
  );
  const key = createPrivateKey({
    key: Buffer.from(clientSecret.reveal(), 'hex'),
    format: 'der',
    type: 'pkcs8',
  });
  const claims = { type: 'app', clientId: record.id, permissions: claimed as string[] | null };
  const draft = new SignJWT(claims).setProtectedHeader({ alg: 'ES512' }).setIssuedAt();
  return { token: await draft.setExpirationTime('60s').sign(key) };
};
