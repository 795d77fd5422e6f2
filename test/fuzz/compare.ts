/** Holds what our parser saw against what Node's did. */
import type { Seen, SeenMessage } from './seen.ts';

/** How two readings of the same bytes relate. */
export type Verdict =
  | { readonly kind: 'agree'; readonly accepted: number }
  /** We give up where Node reads on: safe, and counted by our reason. */
  | { readonly kind: 'stricter'; readonly reason: string }
  /** Two parsers in a row that differ like this can be made to see different messages. */
  | { readonly kind: 'fault'; readonly problem: string };

const shown = (value: unknown): string => JSON.stringify(value);

const problemOf = (ours: SeenMessage, node: SeenMessage, didGiveUp: boolean): string | undefined => {
  for (const part of ['start', 'headers'] as const)
    if (shown(ours[part]) !== shown(node[part]))
      return `the ${part} is ${shown(ours[part])} to us and ${shown(node[part])} to Node`;
  if (!ours.isWhole) return node.isWhole && !didGiveUp ? 'it is whole to Node and not to us' : undefined;
  if (!node.isWhole) return 'it is whole to us and not to Node';
  for (const part of ['body', 'trailers'] as const)
    if (shown(ours[part]) !== shown(node[part]))
      return `the ${part} is ${shown(ours[part])} to us and ${shown(node[part])} to Node`;
  return undefined;
};

/**
 * What we take, Node must take too, and as the same: start line, headers, body, trailers, and where the next message begins. We may
 * give up where Node does not.
 */
export const compare = (ours: Seen, node: Seen): Verdict => {
  for (const [index, message] of ours.messages.entries()) {
    const other = node.messages[index];
    const problem = other
      ? problemOf(message, other, ours.fault !== undefined)
      : `we take it and Node does not: ${node.fault ?? 'it waits for more, or answered by itself'}`;
    if (problem !== undefined) return { kind: 'fault', problem: `message ${index + 1}: ${problem}` };
  }
  const count = ours.messages.length;
  const accepted = ours.messages.filter(({ isWhole }) => isWhole).length;
  if (ours.fault !== undefined) {
    const goesOn = node.messages.length > count || node.messages[accepted]?.isWhole;
    return goesOn ? { kind: 'stricter', reason: ours.fault } : { kind: 'agree', accepted };
  }
  // Bytes of a head that is not whole go nowhere: we will refuse it, or time out.
  if (!ours.isOver && node.messages.length > count)
    return { kind: 'stricter', reason: 'a head that does not end for us' };
  return { kind: 'agree', accepted };
};
