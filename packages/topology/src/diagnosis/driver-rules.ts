/**
 * Driver rules: what a bound driver makes of the kernel's verdict.
 *
 * The verdict is a hint to an exporter and a hard refusal at map time; drivers differ in what they do in
 * between. Facts are of 6.12, except where the text says so. A driver that is not in the table may do anything.
 */
import type { Topology } from "../topology.ts";

export interface DriverRule {
  readonly driver: string;
  readonly text: string;
  readonly source: string;
}

const DISTANCE = "drivers/pci/p2pdma.c callers, Linux 6.12";

/** By driver: as the one whose memory is shared, and as the one who reads and writes it. */
const RULES: Readonly<
  Record<string, { readonly provider?: string; readonly client?: string; readonly source: string }>
> = {
  amdgpu: {
    provider:
      "asks the kernel at attach; when refused it takes P2P off the attachment and moves the buffer to system memory at map: it works, slower, and says nothing",
    source: DISTANCE,
  },
  xe: {
    provider:
      "asks the kernel at attach; when refused it moves the buffer to system memory, or fails the attach with EOPNOTSUPP when the buffer cannot move",
    source: DISTANCE,
  },
  habanalabs: {
    provider:
      "asks the kernel at attach, lets the attach succeed when refused, and fails at map with EPERM",
    source: DISTANCE,
  },
  nvidia: {
    provider:
      "decides by rules of its own, by GPU model as well: nvidia-smi topo -p2p r shows its answer, and OK there is no proof that the data arrive",
    source: "nvidia-smi documentation and public reports",
  },
  nvme: {
    provider: "publishes its controller memory buffer, where the drive has one for data",
    client:
      "takes P2P pages only where the DMA layer supports them; a refused mapping fails the request with EREMOTEIO (critical target error)",
    source: "block layer and drivers/nvme/host, Linux 6.12",
  },
  mlx5_core: {
    client:
      "reaches device memory registered as a dma-buf; registering mapped P2P memory by address fails, as long-term pins of P2P pages are refused",
    source: "mm/gup.c and drivers/infiniband, Linux 6.12",
  },
};

export function driverRuleOf(
  topology: Topology,
  row: number,
  part: "provider" | "client",
): DriverRule | undefined {
  const driver = topology.table.driver[row] as string;
  const rule = Object.hasOwn(RULES, driver) ? RULES[driver] : undefined;
  const text = rule?.[part];
  return rule === undefined || text === undefined
    ? undefined
    : { driver, text, source: rule.source };
}
