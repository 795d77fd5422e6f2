/**
 * What is proved of a tunnel, in the shape of the Admin API. The Engine API keeps the official enumeration, which knows no doubt.
 */

import { z } from 'zod';
import { isoFrom } from '../../base/instant.ts';
import type { Truth } from '../../observe/probes.ts';
import { TRUTH_STATES } from '../../observe/standing.ts';
import type { Tunnel } from '../../tunnel/tunnel.ts';

const instant = z.iso.datetime();

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
    ...(truth.lastProof && { last_proof_at: isoFrom(truth.lastProof.at), how: truth.lastProof.how }),
    ...(truth.lastFailure && { last_failure: { ...truth.lastFailure, at: isoFrom(truth.lastFailure.at) } }),
  };

/** Tells of which tunnels something else is known than when it was last asked. Newer proofs of the same are no news. */
export const createTruthNews = (truthOf: (tunnelId: string) => Truth | undefined) => {
  let told = new Map<string, string>();
  return {
    changedAmong(tunnels: readonly Tunnel[]): Tunnel[] {
      const known = new Map<string, string>();
      const changed = tunnels.filter(({ id }) => {
        const { state, lastFailure } = truthOf(id) ?? {};
        const news = `${state} ${lastFailure?.code}`;
        known.set(id, news);
        return told.get(id) !== news;
      });
      told = known;
      return changed;
    },
  };
};
