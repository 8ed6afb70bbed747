/**
 * Place name: how a scenario names a function, or a heap, of one of its machines.
 *
 * `13:00.0` where there is one machine, `a/13:00.0` where machines have names. The machine of a
 * scenario that has only one is called "".
 */
export interface PlaceName {
  readonly machine: string;
  /** A PCI address, or `system-heap`. */
  readonly local: string;
}

export function splitPlace(text: string): PlaceName {
  const at = text.indexOf("/");
  return at < 0
    ? { machine: "", local: text }
    : { machine: text.slice(0, at), local: text.slice(at + 1) };
}

export const joinPlace = (machine: string, local: string): string =>
  machine === "" ? local : `${machine}/${local}`;
