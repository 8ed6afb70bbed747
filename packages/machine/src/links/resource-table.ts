/**
 * Resource table: everything that transfers share, with its capacity and its name.
 *
 * Columns in order of creation; an index once given out stays. Two directions of a link stand side by
 * side, so that the other direction of `n` is `n ^ 1`.
 */

/** What it is that is shared. */
export type ResourceKind = "link" | "socket" | "memory" | "peer" | "device";

export interface ResourceName {
  readonly kind: ResourceKind;
  /** For people: a port's BDF, `node 0 to node 1`, a device and its limit. */
  readonly name: string;
  /** Links only: towards the root complex, or away from it. */
  readonly direction?: "up" | "down";
}

export class ResourceTable {
  /** Units a nanosecond: bytes of the wire for links, bytes for memory and sockets, what plans count for devices. */
  readonly capacities: number[] = [];
  readonly names: ResourceName[] = [];

  add(name: ResourceName, perNs: number): number {
    this.names.push(name);
    return this.capacities.push(perNs) - 1;
  }

  /** Both directions; the index of the first, which is even. */
  addPair(first: ResourceName, second: ResourceName, perNs: number): number {
    if (this.capacities.length % 2 === 1) {
      this.add({ kind: "device", name: "unused" }, Number.POSITIVE_INFINITY);
    }
    const index = this.add(first, perNs);
    this.add(second, perNs);
    return index;
  }
}

/** The same link the other way. */
export const otherWay = (resource: number): number => resource ^ 1;
