/**
 * RDMA region: one buffer, registered with a NIC, as its user sees it.
 *
 * Attached for as long as it is registered, since a peer may use its key at any time.
 */
import { PeerbufError, type Reason } from "@peerbuf/core";
import type { Negotiated } from "../negotiated.ts";
import type { RdmaProtectionDomain } from "./protection-domain.ts";
import { ACCESS } from "./registers.ts";

/** What others may do with a region. The NIC itself may always read it. Default: nothing. */
export interface RdmaAccess {
  /** The NIC may write it: as target of its own reads. Implied by `remoteWrite`. */
  readonly localWrite?: boolean;
  readonly remoteWrite?: boolean;
  readonly remoteRead?: boolean;
}

/**
 * What happens when the buffer's memory shall move or be taken away (the three kinds of DMA-buf regions
 * that mlx5 has, Linux 6.12 to 7.1):
 * - `pinned`: nothing can: the memory stays where it is until the region is deregistered. Exporters that
 *   must be able to take their memory away refuse it.
 * - `revocable`: pinned as well, so it does not move; but the exporter may take it away, once and for all.
 * - `on-demand`: it moves, and the NIC follows: an access to memory that is not there waits until it is.
 */
export type RdmaFlavour = "pinned" | "revocable" | "on-demand";

export interface RdmaRegistration extends RdmaAccess {
  /** Default `pinned`. At most 64 `on-demand` regions at a time. */
  readonly flavour?: RdmaFlavour;
  /** Default: the driver's own, which all have who name none. */
  readonly domain?: RdmaProtectionDomain;
}

/** What a peer has to know. Plain data: send it to whoever shall use the region. */
export interface RemoteRegion {
  readonly key: number;
  readonly sizeBytes: number;
}

export interface RdmaRegion extends RemoteRegion, AsyncDisposable {
  readonly flavour: RdmaFlavour;
  /** How it was mapped last. */
  readonly negotiated: Negotiated;
  /** Every mapping that the NIC was given, oldest first: one, or one more for each time an `on-demand` region followed. The last 16 are kept. */
  readonly mappings: readonly Negotiated[];
  /** Why the memory was taken away, for good: own requests are refused (EINVAL), the NIC refuses everybody else's. Only a `revocable` region. */
  readonly revoked: Reason | undefined;
  /** Why the last page fault found no memory; requests that waited for it failed. Only an `on-demand` region; the next access tries again. */
  readonly pageError: PeerbufError | undefined;
  /**
   * Takes the key back and lets the buffer go. Work that still uses it ends with an error. A second
   * time does nothing.
   */
  deregister(): Promise<void>;
}

/** As the NIC wants it. */
export function accessFlags(wanted: RdmaRegistration): number {
  const { localWrite, remoteWrite, remoteRead, flavour } = wanted;
  const write = localWrite === true || remoteWrite === true ? ACCESS.LOCAL_WRITE : 0;
  const remote = remoteWrite === true ? ACCESS.REMOTE_WRITE : 0;
  const onDemand = flavour === "on-demand" ? ACCESS.ON_DEMAND : 0;
  return write | remote | (remoteRead === true ? ACCESS.REMOTE_READ : 0) | onDemand;
}

/** As mlx5 answers to a mapping attempt on a region that was revoked: EINVAL. */
export function revokedError(what: string, { text, code }: Reason): PeerbufError {
  const message = `the region on "${what}" is revoked for good: ${text} [${code}]`;
  return new PeerbufError("MAPPING_STALE", message, { errno: "EINVAL" });
}
