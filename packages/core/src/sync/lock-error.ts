/**
 * Lock error: a refused attempt to lock, with both parties by name.
 *
 * Every way into a deadlock is refused before anybody waits, so the error still knows who holds what.
 */
import { PeerbufError, type PeerbufErrorCode } from "../error.ts";

export interface LockConflict {
  /** Who wanted the lock, and what it holds already. */
  readonly wantedBy: string;
  readonly holding: readonly string[];
  readonly lock: string;
  /** Who holds the lock now; undefined when nobody does. */
  readonly heldBy: string | undefined;
}

export class LockError extends PeerbufError {
  readonly conflict: LockConflict;

  constructor(code: PeerbufErrorCode, conflict: LockConflict, remedy: string) {
    super(code, `${describe(conflict)}: ${remedy}`);
    this.conflict = conflict;
  }
}

function describe({ wantedBy, holding, lock, heldBy }: LockConflict): string {
  const has = holding.length === 0 ? "nothing" : holding.map((name) => `"${name}"`).join(", ");
  const holder = heldBy === undefined ? "free" : `held by "${heldBy}"`;
  return `"${wantedBy}" holds ${has} and wants "${lock}" (${holder})`;
}
