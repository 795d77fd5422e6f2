/**
 * The OpenAPI 3.1 document of the Engine API, rendered from the routes and the schemas that serve it.
 */
import { z } from 'zod';
import { clientSchema, tunnelSchema } from './dto.ts';
import type { EngineRoute } from './engine-routes.ts';
import { problemSchema } from './problem.ts';

export const OPENAPI_MEDIA_TYPE = 'application/vnd.oai.openapi+json;version=3.1';

/** The version of the contract, not of this engine: official tools compare it (protocol.md 10.1). */
const CONTRACT_VERSION = '1.0.0';

const REFUSALS = {
  '400': 'The query parameter params is not valid.',
  '401': 'No token, or one that is not valid here.',
  '403': 'The token lacks the permission.',
  '404': 'There is no such tunnel.',
} as const;

/** The document as a value that is ready for JSON. */
export const openApiFrom = (routes: readonly EngineRoute[]) => ({
  openapi: '3.1.0',
  info: {
    title: 'rstream Engine API',
    version: CONTRACT_VERSION,
    description:
      'What is connected to this engine right now. Read-only: agents open and close tunnels themselves.',
  },
  security: [{ token: [] }],
  paths: Object.fromEntries(
    routes.map((route) => [route.path.replace(/:(\w+)/g, '{$1}'), { get: operationFrom(route) }]),
  ),
  components: {
    securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
    schemas: {
      Client: schemaFrom(clientSchema),
      Tunnel: schemaFrom(tunnelSchema),
      Problem: schemaFrom(problemSchema),
    },
  },
});

// As input: an answer may grow keys, so the document must not promise that there are no others.
const schemaFrom = (schema: z.ZodType) => {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io: 'input' });
  return rest;
};

const refTo = (component: string) => ({ $ref: `#/components/schemas/${component}` });

const jsonOf = (schema: object) => ({ 'application/json': { schema } });

const operationFrom = ({ path, operationId, summary, permission, params, answers }: EngineRoute) => {
  const pathNames = [...path.matchAll(/:(\w+)/g)].map(([, name]) => name);
  const refusal = (status: keyof typeof REFUSALS) => ({
    [status]: { description: REFUSALS[status], content: jsonOf(refTo('Problem')) },
  });
  return {
    operationId,
    summary,
    ...(permission && { description: `The token needs the permission \`${permission}\`.` }),
    parameters: [
      ...pathNames.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
      ...(params ? [{ name: 'params', in: 'query', content: jsonOf(schemaFrom(params)) }] : []),
    ],
    responses: {
      ...(answers ? { '200': successFrom(answers) } : { '204': { description: 'Yes.' } }),
      ...(params && refusal('400')),
      ...refusal('401'),
      ...(permission && refusal('403')),
      ...(pathNames.length > 0 && refusal('404')),
    },
  };
};

const successFrom = ({ component, isList }: NonNullable<EngineRoute['answers']>) => ({
  description: isList ? 'A list, possibly empty.' : 'It.',
  content: jsonOf(isList ? { type: 'array', items: refTo(component) } : refTo(component)),
});
