/**
 * The OpenAPI 3.1 document of the Engine API, rendered from the routes and the schemas that serve it.
 */
import { z } from 'zod';
import { QUERY_TOKEN } from './auth.ts';
import { clientSchema, tunnelSchema } from './dto.ts';
import type { EngineRoute } from './engine-routes.ts';
import { problemSchema } from './problem.ts';
import { clientEventSchema, initialEventSchema, tunnelEventSchema } from './watch-events.ts';
import type { WatchRoute } from './watch-routes.ts';

export const OPENAPI_MEDIA_TYPE = 'application/vnd.oai.openapi+json;version=3.1';

/** The version of the contract, not of this engine: official tools compare it (protocol.md 10.1). */
const CONTRACT_VERSION = '1.0.0';

const REFUSALS = {
  '400': 'The query parameter params, or the WebSocket handshake, is not valid.',
  '401': 'No token, or one that is not valid here.',
  '403': 'The token lacks the permission.',
  '404': 'There is no such tunnel.',
  '426': 'The request opens no WebSocket.',
  '503': 'The engine has as many watchers as it can bear, or is shutting down.',
} as const;
type RefusalStatus = keyof typeof REFUSALS;

const COMPONENTS = {
  Client: clientSchema,
  Tunnel: tunnelSchema,
  InitialEvent: initialEventSchema,
  ClientEvent: clientEventSchema,
  TunnelEvent: tunnelEventSchema,
  Problem: problemSchema,
};

/** The document as a value that is ready for JSON. */
export const openApiFrom = (routes: readonly EngineRoute[], streams: readonly WatchRoute[]) => ({
  openapi: '3.1.0',
  info: {
    title: 'rstream Engine API',
    version: CONTRACT_VERSION,
    description:
      'What is connected to this engine right now. Read-only: agents open and close tunnels themselves.',
  },
  security: [{ token: [] }],
  paths: Object.fromEntries([
    ...routes.map((route) => [documentedPath(route.path), { get: operationFrom(route) }]),
    ...streams.map((route) => [documentedPath(route.path), { get: streamOperationFrom(route) }]),
  ]),
  components: {
    securitySchemes: {
      token: { type: 'http', scheme: 'bearer' },
      queryToken: {
        type: 'apiKey',
        in: 'query',
        name: QUERY_TOKEN,
        description: 'An auth or app token that lives an hour at most and may do nothing but list.',
      },
    },
    schemas: {
      ...componentSchemas(),
      Event: { oneOf: ['InitialEvent', 'ClientEvent', 'TunnelEvent'].map(refTo) },
    },
  },
});

// As input, here and below: an answer may grow keys, so the document must not promise that there are no others.
const componentSchemas = (): Record<string, object> => {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(COMPONENTS)) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, { io: 'input', uri: (id) => refTo(id).$ref });
  return Object.fromEntries(Object.entries(schemas).map(([id, schema]) => [id, withoutDialect(schema)]));
};

const schemaFrom = (schema: z.ZodType) => withoutDialect(z.toJSONSchema(schema, { io: 'input' }));

const withoutDialect = (schema: object): object => {
  const { $schema: _dialect, $id: _id, ...rest } = schema as Record<string, unknown>;
  return rest;
};

const refTo = (component: string) => ({ $ref: `#/components/schemas/${component}` });

const documentedPath = (path: string): string => path.replace(/:(\w+)/g, '{$1}');

const jsonOf = (schema: object) => ({ 'application/json': { schema } });

const refusal = (status: RefusalStatus) => ({
  [status]: { description: REFUSALS[status], content: jsonOf(refTo('Problem')) },
});

const permissionSentence = (permission: string) => `The token needs the permission \`${permission}\`.`;

const paramsParameter = (params: z.ZodType) => ({
  name: 'params',
  in: 'query',
  content: jsonOf(schemaFrom(params)),
});

const operationFrom = ({ path, operationId, summary, permission, params, answers }: EngineRoute) => {
  const pathNames = [...path.matchAll(/:(\w+)/g)].map(([, name]) => name);
  return {
    operationId,
    summary,
    ...(permission && { description: permissionSentence(permission) }),
    parameters: [
      ...pathNames.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
      ...(params ? [paramsParameter(params)] : []),
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

const streamOperationFrom = ({ operationId, summary, permission, params, streams }: WatchRoute) => ({
  operationId,
  summary,
  description: `${permissionSentence(permission)} The first event is \`state.initial\`. Watch again when the stream ends.`,
  security: [{ token: [] }, { queryToken: [] }],
  parameters: [paramsParameter(params)],
  responses: {
    [streams.status]: {
      description: 'Events, each of them JSON of this schema on one line.',
      content: { [streams.mediaType]: { schema: refTo('Event') } },
    },
    ...refusal('400'),
    ...refusal('401'),
    ...refusal('403'),
    ...(streams.status === '101' && refusal('426')),
    ...refusal('503'),
  },
});
