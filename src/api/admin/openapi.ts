/**
 * The OpenAPI 3.1 document of the Admin API, rendered from the rows and the schemas that serve it.
 */
import { z } from 'zod';
import { ADMIN_PERMISSION } from '../../base/principal.ts';
import { adminProblemSchema, PROBLEM_MEDIA_TYPE } from './problem.ts';
import type { AdminRoute } from './route.ts';

export const ADMIN_API = '/api/admin';

const ACCESS: Readonly<Record<AdminRoute['access'], string>> = {
  anyone: 'Needs no login.',
  token: 'Any valid token, or a session.',
  person: 'A session.',
  viewer: 'A session, or a token with the permission.',
  admin: 'A session of the role admin, or a token with the permission.',
};

/** The document as a value that is ready for JSON. */
export const adminOpenApiFrom = (routes: readonly AdminRoute[], version: string) => ({
  openapi: '3.1.0',
  info: {
    title: 'rstream-engine-ce Admin API',
    version,
    description: `What the admin page does. Programs send a personal access token that has the permission \`${ADMIN_PERMISSION}\` by name.`,
  },
  servers: [{ url: ADMIN_API }],
  security: [{ token: [] }, { session: [] }],
  paths: pathsFrom(routes),
  components: {
    securitySchemes: {
      token: { type: 'http', scheme: 'bearer' },
      session: { type: 'apiKey', in: 'cookie', name: '__Host-rstream_admin' },
    },
    schemas: { Problem: schemaFrom(adminProblemSchema, 'output') },
  },
});

const pathsFrom = (routes: readonly AdminRoute[]) => {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const row of routes) {
    const path = row.path.replace(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [row.method.toLowerCase()]: operationFrom(row) };
  }
  return paths;
};

const schemaFrom = (schema: z.ZodType, io: 'input' | 'output') => {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
};

const operationFrom = ({ path, operationId, summary, access, body, query, answers, ...row }: AdminRoute) => ({
  operationId,
  summary,
  description: ACCESS[access],
  ...(access === 'anyone' && { security: [] }),
  parameters: [
    ...[...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
      name,
      in: 'path',
      required: true,
      schema: { type: 'string' },
    })),
    ...(row.isVersioned
      ? [{ name: 'if-match', in: 'header', required: true, schema: { type: 'string' } }]
      : []),
    ...(query ? queryFrom(query) : []),
  ],
  ...(body && {
    requestBody: { required: true, content: { 'application/json': { schema: schemaFrom(body, 'input') } } },
  }),
  responses: {
    ...(answers
      ? {
          [row.status ?? 200]: {
            description:
              row.status === 101 ? 'A WebSocket; each message is a text frame of this shape.' : 'Done.',
            content: { [row.mediaType ?? 'application/json']: { schema: schemaFrom(answers, 'input') } },
          },
        }
      : row.isDownload
        ? { '200': { description: 'The bytes.', content: { 'application/octet-stream': {} } } }
        : { '204': { description: 'Done.' } }),
    default: {
      description: 'A refusal.',
      content: { [PROBLEM_MEDIA_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } },
    },
  },
});

const queryFrom = (query: z.ZodType) => {
  const { properties = {} } = schemaFrom(query, 'input') as { properties?: Record<string, unknown> };
  return Object.entries(properties).map(([name, schema]) => ({ name, in: 'query', schema }));
};
