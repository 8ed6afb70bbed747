/**
 * Wishes: the options a user states when allocating.
 *
 * A wish that nobody knows is a typing error that would go unnoticed, so drivers refuse it by name.
 */
import { type AllocateOptions, PeerbufError } from "@peerbuf/core";

export function refuseUnknown(
  wishes: AllocateOptions,
  known: readonly string[],
  driver: string,
): void {
  const unknown = Object.keys(wishes).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    const list = known.length === 0 ? "none" : known.join(", ");
    throw new PeerbufError("ARGUMENT_INVALID", `${driver} knows no option "${unknown}": ${list}`);
  }
}

/** The wish, or `fallback` when it was not stated; anything but one of `allowed` is refused. */
export function oneOf<T extends string | boolean>(
  wishes: AllocateOptions,
  name: string,
  allowed: readonly T[],
  fallback: T,
): T {
  const wish = wishes[name] ?? fallback;
  const found = allowed.find((each) => each === wish);
  if (found === undefined) {
    const list = allowed.join(", ");
    throw new PeerbufError("ARGUMENT_INVALID", `option "${name}" is ${wish}: use one of ${list}`);
  }
  return found;
}
