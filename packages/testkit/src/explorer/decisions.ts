/**
 * Decisions: the one source of everything in a run that is not determined.
 *
 * Which actor goes on, which event of several that are ready comes first, whether a fault happens, how
 * large a transfer is: all of it is asked here and nowhere else. The same answers give the same run.
 */
export interface Decisions {
  /**
   * A whole number from 0 to `count` - 1. `label` says for people what hangs on it. By convention 0 is the
   * plain answer: no fault, go on with the same actor, the smallest size.
   */
  choose(count: number, label: string): number;
}
