/**
 * The messages of `GET /api/admin/live`, as schemas and as what fills them.
 *
 * Invariant: the first message is the state; each one after it says what came and what went since the one before. A tunnel of which
 * something else is known than before comes again. Who does not know a key leaves it alone.
 */
import { z } from 'zod';
import { agentSchema, liveTunnelSchema } from './shapes.ts';

export const numbersSchema = z.object({
  status: z.enum(['ready', 'draining']),
  agents: z.int(),
  tunnels: z.int(),
  downstreams: z.int().meta({ description: 'Connections of downstreams.' }),
  connections: z.int().meta({ description: 'All connections, those of agents included.' }),
});
export type LiveNumbers = z.infer<typeof numbersSchema>;

const at = z.iso.datetime().meta({ description: 'When this was true.' });

const changesOf = <Item extends z.ZodType>(item: Item) =>
  z
    .object({
      came: z
        .array(item)
        .meta({ description: 'Each in the place of what had its id before, if anything had.' }),
      gone: z.array(z.string()).meta({ description: 'Their ids.' }),
    })
    .optional();

const stateSchema = z
  .object({
    type: z.literal('state'),
    at,
    numbers: numbersSchema,
    agents: z.array(agentSchema),
    tunnels: z.array(liveTunnelSchema),
  })
  .meta({ description: 'Always the first message: all that is there.' });

const changeSchema = z
  .object({
    type: z.literal('change'),
    at,
    numbers: numbersSchema
      .optional()
      .meta({ description: 'When they changed, and as a sign of life every 15 seconds.' }),
    agents: changesOf(agentSchema),
    tunnels: changesOf(liveTunnelSchema),
    credentials: z
      .literal(true)
      .optional()
      .meta({ description: 'Credentials were made, rotated or revoked.' }),
  })
  .meta({ description: 'What is different, at most four times a second.' });

export const liveMessageSchema = z.discriminatedUnion('type', [stateSchema, changeSchema]);
export type LiveState = z.input<typeof stateSchema>;
export type LiveChange = z.input<typeof changeSchema>;

/** What came and went since it was last taken; what did both is not told. */
export const createChanges = <Item>() => {
  const came = new Map<string, Item>();
  const gone = new Set<string>();
  return {
    add: (id: string, item: Item): void => void came.set(id, item),
    remove(id: string): void {
      if (!came.delete(id)) gone.add(id);
    },
    /** Undefined when there is nothing. */
    take(): { came: Item[]; gone: string[] } | undefined {
      if (came.size + gone.size === 0) return undefined;
      const taken = { came: [...came.values()], gone: [...gone] };
      came.clear();
      gone.clear();
      return taken;
    },
  };
};
