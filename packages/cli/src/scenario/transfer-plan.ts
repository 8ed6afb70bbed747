/**
 * Transfer plan: one transfer of a scenario: whose buffer, who moves it, and where to.
 */
import { PAGE_BYTES } from "@peerbuf/core";
import { z } from "zod";
import { deviceName, section, seed, sizeBytes } from "./fields.ts";

/** Largest buffer, in bytes. */
export const BUFFER_BYTES_MAX: number = 2 ** 30;
/** What the exporter without a device is called. */
export const SYSTEM_HEAP = "system-heap";

/** Where a buffer is to lie in a GPU's VRAM: shown by the BAR, behind it, or anywhere. */
export type VramPlace = "visible" | "hidden" | "any";

export type Operation = "nvme-write" | "nvme-read" | "nvme-write-read" | "rdma-write" | "rdma-read";

export interface BufferPlan {
  /** Bytes, whole pages. */
  readonly size: number;
  /** These three: of a GPU's buffers only. */
  readonly place?: VramPlace | undefined;
  readonly shareable?: "anywhere" | "system-only" | undefined;
  readonly compressed?: boolean | undefined;
}

/** The other end of an RDMA transfer. */
export interface RemotePlan {
  /** Its NIC. */
  readonly importer: string;
  /** Where it puts the bytes: a GPU, a drive's memory buffer, or a heap. */
  readonly exporter: string;
  readonly place?: VramPlace | undefined;
  /** The drive that then writes them to its medium. */
  readonly drive?: string | undefined;
}

export interface TransferPlan {
  readonly name: string;
  /** A GPU, a drive with a memory buffer, or a heap. */
  readonly exporter: string;
  readonly buffer: BufferPlan;
  readonly importer: string;
  readonly operation: Operation;
  /** RDMA only. Left out: loop-back into the system heap. */
  readonly remote?: RemotePlan | undefined;
  readonly data?: { readonly seed: number } | undefined;
  /** Virtual time after which it is ended; 120 s unless told. */
  readonly limitNs?: number | undefined;
}

/** A day. */
const LIMIT_NS_MAX = 86_400e9;

const place = z.enum(["visible", "hidden", "any"]);

const buffer = section({
  size: sizeBytes(PAGE_BYTES, BUFFER_BYTES_MAX, PAGE_BYTES),
  place: place.optional(),
  shareable: z.enum(["anywhere", "system-only"]).optional(),
  compressed: z.boolean().optional(),
});

const remote = section({
  importer: deviceName,
  exporter: deviceName,
  place: place.optional(),
  drive: deviceName.optional(),
});

export const transferShape: z.ZodType<TransferPlan> = section({
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
  limitNs: z.number().positive().max(LIMIT_NS_MAX).optional(),
});
