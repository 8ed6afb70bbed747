/**
 * Link options: what a machine's links can do where no capture says it.
 *
 * The rule for everything that was not captured: it takes no time, and is never guessed. The defaults
 * here are facts of their own, with their source; what a harness knows better it says.
 */
import { InputError } from "@peerbuf/core";

/** Megatransfers a second (2500 to 64000) and lanes. */
export interface LinkSpeed {
  readonly speedMtps: number;
  readonly width: number;
}

export interface LinkOptions {
  /**
   * How fast a captured link is: as it was negotiated when it was captured (`captured`, the default), or as fast as both its
   * ends can (`capable`). GPUs let their links fall to 2.5 GT/s while they idle, and most captures are of idle machines.
   */
  readonly speed?: "captured" | "capable";
  /**
   * Links that are other than captured, by BDF of the function at the lower end (a device or a switch's upstream port) or of
   * the port above: e.g. of an emulated machine whose every link says 2.5 GT/s with one lane.
   */
  readonly byFunction?: Readonly<Record<string, LinkSpeed>>;
  /** Stands in for links whose speed or width was not captured. Without it such a link takes no time. */
  readonly assumed?: LinkSpeed;
  /** Largest payload of a packet where Device Control was not captured: 128 to 4096. Default 256, what most devices can. */
  readonly payloadBytes?: number;
  /** Largest read request where Device Control was not captured: 128 to 4096. Default 512, the register's reset value (PCIe 7.5.3.4). */
  readonly readRequestBytes?: number;
  /**
   * Payload of the packets in which the root complex passes peer requests and their completions on. Default: as they
   * came; 64 where the processors are Intel's (NVIDIA NCCL, src/graph/topo.h: "Intel CPU convert GPU P2P traffic into
   * 64B PCI TLPs").
   */
  readonly peerPayloadBytes?: number;
  /** Payload of the completions in which RAM answers reads. Default 128: see docs/machine.md for the figure that sets it. */
  readonly memoryCompletionBytes?: number;
  /** RAM of each NUMA node, bytes a nanosecond for reads and writes together. Default: no limit. */
  readonly memoryBytesPerNs?: number;
  /** What each host bridge passes on from device to device, bytes a nanosecond. Default: no limit. */
  readonly peerBytesPerNs?: number;
  /** From processor package to processor package, bytes a nanosecond in each direction. Default: by processor, or no limit. */
  readonly socketBytesPerNs?: number;
}

export const PAYLOAD_BYTES_DEFAULT = 256;
export const READ_REQUEST_BYTES_DEFAULT = 512;
export const MEMORY_COMPLETION_BYTES_DEFAULT = 128;
export const INTEL_PEER_PAYLOAD_BYTES = 64;

/**
 * Through a switch, from x16 port to x16 port (Broadcom's figure for the PEX88000, Linley Newsletter of
 * 24 September 2019; 115 ns for its successor).
 */
export const SWITCH_NS = 105;

/**
 * Through a root complex, in one direction: half of the 547 ns in which a 64-byte read of a device comes back
 * from memory (Neugebauer et al., "Understanding PCIe performance for end host networking", SIGCOMM 2018,
 * median on a Xeon E5).
 */
export const ROOT_COMPLEX_NS = 273;

const PAYLOADS: readonly number[] = [64, 128, 256, 512, 1024, 2048, 4096];

/** `InputError` for what is no rate or no payload of PCIe. */
export function checkedLinkOptions(options: LinkOptions): LinkOptions {
  for (const name of ["memoryBytesPerNs", "peerBytesPerNs", "socketBytesPerNs"] as const) {
    const rate = options[name];
    require(rate === undefined ||
      rate > 0, name, rate, "State a rate above 0 in bytes a nanosecond");
  }
  const payloads = [
    "payloadBytes",
    "readRequestBytes",
    "peerPayloadBytes",
    "memoryCompletionBytes",
  ] as const;
  for (const name of payloads) {
    const size = options[name];
    const isSize = size === undefined || PAYLOADS.includes(size);
    require(isSize, name, size, `State one of ${PAYLOADS.join(", ")} bytes`);
  }
  for (const [bdf, link] of Object.entries(options.byFunction ?? {})) {
    requireLink(link, `byFunction ${bdf}`);
  }
  if (options.assumed !== undefined) {
    requireLink(options.assumed, "assumed");
  }
  return options;
}

function requireLink({ speedMtps, width }: LinkSpeed, place: string): void {
  const isLink =
    Number.isFinite(speedMtps) && speedMtps > 0 && Number.isInteger(width) && width > 0;
  const remedy = "State megatransfers a second, such as 16000, and lanes, such as 16";
  require(isLink, place, `${speedMtps} x${width}`, remedy);
}

function require(holds: boolean, place: string, found: unknown, remedy: string): void {
  if (!holds) {
    throw new InputError({ source: "links", place, cause: `${found} means nothing here`, remedy });
  }
}
