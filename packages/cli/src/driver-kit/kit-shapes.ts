/** Kit shapes: the JSON of `peerbuf check` and `peerbuf explore`. */
import { z } from "zod";

const violation = z.strictObject({
  /** Stable: docs/contract.md. */
  rule: z.string().regex(/^(EXP|IMP|PLT|SYN)-\d{3}$/),
  ruleText: z.string(),
  source: z.string(),
  subject: z.string(),
  text: z.string(),
  /** The check or scenario. */
  in: z.string(),
  by: z.enum(["contract", "explorer"]),
  actor: z.string(),
  step: z.number(),
  token: z.string().optional(),
  story: z.array(z.string()).optional(),
});

/** `peerbuf check --json` and `peerbuf explore --json`; `checks` is empty for the latter. */
export const driverReportShape: z.ZodType = z.strictObject({
  driver: z.strictObject({
    file: z.string(),
    export: z.string(),
    name: z.string(),
    role: z.enum(["exporter", "importer"]),
  }),
  /** `unfinished`: it hung, took too much memory or ended the process; see `stopped`. */
  outcome: z.enum(["held", "broken", "unfinished"]),
  stopped: z
    .strictObject({ stage: z.enum(["contract", "explore"]), at: z.string(), why: z.string() })
    .optional(),
  seed: z.number(),
  checks: z.array(
    z.strictObject({
      name: z.string(),
      rules: z.array(z.string()),
      outcome: z.enum(["held", "broken", "not claimed"]),
    }),
  ),
  explored: z.array(
    z.strictObject({
      scenario: z.string(),
      schedules: z.number(),
      isComplete: z.boolean(),
      isBroken: z.boolean(),
    }),
  ),
  /** What was exercised at least once, e.g. `map > move`. */
  transitions: z.array(z.string()),
  violations: z.array(violation),
});
