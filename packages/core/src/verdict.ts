/**
 * Path verdict: what topology says about one ordered pair of devices.
 *
 * The provider owns the memory, the client issues the reads and writes. Core only carries the
 * verdict; the rules that make it live in `@peerbuf/topology` and are handed in as a `Judge`.
 */

/**
 * Linux's P2PDMA map types (drivers/pci/p2pdma.c, 6.12), plus `unknown` where the inputs do not say:
 * - `bus-addr`: the traffic turns round below the root complex; the client is given bus addresses.
 * - `host-bridge`: the traffic goes up to the root complex; map it like ordinary memory.
 * - `unsupported`: must not be mapped.
 */
export type PathType = "bus-addr" | "host-bridge" | "unsupported" | "unknown";

/** May traffic of this kind be mapped? */
export const usable = (type: PathType): boolean => type === "bus-addr" || type === "host-bridge";

/** Why, as data: a code, the function it is about, and what was found there. */
export interface PathReason {
  readonly code: string;
  /** The function (BDF) at which the reason stands; left out when it concerns the whole machine. */
  readonly at?: string;
  /** One sentence a person can read. */
  readonly text: string;
}

export interface PathVerdict {
  /** For reads by the client. */
  readonly reads: PathType;
  /** For writes by the client. The 6.12 rules give both the same answer; root complexes do not always. */
  readonly writes: PathType;
  /** Hops as the kernel counts them; -1 where no count is possible. */
  readonly distance: number;
  /** The slowest link of the path, bytes a second after line coding; left out when a link's speed or width is unknown. */
  readonly bytesPerSecond?: number;
  readonly reasons: readonly PathReason[];
}

/** Stage 2 of every negotiation: asked once per attach, so an implementation should answer from a table. */
export interface Judge {
  /** The rules' name for the record, e.g. `linux-6.12`. */
  readonly name: string;
  judge(providerId: string, clientId: string): PathVerdict;
}
