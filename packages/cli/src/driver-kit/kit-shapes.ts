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
    /** Both left out when it was stopped before they were known. */
    name: z.string().optional(),
    role: z.enum(["exporter", "importer"]).optional(),
  }),
  /**
   * `unfinished`: it hung, took too much memory or ended the process; see `stopped`. `interrupted`: a person ended it before
   * anything was found. What was found until then is in the rest.
   */
  outcome: z.enum(["held", "broken", "unfinished", "interrupted"]),
  stopped: z
    .strictObject({
      stage: z.enum(["load", "open", "contract", "explore"]),
      at: z.string(),
      why: z.string(),
    })
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
      /** Over all runs, eight hexadecimal digits: equal wherever the same runs were done. */
      hash: z.string().regex(/^[0-9a-f]{8}$/),
      isComplete: z.boolean(),
      isBroken: z.boolean(),
      /** Why it could not even begin; `schedules` is 0 then. */
      notRun: z.string().optional(),
    }),
  ),
  /** Steps of the protocol that the explored runs have seen, and those that they have not, e.g. `map`, `move`. */
  transitions: z.array(z.string()),
  neverSeen: z.array(z.string()),
  /** Which of them were seen in a row on one buffer, most frequent first. */
  pairs: z.array(z.strictObject({ before: z.string(), now: z.string(), count: z.number() })),
  violations: z.array(violation),
});

/** `peerbuf explore FILE --join URL --json`: what was done for others. */
export const helpReportShape: z.ZodType = z.strictObject({
  driver: z.strictObject({ file: z.string(), export: z.string() }),
  shares: z.number(),
  schedules: z.number(),
});
