/**
 * Tokens, applications and client certificates: what they have in common, and how the first two are made.
 *
 * Invariant: a secret is in the answer that made it and in no other. Two people who rotate the same credential at once do it once: the
 * second is told that it was changed.
 */
import { z } from 'zod';
import { fail } from '../../base/errors.ts';
import { sha256Hex } from '../../base/secret.ts';
import type { Clock } from '../../base/time.ts';
import type { CredentialKind, CredentialRecord, Credentials } from '../../store/credentials.ts';
import type { TunnelRegistry } from '../../tunnel/registry.ts';
import type { AgentView } from '../dto.ts';
import { countedBy, listQuery, pageFrom, pageOf } from './listing.ts';
import { type AdminRequest, type AdminRoute, route } from './route.ts';
import { credentialFrom, credentialSchema } from './shapes.ts';

export interface CredentialRoutesNeeds {
  readonly clock: Clock;
  readonly credentials: Credentials;
  readonly registry: Pick<TunnelRegistry, 'list'>;
  listAgents(): readonly AgentView[];
  /** Open streams by the id of the credential that they end with. */
  streamCounts(): ReadonlyMap<string, number>;
}

/** Milliseconds since 1970 from an instant in ISO 8601. */
const instant = z.iso.datetime().transform((text) => Date.parse(text));

/** What a new credential is ordered with. */
export const orderSchema = z.strictObject({
  name: z.string().max(400),
  permissions: z.array(z.string()).max(20).nullable().meta({ description: 'Null: all that agents may do.' }),
  expires_at: instant.optional(),
});

const rotationSchema = z.strictObject({
  grace_seconds: z.int().min(0).default(0).meta({ description: 'How long the old proof stays valid.' }),
  expires_at: instant.optional().meta({ description: 'A new end; the old one is kept if absent.' }),
});

export const orderFrom = ({ name, permissions, expires_at }: z.output<typeof orderSchema>) => ({
  name,
  permissions,
  ...(expires_at !== undefined && { expiresAt: expires_at }),
});

const rotationFrom = ({ grace_seconds, expires_at }: z.output<typeof rotationSchema>) => ({
  graceMs: grace_seconds * 1_000,
  ...(expires_at !== undefined && { expiresAt: expires_at }),
});

/** Shows records together with what lives by them. */
export const createCredentialView = (needs: CredentialRoutesNeeds) => {
  const { clock, credentials, registry, listAgents } = needs;
  const etagOf = (kind: CredentialKind, id: string): string => {
    const { record, proofs } = credentials.show(kind, id);
    return sha256Hex(JSON.stringify([record, proofs[0]])).slice(0, 16);
  };
  const shown = (kind: CredentialKind, records: readonly CredentialRecord[]) => {
    const agents = countedBy(listAgents(), ({ credentialId }) => credentialId);
    const tunnels = countedBy(registry.list(), ({ credentialId }) => credentialId);
    const streams = needs.streamCounts();
    return records.map((record) =>
      credentialFrom(record, clock.now(), {
        agent_count: agents.get(record.id) ?? 0,
        tunnel_count: tunnels.get(record.id) ?? 0,
        stream_count: streams.get(record.id) ?? 0,
        etag: etagOf(kind, record.id),
      }),
    );
  };
  return {
    etagOf,
    shown,
    one: (kind: CredentialKind, record: CredentialRecord) => shown(kind, [record])[0]!,
  };
};

/** A family of credentials as the API calls it. */
interface Family {
  readonly kind: CredentialKind;
  readonly path: string;
  /** For operation ids. */
  readonly noun: string;
  readonly plural: string;
}

export const FAMILIES = {
  pat: { kind: 'pat', path: '/tokens', noun: 'Token', plural: 'Tokens' },
  app: { kind: 'app', path: '/applications', noun: 'Application', plural: 'Applications' },
  certificate: { kind: 'certificate', path: '/certificates', noun: 'Certificate', plural: 'Certificates' },
} as const satisfies Record<string, Family>;

/** List, one, revoke: the same for every family. */
export const familyRoutes = (
  { kind, path, noun, plural }: Family,
  needs: CredentialRoutesNeeds,
): readonly AdminRoute[] => {
  const { credentials } = needs;
  const view = createCredentialView(needs);
  return [
    route({
      method: 'GET',
      path,
      operationId: `list${plural}`,
      summary: 'All of them, also revoked and expired ones.',
      access: 'viewer',
      query: listQuery,
      answers: pageOf(credentialSchema),
      answer: ({ query }) =>
        pageFrom(view.shown(kind, credentials.list(kind)), ({ created_at }) => created_at, query),
    }),
    route({
      method: 'GET',
      path: `${path}/:id`,
      operationId: `get${noun}`,
      summary: 'One, with the number of agents and tunnels that live by it.',
      access: 'viewer',
      answers: credentialSchema,
      answer: ({ id }) => view.one(kind, credentials.show(kind, id).record),
    }),
    route({
      method: 'DELETE',
      path: `${path}/:id`,
      operationId: `revoke${noun}`,
      summary: 'Revoke it, and end what it opened within a second.',
      access: 'admin',
      action: `${kind}.revoke`,
      answers: credentialSchema,
      answer: ({ id }) => view.one(kind, credentials.revoke(kind, id)),
    }),
  ];
};

export const credentialRoutes = (needs: CredentialRoutesNeeds): readonly AdminRoute[] => [
  ...familyRoutes(FAMILIES.pat, needs),
  ...makingRoutes(FAMILIES.pat, needs, z.object({ token: z.string() }), {
    create: async (order) => {
      const { record, token } = await needs.credentials.createToken(order);
      return { record, secrets: { token } };
    },
    rotate: async (id, order) => {
      const { record, token } = await needs.credentials.rotateToken(id, order);
      return { record, secrets: { token } };
    },
  }),
  ...familyRoutes(FAMILIES.app, needs),
  ...makingRoutes(FAMILIES.app, needs, z.object({ client_id: z.string(), client_secret: z.string() }), {
    create: async (order) => appFrom(needs.credentials.createApp(order)),
    rotate: async (id, order) => appFrom(needs.credentials.rotateApp(id, order)),
  }),
];

const appFrom = ({ record, clientSecret }: ReturnType<Credentials['createApp']>) => ({
  record,
  secrets: { client_id: record.id, client_secret: clientSecret.reveal() },
});

type Made = Promise<{ record: CredentialRecord; secrets: Readonly<Record<string, string>> }>;

interface Maker {
  create(order: ReturnType<typeof orderFrom>): Made;
  rotate(id: string, order: ReturnType<typeof rotationFrom>): Made;
}

/** Create and rotate, for what the engine itself makes the secret of. */
const makingRoutes = (
  { kind, path, noun }: Family,
  needs: CredentialRoutesNeeds,
  secrets: z.ZodObject,
  maker: Maker,
): readonly AdminRoute[] => {
  const view = createCredentialView(needs);
  const answers = credentialSchema.extend(secrets.shape);
  const answerFrom = async (made: Made) => {
    const { record, secrets } = await made;
    return { ...view.one(kind, record), ...secrets };
  };
  // Signing takes a moment, in which the version that was checked is still the present one.
  const rotating = new Set<string>();
  const rotate = async ({ id, ctx, body }: AdminRequest<z.output<typeof rotationSchema>>) => {
    if (rotating.has(id) || view.etagOf(kind, id) !== ctx.req.headers['if-match'])
      throw fail('VERSION_OUTDATED');
    rotating.add(id);
    try {
      return await answerFrom(maker.rotate(id, rotationFrom(body)));
    } finally {
      rotating.delete(id);
    }
  };
  return [
    route({
      method: 'POST',
      path,
      operationId: `create${noun}`,
      summary: 'Make one. Its secret is in this answer and nowhere else.',
      access: 'admin',
      action: `${kind}.create`,
      body: orderSchema,
      answers,
      status: 201,
      answer: ({ body }) => answerFrom(maker.create(orderFrom(body))),
    }),
    route({
      method: 'POST',
      path: `${path}/:id/rotate`,
      operationId: `rotate${noun}`,
      summary: 'Replace its secret: same record, name and permissions.',
      access: 'admin',
      action: `${kind}.rotate`,
      isVersioned: true,
      body: rotationSchema,
      answers,
      answer: rotate,
    }),
  ];
};
