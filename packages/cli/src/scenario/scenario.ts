/**
 * Scenario: what `peerbuf run` is asked to do, as a checked value.
 *
 * The schema is the format's definition; `docs/scenario.md` shows it by example. Messages are written
 * for the author of a scenario, who sees them after file, line and field.
 */
import { PAGE_BYTES } from "@peerbuf/core";
import { z } from "zod";
import { formatSize, parseSize } from "./size.ts";

/** Most transfers in one scenario. */
export const TRANSFERS_MAX = 256;
/** Largest buffer, in bytes. */
export const BUFFER_BYTES_MAX: number = 2 ** 30;
/** What the exporter without a device is called. */
export const SYSTEM_HEAP = "system-heap";
/** Size of a drive's namespace unless the scenario says otherwise, in bytes. */
export const NAMESPACE_BYTES_DEFAULT: number = 64 * 2 ** 20;
const SEED_MAX = 2 ** 32 - 1;

/** Where a buffer is to lie in a GPU's VRAM: shown by the BAR, behind it, or anywhere. */
export type VramPlace = "visible" | "hidden" | "any";

export type Operation = "nvme-write" | "nvme-read" | "nvme-write-read" | "rdma-write" | "rdma-read";

/** What an importer's driver makes of peer memory. */
export interface PeerChoice {
  readonly peerToPeer?: "accept" | "decline" | "require" | undefined;
  readonly peerSegmentsMax?: number | undefined;
}

/** What stands behind a captured function. Sizes in bytes. */
export type DeviceChoice =
  | { readonly model: "gpu"; readonly vram?: number | undefined }
  | ({ readonly model: "nvme"; readonly namespace?: number | undefined } & PeerChoice)
  | ({ readonly model: "rdma" } & PeerChoice);

export interface BufferPlan {
  /** Bytes, whole pages. */
  readonly size: number;
  /** These three: of a GPU's buffers only. */
  readonly place?: VramPlace | undefined;
  readonly shareable?: "anywhere" | "system-only" | undefined;
  readonly compressed?: boolean | undefined;
}

export interface TransferPlan {
  readonly name: string;
  /** A GPU, or `system-heap`. */
  readonly exporter: string;
  readonly buffer: BufferPlan;
  readonly importer: string;
  readonly operation: Operation;
  /** RDMA only: the other NIC, and where it puts the bytes. Left out: loop-back into the system heap. */
  readonly remote?:
    | {
        readonly importer: string;
        readonly exporter: string;
        readonly place?: VramPlace | undefined;
      }
    | undefined;
  readonly data?: { readonly seed: number } | undefined;
}

const ROOT_COMPLEXES = [
  "forwards",
  "same-host-bridge",
  "writes-only",
  "none",
  "corrupts-until-pass-through",
] as const;
const DMA_PLATFORMS = ["direct", "iommu", "iommu-lazy", "pass-through", "swiotlb"] as const;

export interface MachinePlan {
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
  readonly seed?: number | undefined;
}

export interface Scenario {
  /** A path from the scenario's folder, or the name of an embedded capture. */
  readonly capture?: string | undefined;
  readonly kernel?: string | undefined;
  /** `assume-p2p`: what topology rules out is tried all the same, to see what the machine does with it. */
  readonly trust?: "rules" | "assume-p2p" | undefined;
  readonly machine?: MachinePlan | undefined;
  /** By PCI address. */
  readonly devices: Readonly<Record<string, DeviceChoice>>;
  readonly transfers: readonly TransferPlan[];
}

/** An object whose unknown fields are refused with the list of those it has. */
function section<Shape extends z.ZodRawShape>(shape: Shape): z.ZodObject<Shape, z.core.$strict> {
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === "unrecognized_keys"
        ? `unknown field ${issue.keys.map((key) => `"${key}"`).join(", ")}, expected ${Object.keys(shape).join(", ")}`
        : undefined,
  });
}

const sizeBytes = (atLeast: number, atMost: number, step: number) =>
  z
    .union([z.int(), z.string()], { error: "expected a size such as 65536 or 64 KiB" })
    .transform((value, context) => {
      const bytes = typeof value === "number" ? value : parseSize(value);
      if (bytes === undefined) {
        context.addIssue({ code: "custom", message: `"${value}" is no size such as 64 KiB` });
        return z.NEVER;
      }
      if (bytes < atLeast || bytes > atMost || bytes % step !== 0) {
        const message = `${value} is not a multiple of ${formatSize(step)} from ${formatSize(atLeast)} to ${formatSize(atMost)}`;
        context.addIssue({ code: "custom", message });
        return z.NEVER;
      }
      return bytes;
    });

const TIB = 2 ** 40;
const MIB = 2 ** 20;
const seed = z.int({ error: "expected a whole number" }).min(0).max(SEED_MAX);
const deviceName = z.string({ error: 'expected a PCI address such as "13:00.0"' }).min(1);
const kernel = z.string({ error: 'expected a kernel version in quotes, such as "6.12"' });

const memory = section({
  perNode: z
    .union([sizeBytes(MIB, TIB, MIB), z.array(sizeBytes(MIB, TIB, MIB)).min(1)], {
      error: "expected a size in whole MiB up to 1 TiB, or a list with one for each node",
    })
    .optional(),
  pages: z.enum(["packed", "scattered"]).optional(),
});

const machine = section({
  memory: memory.optional(),
  rootComplex: z.enum(ROOT_COMPLEXES).optional(),
  dma: z.enum(DMA_PLATFORMS).optional(),
  busOffset: z.record(z.string(), z.int().min(0)).optional(),
  acsControl: z.record(z.string(), z.int().min(0).max(0x7f)).optional(),
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
      ...peer,
    }),
    section({ model: z.literal("rdma"), ...peer }),
  ],
  { error: "expected a model: gpu, nvme or rdma" },
);

const buffer = section({
  size: sizeBytes(PAGE_BYTES, BUFFER_BYTES_MAX, PAGE_BYTES),
  place: z.enum(["visible", "hidden", "any"]).optional(),
  shareable: z.enum(["anywhere", "system-only"]).optional(),
  compressed: z.boolean().optional(),
});

const remote = section({
  importer: deviceName,
  exporter: deviceName,
  place: z.enum(["visible", "hidden", "any"]).optional(),
});

const transfer = section({
  name: z
    .string()
    .min(1)
    .max(80)
    .regex(/^\P{Cc}*$/u, "expected one line, without control characters"),
  exporter: deviceName,
  buffer,
  importer: deviceName,
  operation: z.enum(["nvme-write", "nvme-read", "nvme-write-read", "rdma-write", "rdma-read"]),
  remote: remote.optional(),
  data: section({ seed }).optional(),
});

export const scenarioShape: z.ZodType<Scenario> = section({
  capture: z.string().min(1).optional(),
  kernel: kernel.optional(),
  trust: z.enum(["rules", "assume-p2p"]).optional(),
  machine: machine.optional(),
  devices: z.record(z.string(), device),
  transfers: z
    .array(transfer)
    .min(1, "expected at least one transfer")
    .max(TRANSFERS_MAX, `expected at most ${TRANSFERS_MAX} transfers`),
});
