/**
 * Machine plan: one machine of a scenario, with what stands behind its functions.
 */
import { PAGE_BYTES } from "@peerbuf/core";
import { z } from "zod";
import { type FaultPlan, faultShape } from "./fault-plan.ts";
import { section, seed, sizeBytes } from "./fields.ts";
import { type LinksPlan, linksShape } from "./links-plan.ts";

/** Size of a drive's namespace unless the scenario says otherwise, in bytes. */
export const NAMESPACE_BYTES_DEFAULT: number = 64 * 2 ** 20;

/** Most faults in one machine. */
const FAULTS_MAX = 64;
const MIB = 2 ** 20;
const TIB = 2 ** 40;

/** What an importer's driver makes of peer memory. */
export interface PeerChoice {
  readonly peerToPeer?: "accept" | "decline" | "require" | undefined;
  readonly peerSegmentsMax?: number | undefined;
}

/** What stands behind a captured function. Sizes in bytes. */
export type DeviceChoice =
  | { readonly model: "gpu"; readonly vram?: number | undefined }
  | ({
      readonly model: "nvme";
      readonly namespace?: number | undefined;
      /** The file on disk that holds the namespace, from the scenario's folder; made if it is not there. */
      readonly file?: string | undefined;
      /** A controller memory buffer in the function's second BAR, which peers reach. */
      readonly memoryBuffer?: boolean | undefined;
    } & PeerChoice)
  | ({ readonly model: "rdma" } & PeerChoice);

const ROOT_COMPLEXES = [
  "forwards",
  "same-host-bridge",
  "writes-only",
  "none",
  "answers-ones",
  "corrupts-until-pass-through",
] as const;
const DMA_PLATFORMS = ["direct", "iommu", "iommu-lazy", "pass-through", "swiotlb"] as const;

/** What the capture does not say of the machine. */
export interface HardwarePlan {
  readonly memory?:
    | {
        /** RAM of each NUMA node in bytes, or one size for all. */
        readonly perNode?: number | readonly number[] | undefined;
        readonly pages?: "packed" | "scattered" | undefined;
      }
    | undefined;
  readonly rootComplex?: (typeof ROOT_COMPLEXES)[number] | undefined;
  /** How devices are given addresses. */
  readonly dma?: (typeof DMA_PLATFORMS)[number] | undefined;
  /** Bus address minus physical address, by root bus (`dddd:bb`). */
  readonly busOffset?: Readonly<Record<string, number>> | undefined;
  /** ACS control registers as somebody left them after the verdicts were made, by PCI address. */
  readonly acsControl?: Readonly<Record<string, number>> | undefined;
  /** PCIe links that are other than captured. */
  readonly links?: LinksPlan | undefined;
  readonly seed?: number | undefined;
}

/** Whom a machine believes: the rules, or somebody who asks nobody. */
export type Trust = "rules" | "assume-p2p" | "assume-bus-addr";

export interface MachinePlan {
  /** A path from the scenario's folder, or the name of an embedded capture. */
  readonly capture?: string | undefined;
  readonly kernel?: string | undefined;
  readonly trust?: Trust | undefined;
  readonly machine?: HardwarePlan | undefined;
  /** By PCI address. */
  readonly devices: Readonly<Record<string, DeviceChoice>>;
  readonly faults?: readonly FaultPlan[] | undefined;
}

const memory = section({
  perNode: z
    .union([sizeBytes(MIB, TIB, MIB), z.array(sizeBytes(MIB, TIB, MIB)).min(1)], {
      error: "expected a size in whole MiB up to 1 TiB, or a list with one for each node",
    })
    .optional(),
  pages: z.enum(["packed", "scattered"]).optional(),
});

const hardware = section({
  memory: memory.optional(),
  rootComplex: z.enum(ROOT_COMPLEXES).optional(),
  dma: z.enum(DMA_PLATFORMS).optional(),
  busOffset: z.record(z.string(), z.int().min(0)).optional(),
  acsControl: z.record(z.string(), z.int().min(0).max(0x7f)).optional(),
  links: linksShape.optional(),
  seed: seed.optional(),
});

const peer = {
  peerToPeer: z.enum(["accept", "decline", "require"]).optional(),
  peerSegmentsMax: z.int().min(0).optional(),
};

const device = z.discriminatedUnion(
  "model",
  [
    section({
      model: z.literal("gpu"),
      vram: sizeBytes(PAGE_BYTES, TIB, PAGE_BYTES).optional(),
    }),
    section({
      model: z.literal("nvme"),
      namespace: sizeBytes(PAGE_BYTES, TIB, PAGE_BYTES).optional(),
      file: z.string().min(1).optional(),
      memoryBuffer: z.boolean().optional(),
      ...peer,
    }),
    section({ model: z.literal("rdma"), ...peer }),
  ],
  { error: "expected a model: gpu, nvme or rdma" },
);

const kernel = z.string({ error: 'expected a kernel version in quotes, such as "6.12"' });

/** The fields of a machine; `devices` apart, because a scenario with several machines has it elsewhere. */
export const machineFields: {
  readonly capture: z.ZodType<string | undefined>;
  readonly kernel: z.ZodType<string | undefined>;
  readonly trust: z.ZodType<Trust | undefined>;
  readonly machine: z.ZodType<HardwarePlan | undefined>;
  readonly faults: z.ZodType<readonly FaultPlan[] | undefined>;
} = {
  capture: z.string().min(1).optional(),
  kernel: kernel.optional(),
  trust: z.enum(["rules", "assume-p2p", "assume-bus-addr"]).optional(),
  machine: hardware.optional(),
  faults: z.array(faultShape).max(FAULTS_MAX, `expected at most ${FAULTS_MAX} faults`).optional(),
};

export const devicesShape: z.ZodType<Readonly<Record<string, DeviceChoice>>> = z.record(
  z.string(),
  device,
);
