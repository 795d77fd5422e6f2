/**
 * Every family of credentials x every set of permissions x every operation, over real sockets: who may do what, and that whoever may not
 * reads the name of the permission that is missing.
 */
import assert from 'node:assert/strict';
import type { RequestOptions } from 'node:http';
import { describe, type TestContext, test } from 'node:test';
import { PERMISSIONS } from '../../src/base/principal.ts';
import { fetchThrough } from '../support/downstream.ts';
import { startEngine, type TestEngine } from '../support/engine.ts';
import { type FakeAgent, FakeRefusal, privateDial } from '../support/fake-agent.ts';
import { askApi } from './ask-api.ts';
import { FAMILIES, type Permissions, type Proof, SHARED } from './families.ts';

const { readResources, manageTunnels, manageStreams } = PERMISSIONS;

/** Each throws FakeRefusal when it is refused. */
const OPERATIONS: Record<string, { needs: string; run(engine: TestEngine, proof: Proof): Promise<void> }> = {
  'open a channel and a tunnel': {
    needs: manageTunnels,
    async run(engine, proof) {
      const agent = await engine.connectAgent(proof);
      await agent.openTunnel({ publish: false });
      agent.kill();
    },
  },
  'dial a private stream': {
    needs: manageStreams,
    async run(engine, proof) {
      const owner = await engine.connectAgent();
      const { id = '' } = await owner.openTunnel({ publish: false });
      const answer = owner.next('dial-request').then(
        (request) => owner.answerDial(request),
        () => undefined,
      );
      try {
        (await privateDial({ port: engine.port, target: id, ...proof })).destroy();
        (await answer)?.destroy();
      } finally {
        owner.kill();
      }
    },
  },
  'list through the Engine API': {
    needs: readResources,
    async run(engine, proof) {
      // Certificates are no proof there; what they may do elsewhere changes nothing.
      if (!('token' in proof)) return assert.equal((await askApi(engine, '/api/tunnels')).status, 401);
      for (const path of ['/api/tunnels', '/api/clients']) {
        const { status, body } = await askApi(engine, path, proof.token);
        if (status === 403) throw new FakeRefusal({ code: 1000, message: body.error });
        assert.equal(status, 200, path);
      }
    },
  },
};

/** The ways in which a proof is shown to a published tunnel, and the properties that ask for it. */
const EDGE: Record<string, { properties: object; showing(proof: Proof): RequestOptions | undefined }> = {
  'a token in the header': {
    properties: { tokenAuth: true },
    showing: (proof) =>
      'token' in proof ? { headers: { authorization: `Bearer ${proof.token}` } } : undefined,
  },
  'a token in the query': {
    properties: { tokenAuth: true },
    showing: (proof) => ('token' in proof ? { path: `/?rstream.token=${proof.token}` } : undefined),
  },
  'a certificate': {
    properties: { mtlsAuth: true },
    showing: (proof) => ('token' in proof ? undefined : (proof.clientCertificate as object)),
  },
  'either, where the tunnel takes both': {
    properties: { tokenAuth: true, mtlsAuth: true },
    showing: (proof) =>
      'token' in proof
        ? { headers: { authorization: `Bearer ${proof.token}` } }
        : (proof.clientCertificate as object),
  },
};

/** Until its channel ends. */
const refuseDials = async (agent: FakeAgent): Promise<void> => {
  for (;;) {
    const { streamId } = await agent.next('dial-request');
    agent.send({ kind: 'dial-result', streamId, error: { code: 6000, message: 'nobody is there' } });
  }
};

const checkAtEdge = async (engine: TestEngine, proof: Proof, permissions: Permissions) => {
  const isAllowed = permissions === null || permissions.includes(manageStreams);
  const agent = await engine.connectAgent();
  refuseDials(agent).catch(() => {});
  for (const [name, { properties, showing }] of Object.entries(EDGE)) {
    const shown = showing(proof);
    const label = name.replaceAll(/[^a-z]+/g, '-');
    await agent.openTunnel({ hostname: label, ...properties });
    const { status, body } = await fetchThrough(engine, `${label}.t.localhost`, '/', shown);
    // Nobody answers behind the tunnel: who gets so far reads that.
    const expected = shown === undefined ? 401 : isAllowed ? 502 : 403;
    assert.equal(status, expected, `${name}: ${body}`);
    if (expected === 403) assert.ok(body.includes(manageStreams), `${name}: ${body}`);
  }
  agent.kill();
};

const SETS: readonly Permissions[] = [
  null,
  [],
  [readResources],
  [manageTunnels],
  [manageStreams],
  [readResources, manageTunnels, manageStreams],
];

const check = async (t: TestContext, make: (typeof FAMILIES)[string], permissions: Permissions) => {
  const settings = { auth: { jwt: { token_jwt_secret: SHARED } } };
  const engine = await startEngine(t, { settings });
  const proof = await make(engine, permissions);
  for (const [name, { needs, run }] of Object.entries(OPERATIONS)) {
    const isCertificateOverHttp = !('token' in proof) && needs === readResources;
    const isAllowed = permissions === null || permissions.includes(needs) || isCertificateOverHttp;
    if (isAllowed) await run(engine, proof);
    else
      await assert.rejects(run(engine, proof), (error) => {
        assert.ok(error instanceof FakeRefusal, `${name}: ${error}`);
        assert.equal(error.code, 1000, name);
        assert.ok(error.message.includes(needs), `${name}: ${error.message}`);
        return true;
      });
  }
  await checkAtEdge(engine, proof, permissions);
};

for (const [family, make] of Object.entries(FAMILIES))
  describe(`a ${family}`, () => {
    for (const permissions of SETS)
      test(`may do what ${JSON.stringify(permissions)} says`, (t) => check(t, make, permissions));
  });
