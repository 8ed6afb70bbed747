/**
 * Shapes: the JSON that each command prints, as schemas.
 *
 * Stable: a field may be added, none is renamed or removed. Tests hold every real output against them.
 */
import { z } from "zod";
import { bdf, labelled, pathType, reasons } from "./shape-atoms.ts";

/** `peerbuf matrix --json`. */
export const matrixShape: z.ZodType = z.strictObject({
  kernel: z.string(),
  pairs: z.array(
    z.strictObject({
      provider: bdf,
      client: bdf,
      type: pathType,
      /** Hops as the kernel counts them, also for unsupported pairs; -1 where no count is possible. */
      distance: z.int().min(-1),
      reasons,
    }),
  ),
});

/** `peerbuf matrix --compare-kernel --json`. */
export const comparisonShape: z.ZodType = z.strictObject({
  kernel: z.string(),
  comparedKernel: z.string(),
  changes: z.array(
    z.strictObject({ provider: bdf, client: bdf, before: pathType, after: pathType }),
  ),
});

const treeNode: z.ZodType = z.strictObject({
  kind: z.enum(["machine", "numa", "root-bus", "bridge", "device"]),
  numaNode: z.int().min(0).optional(),
  /** `dddd:bb`. */
  rootBus: z.string().optional(),
  /** Bridges. */
  bdf: bdf.optional(),
  label: z.string().optional(),
  /** Devices: more than one where alike functions on one bus are folded. */
  functions: z.array(z.strictObject({ ...labelled, name: z.string() })).optional(),
  get children() {
    return z.array(treeNode);
  },
});

/** `peerbuf topo --json`. */
export const topoShape: z.ZodType = z.strictObject({
  kernel: z.string(),
  /** Functions that reach each other below the root complex, two or more in each. */
  groups: z.array(z.strictObject({ name: z.string(), functions: z.array(bdf) })),
  tree: treeNode,
});

const pairCounts = z.record(pathType, z.int());

/** `peerbuf fleet --json`. */
export const fleetShape: z.ZodType = z.strictObject({
  kernel: z.string(),
  machineCount: z.int(),
  /** Largest first. */
  groups: z.array(
    z.strictObject({
      number: z.int().min(1),
      members: z.array(z.string()),
      digest: z.strictObject({
        key: z.string(),
        cpu: z.string(),
        kernelRelease: z.string(),
        devices: z.record(z.string(), z.int()),
        /** None is shown, and there may be some. */
        isOpen: z.boolean(),
        pairs: pairCounts,
      }),
      kernelReleases: z.array(z.string()),
      /** The larger group that it was meant to be; left out where there is none. */
      like: z
        .strictObject({
          group: z.int().min(1),
          differences: z.array(
            z.strictObject({
              /** PCI address, "" for the machine as a whole. */
              at: z.string(),
              what: z.string(),
              here: z.string(),
              there: z.string(),
            }),
          ),
          pairs: z.array(
            z.strictObject({
              provider: z.string(),
              client: z.string(),
              here: pathType,
              there: pathType,
            }),
          ),
        })
        .optional(),
    }),
  ),
  unreadable: z.array(z.strictObject({ name: z.string(), message: z.string() })),
});

/** `peerbuf capture --json`. */
export const captureShape: z.ZodType = z.strictObject({
  file: z.string(),
  bytes: z.int(),
  functionCount: z.int(),
  /** Functions of which only the header could be read, as without root. */
  headerOnlyCount: z.int(),
  redacted: z.boolean(),
  notReadable: z.array(z.strictObject({ fact: z.string(), command: z.string() })),
});

/** `peerbuf bench --json`. */
export const benchShape: z.ZodType = z.strictObject({
  machine: z.strictObject({
    cpu: z.string(),
    cores: z.int(),
    memoryBytes: z.number(),
    node: z.string(),
    platform: z.string(),
  }),
  results: z.array(
    z.strictObject({
      name: z.string(),
      unit: z.string(),
      value: z.number(),
      baseline: z.strictObject({ name: z.string(), value: z.number() }).optional(),
      /** How many times better than the baseline; for copies the part of its bandwidth. */
      ratio: z.number().optional(),
      bar: z
        .strictObject({ ratio: z.string().optional(), value: z.string().optional() })
        .optional(),
      ok: z.boolean(),
    }),
  ),
});
