/** Guesses what was meant by a name that does not exist. */

/** The candidate with the fewest differing characters, or undefined when each differs in more than `distanceMax`. */
export const nearestOf = (
  name: string,
  candidates: readonly string[],
  distanceMax: number,
): string | undefined => {
  let best: string | undefined;
  let bestDistance = distanceMax + 1;
  for (const candidate of candidates) {
    // The difference in length is a lower bound, and spares most of the work.
    if (Math.abs(candidate.length - name.length) >= bestDistance) continue;
    const distance = distanceBetween(name, candidate);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
};

/** Levenshtein's distance: insertions, deletions and replacements from one text to the other. One row of the table is kept. */
const distanceBetween = (from: string, to: string): number => {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let line = 1; line <= from.length; line++) {
    const above = row;
    row = [line];
    for (let column = 1; column <= to.length; column++) {
      const replaced = above[column - 1]! + (from[line - 1] === to[column - 1] ? 0 : 1);
      row.push(Math.min(replaced, above[column]! + 1, row[column - 1]! + 1));
    }
  }
  return row[to.length]!;
};
