/**
 * Whether a tunnel works, by proof: a colour, a word, and on demand when and how it was proved and what failed last.
 */
import type { Truth } from './inventory.ts';
import { Time } from './parts.tsx';
import { S } from './strings.ts';

const COLOURS = { online: 'good', suspect: 'warn', down: 'bad' } as const;

const Proof = ({ truth: { last_proof_at, how } }: { truth: Truth }) =>
  last_proof_at === undefined || how === undefined ? (
    <p class="quiet">{S.truth.unproved}</p>
  ) : (
    <p class="quiet">
      {S.truth.provedBy[how]} <Time of={last_proof_at} />
    </p>
  );

/** A failure that a proof has followed is history, and not shown beside it. */
const Failure = ({ truth: { last_proof_at = '', last_failure } }: { truth: Truth }) =>
  last_failure === undefined || last_failure.at <= last_proof_at ? null : (
    <p>
      {S.truth.failed} <Time of={last_failure.at} />: {last_failure.sentence}{' '}
      <span class="mono quiet">{last_failure.code}</span>
    </p>
  );

export const TruthLight = ({ truth }: { truth: Truth | undefined }) =>
  truth === undefined ? null : (
    // One at a time: in a list they lie over the rows below.
    <details class="truth" name="truth">
      <summary>
        <span class={`chip ${COLOURS[truth.state]}`}>{S.truth[truth.state]}</span>
      </summary>
      <div class="proof">
        <Proof truth={truth} />
        <Failure truth={truth} />
      </div>
    </details>
  );
