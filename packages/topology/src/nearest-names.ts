/**
 * Nearest names: what a person may have meant by a name that does not exist.
 *
 * Compares by edit distance, which catches a slipped digit as well as a missing domain.
 */

/** Suggestions given at most. */
const NAME_COUNT_MAX = 5;
/** Longer than any BDF; what is longer was not meant as one. */
const NAME_LENGTH_MAX = 64;

/** The names nearest to `wanted`, nearest first, at most five. Ties keep the order of `names`. */
export function nearestNames(wanted: string, names: readonly string[]): string[] {
  const target = wanted.toLowerCase().slice(0, NAME_LENGTH_MAX);
  return names
    .map((name) => ({ name, distance: editDistance(target, name) }))
    .sort((one, other) => one.distance - other.distance)
    .slice(0, NAME_COUNT_MAX)
    .map(({ name }) => name);
}

/** Levenshtein distance, one row at a time. */
function editDistance(one: string, other: string): number {
  let previous = Array.from({ length: other.length + 1 }, (_, column) => column);
  for (let row = 1; row <= one.length; row++) {
    const current = [row];
    for (let column = 1; column <= other.length; column++) {
      const substitution =
        (previous[column - 1] as number) + (one[row - 1] === other[column - 1] ? 0 : 1);
      const insertion = (current[column - 1] as number) + 1;
      const deletion = (previous[column] as number) + 1;
      current.push(Math.min(substitution, insertion, deletion));
    }
    previous = current;
  }
  return previous[other.length] as number;
}
