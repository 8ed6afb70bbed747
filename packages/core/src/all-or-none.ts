/**
 * All or none: for drivers that need several things at once, such as the rings of a queue pair.
 *
 * A device may have memory for the first and none for the second; what was taken before a refusal is given
 * back before the refusal goes on.
 */

/** What `makers` make, in order. When one throws, `giveBack` is called for what there is, last first, and it is thrown on. */
export function allOrNone<T>(makers: readonly (() => T)[], giveBack: (made: T) => void): T[] {
  const made: T[] = [];
  try {
    for (const make of makers) {
      made.push(make());
    }
    return made;
  } catch (error) {
    for (const each of made.reverse()) {
      giveBack(each);
    }
    throw error;
  }
}
