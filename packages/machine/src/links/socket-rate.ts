/**
 * Socket rate: what the link between two processor packages carries for devices, in one direction.
 *
 * The figures are those NVIDIA's NCCL plans with (src/graph/topo.h, 2026: SKL_QPI_BW, SRP_QPI_BW,
 * ERP_QPI_BW, AMD_ZEN12_BW, AMD_ZEN34_BW, AMD_ZEN5_BW), as no processor maker publishes one for peer
 * traffic. A processor that is not in the table has no limit here: it is not known.
 */
import type { MachineFacts } from "@peerbuf/topology";

interface SocketRow {
  readonly vendor: string;
  readonly family: number;
  /** The first model it holds for. */
  readonly model: number;
  readonly bytesPerNs: number;
}

/** Newest first within a vendor. */
const ROWS: readonly SocketRow[] = [
  { vendor: "GenuineIntel", family: 6, model: 0xcf, bytesPerNs: 40 }, // Emerald Rapids
  { vendor: "GenuineIntel", family: 6, model: 0x8f, bytesPerNs: 22 }, // Sapphire Rapids
  { vendor: "GenuineIntel", family: 6, model: 0x55, bytesPerNs: 10 }, // Skylake
  { vendor: "GenuineIntel", family: 6, model: 0, bytesPerNs: 6 }, // Broadwell and before
  { vendor: "AuthenticAMD", family: 0x1a, model: 0, bytesPerNs: 32 }, // Zen 5
  { vendor: "AuthenticAMD", family: 0x19, model: 0, bytesPerNs: 24 }, // Zen 3 and 4
  { vendor: "AuthenticAMD", family: 0x17, model: 0, bytesPerNs: 16 }, // Zen 1 and 2
];

/** A node this near or nearer is in the same package: 10 is itself, 12 what firmware gives to its other dies. */
const SAME_PACKAGE_DISTANCE_MAX = 12;

/** `undefined`: not known. */
export function socketBytesPerNs({ cpu }: MachineFacts): number | undefined {
  if (cpu?.family === undefined) {
    return undefined;
  }
  const { vendor, family, model = 0 } = cpu;
  return ROWS.find((row) => row.vendor === vendor && row.family === family && model >= row.model)
    ?.bytesPerNs;
}

/** Do bytes between these NUMA nodes go from package to package? Not when either is not known. */
export function crossesSockets({ numaNodes }: MachineFacts, from: number, to: number): boolean {
  if (from < 0 || to < 0 || from === to) {
    return false;
  }
  const one = numaNodes.find(({ id }) => id === from);
  const other = numaNodes.findIndex(({ id }) => id === to);
  const target = numaNodes[other];
  if (one?.socket !== undefined && target?.socket !== undefined) {
    return one.socket !== target.socket;
  }
  return (one?.distances[other] ?? Number.POSITIVE_INFINITY) > SAME_PACKAGE_DISTANCE_MAX;
}
