/**
 * What is proved of a tunnel, in the shape of the Admin API. The Engine API keeps the official enumeration, which knows no doubt.
 */
import { z } from 'zod';
import type { Truth } from '../../observe/probes.ts';
import { TRUTH_STATES } from '../../observe/standing.ts';

const instant = z.iso.datetime();
const iso = (ms: number): string => new Date(ms).toISOString();

export const truthSchema = z
  .object({
    state: z.enum(TRUTH_STATES).meta({
      description:
        'online: bytes came from the service within two probe intervals. suspect: nothing is proved yet, the last probe failed, or the proof is older. down: three probes in a row failed.',
    }),
    last_proof_at: instant.optional(),
    how: z.enum(['traffic', 'probe']).optional().meta({ description: 'What gave the last proof.' }),
    last_failure: z
      .object({ at: instant, code: z.string(), sentence: z.string() })
      .optional()
      .meta({ description: 'Of a probe; a proof may have followed.' }),
  })
  .meta({
    description:
      'Whether the tunnel works, by proof. Absent where it is not probed: probes.enabled is off, or its label rstream.probe.',
  });

export const truthFrom = (truth: Truth | undefined): z.output<typeof truthSchema> | undefined =>
  truth && {
    state: truth.state,
    ...(truth.lastProof && { last_proof_at: iso(truth.lastProof.at), how: truth.lastProof.how }),
    ...(truth.lastFailure && { last_failure: { ...truth.lastFailure, at: iso(truth.lastFailure.at) } }),
  };
