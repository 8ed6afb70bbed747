/**
 * Known hardware: root complexes and devices of which it is known how they treat peer traffic.
 *
 * The kernel's table says whom the kernel trusts; drivers that do not ask it (or are forced past it) meet
 * the hardware itself. This table says what then happens, each row with its source. A machine that is in
 * no row is unknown, never "fine".
 */
import { hex } from "../bdf.ts";
import type { Answer } from "../rules/host-bridge.ts";
import { cpuAnswer, hostBridgeOf } from "../rules/host-bridge.ts";
import type { KernelRules } from "../rules/kernel-rules.ts";
import type { RootBus, Topology } from "../topology.ts";

const INTEL = 0x8086;
const AMD = 0x1002;
const CLASS_HOST_BRIDGE = 0x0600;

/** What a root complex does with peer requests between its ports. */
export interface RootComplexFact {
  readonly reads: Answer;
  readonly writes: Answer;
  readonly text: string;
  readonly source: string;
}

/** Intel host bridges seen to lose data when the kernel was forced past its refusal, by device id. */
const CORRUPTING_HOST_BRIDGES: ReadonlyMap<number, string> = new Map([
  [0x4c43, "public report intel/compute-runtime#935: a forced copy succeeds with wrong data"],
]);

/** Brands of Intel client processors; Core i7/i9 of the server platform have listed host bridges. */
const INTEL_CLIENT =
  /Core\(TM\)|Core i\d|Core Ultra|Celeron|Pentium|Xeon\(R\) (?:CPU )?(?:E3-|E-2|W-1[23])/;

/** Devices whose memory is the system memory of their own package, not memory behind a BAR. */
const APU_DEVICES: ReadonlyMap<number, string> = new Map([[0x74a0, "AMD Instinct MI300A"]]);

/**
 * How the root complex of one root bus treats peer traffic, as far as anybody has said so.
 * @param isAcross the traffic goes on to another root bus
 */
export function rootComplexFact(
  topology: Topology,
  rules: KernelRules,
  root: RootBus,
  isAcross = false,
): RootComplexFact | undefined {
  if (cpuAnswer(topology, rules) === "yes") {
    return {
      reads: "yes",
      writes: "yes",
      text: "AMD root complexes from Zen on route peer reads and writes",
      source: "kernel history, cpu_supports_p2pdma()",
    };
  }
  const { alone, withOthers } = hostBridgeOf(topology, rules, root);
  if (alone === "yes" && isAcross && withOthers === "no") {
    return {
      reads: "unknown",
      writes: "unknown",
      text: `host bridge ${root.id} is known to route within itself only: crossing to another is slow or fails`,
      source: "kernel history, REQ_SAME_HOST_BRIDGE",
    };
  }
  if (alone === "yes") {
    return {
      reads: "yes",
      writes: "yes",
      text: `host bridge ${root.id} is in the kernel's table of those that route`,
      source: "kernel, pci_p2pdma_whitelist",
    };
  }
  return corruptingFact(topology, root) ?? processorFact(topology);
}

function corruptingFact(topology: Topology, root: RootBus): RootComplexFact | undefined {
  const first = root.functions[0];
  const { vendor, device, classCode } = topology.table;
  if (first === undefined || vendor[first] !== INTEL) {
    return undefined;
  }
  const id = device[first] as number;
  const source = CORRUPTING_HOST_BRIDGES.get(id);
  return source === undefined || (classCode[first] as number) >> 8 !== CLASS_HOST_BRIDGE
    ? undefined
    : {
        reads: "no",
        writes: "unknown",
        text: `host bridge 8086:${hex(id, 4)} was seen to lose peer data without an error: do not force P2P through it`,
        source,
      };
}

function processorFact({ facts }: Topology): RootComplexFact | undefined {
  const { vendor = "", family = 0, modelName = "" } = facts.cpu ?? {};
  if (vendor === "AuthenticAMD" && family > 0 && family < 0x17) {
    return {
      reads: "no",
      writes: "yes",
      text: "AMD root complexes before Zen carry peer writes only",
      source: "kernel history, cpu_supports_p2pdma()",
    };
  }
  return vendor === "GenuineIntel" && INTEL_CLIENT.test(modelName)
    ? {
        reads: "no",
        writes: "yes",
        text: "Intel client root complexes carry peer writes and no peer reads; a lost read leaves no PCIe error",
        source:
          "public reports NVIDIA/open-gpu-kernel-modules#1253, sbates130272/io_peer_mem#1, enfiskutensykkel/ssd-gpu-dma#20",
      }
    : undefined;
}

/** Name of the APU that a function is, undefined for anything else or where it is not known to be one. */
export const apuOf = ({ table }: Topology, row: number): string | undefined =>
  table.vendor[row] === AMD ? APU_DEVICES.get(table.device[row] as number) : undefined;
