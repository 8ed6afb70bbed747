/**
 * Diagnosis shapes: the JSON of `explain` and `doctor`, as schemas.
 *
 * Stable as all shapes are: a field may be added, none is renamed or removed.
 */
import { z } from "zod";
import { bdf, labelled, pathType, reasons } from "./shape-atoms.ts";

const acsBits = z.array(z.string());

const answer = z.enum(["yes", "no", "unknown"]);
const pairName = z.strictObject({ provider: bdf, client: bdf });
const acsChange = z.strictObject({ at: bdf, controlBefore: z.int(), controlAfter: z.int() });

/** A change that would help; what it promises is computed by judging the changed machine. */
const fix = z.strictObject({
  kind: z.string(),
  text: z.string(),
  /** Alternatives, each with the exact text to type. */
  steps: z.array(
    z.strictObject({
      by: z.enum(["shell", "grub", "systemd-boot", "grubby"]),
      where: z.string(),
      lines: z.array(z.string()),
      lasts: z.enum(["until-reboot", "permanent"]),
      note: z.string().optional(),
    }),
  ),
  acsChanges: z.array(acsChange),
  moves: z.array(
    z.strictObject({
      functions: z.array(z.strictObject({ from: bdf, to: bdf })),
      port: bdf,
    }),
  ),
  effect: z
    .strictObject({
      changes: z.array(z.strictObject({ ...pairName.shape, before: pathType, after: pathType })),
      changedCount: z.int(),
      improvedCount: z.int(),
      worsenedCount: z.int(),
      before: z.record(pathType, z.int()),
      after: z.record(pathType, z.int()),
    })
    .optional(),
  cost: z.strictObject({
    text: z.string(),
    mergedGroups: z
      .array(z.strictObject({ members: z.array(bdf), from: z.array(z.array(bdf)) }))
      .optional(),
  }),
  isPromised: z.boolean(),
});

const direction = z.strictObject({
  verdict: pathType,
  /** Does the hardware carry it, whoever maps it? */
  hardware: answer,
  text: z.string(),
  source: z.string(),
});
const translation = z.looseObject({ isTranslated: answer });
const driverRule = z.strictObject({ driver: z.string(), text: z.string(), source: z.string() });
const linkState = z.strictObject({
  at: bdf,
  port: bdf,
  speedMtps: z.int(),
  width: z.int(),
  speedMaxMtps: z.int(),
  widthMax: z.int(),
  isNarrow: z.boolean(),
  isSlow: z.boolean(),
  mayBeIdle: z.boolean(),
});

/** `peerbuf explain --json`. */
export const explainShape: z.ZodType = z.strictObject({
  kernel: z.string(),
  provider: z.strictObject(labelled),
  client: z.strictObject(labelled),
  type: pathType,
  distance: z.int().min(-1),
  reasons,
  hops: z.array(
    z.strictObject({
      ...labelled,
      role: z.enum(["provider", "client", "bridge", "common"]),
      acs: z.union([
        z.enum(["absent", "unknown"]),
        z.strictObject({ capability: acsBits, control: acsBits }),
      ]),
      redirects: z.enum(["yes", "no", "unknown"]),
    }),
  ),
  rootBuses: z.array(z.string()),
  remedies: z.array(
    z.strictObject({
      kind: z.enum(["clear-acs", "move", "capture", "limit"]),
      text: z.string(),
      changes: z.array(acsChange),
      /** The verdict after the changes, where they can be tried on the model. */
      result: pathType.optional(),
    }),
  ),
  /** Facts on which an unknown verdict hangs, and what it would be either way. */
  hangsOn: z.array(
    z.strictObject({
      fact: z.string(),
      at: z.string().optional(),
      outcomes: z.array(z.strictObject({ value: z.string(), types: z.array(pathType) })),
      text: z.string(),
    }),
  ),
  possible: answer,
  /** "No" with reasons also where it is possible. */
  advised: z.strictObject({ answer, reasons: z.array(z.string()) }),
  reads: direction,
  writes: direction,
  /** Functions whose redirect counts for this pair. */
  redirecting: z.array(bdf),
  /** As NCCL and nvidia-smi call it; left out where the capture does not show it. */
  pathClass: z.string().optional(),
  crossesSockets: answer,
  translation: z.strictObject({ provider: translation, client: translation, isMet: answer }),
  /** What the two drivers make of the verdict, where one is bound and known. */
  drivers: z.strictObject({ provider: driverRule.optional(), client: driverRule.optional() }),
  /** How much of the provider's memory peers can address. */
  reach: z
    .strictObject({
      index: z.int(),
      sizeBytes: z.number().optional(),
      sizesSupported: z.array(z.number()).optional(),
      isAssigned: z.boolean(),
      limit: z.string(),
    })
    .optional(),
  /** Links of the way that run below what both ends can. */
  links: z.array(linkState),
  bandwidth: z.strictObject({ bytesPerSecond: z.number(), at: bdf, text: z.string() }).optional(),
  fixes: z.array(fix),
});

const pairCounts = {
  "bus-addr": z.int(),
  "host-bridge": z.int(),
  unsupported: z.int(),
  unknown: z.int(),
};

/** `peerbuf doctor --json`. */
export const doctorShape: z.ZodType = z.strictObject({
  kernel: z.string(),
  source: z.string(),
  /** What the capture is, e.g. `lspci -vvv`. */
  format: z.string(),
  /** The first line that people get. */
  answer: z.string(),
  /** The functions looked at. */
  devices: z.array(z.strictObject({ ...labelled, name: z.string() })),
  /** Ordered pairs whose provider has memory to share, by the kernel's verdict. */
  pairs: z.strictObject({ count: z.int(), ...pairCounts }),
  /** The most important first. */
  findings: z.array(
    z.strictObject({
      code: z.string(),
      severity: z.enum(["blocks", "open", "slows", "note"]),
      /** BDFs or root buses to blame; empty for the whole machine. */
      at: z.array(z.string()),
      text: z.string(),
      source: z.string(),
      /** Not all where there are many; `pairCount` counts all. */
      pairs: z.array(pairName),
      pairCount: z.int(),
      fixes: z.array(fix),
    }),
  ),
  /** Facts that a capture of this format cannot hold, with commands that supply them. */
  missing: z.array(z.strictObject({ fact: z.string(), command: z.string() })),
  /** What captures that were given together say differently. */
  contradictions: z.array(
    z.strictObject({
      fact: z.string(),
      at: z.string().optional(),
      values: z.array(z.strictObject({ source: z.string(), value: z.string() })),
    }),
  ),
});
