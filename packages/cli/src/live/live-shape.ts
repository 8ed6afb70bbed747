/** Live shape: the JSON of `peerbuf run --live`, as a schema. Names mean what they mean in `runShape`. */
import { z } from "zod";
import type { LiveRun } from "./live-run.ts";
import type { LiveTransfer } from "./live-transfer.ts";

const hash = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .nullable();

/** `peerbuf run --live --json`. */
export const liveRunShape: z.ZodType = z.strictObject({
  memory: z.enum(["dma-heap", "udmabuf", "memfd"]),
  transfers: z.array(
    z.strictObject({
      name: z.string(),
      provider: z.string(),
      client: z.string(),
      state: z.enum(["arrived", "attached", "declined", "failed"]),
      target: z.string().nullable(),
      route: z.string().nullable(),
      bytes: z.int(),
      sha256: z.strictObject({ source: hash, destination: hash }),
      /** Devices that the kernel lists as attached; null where it does not say. */
      attached: z.array(z.string()).nullable(),
      error: z.strictObject({ code: z.string(), message: z.string() }).optional(),
      decisions: z.array(
        z.strictObject({
          party: z.enum(["importer", "topology", "exporter", "framework", "dma"]),
          by: z.string(),
          stage: z.string(),
          verdict: z.string(),
          reason: z.string(),
          text: z.string(),
          left: z.array(z.string()),
          round: z.int().min(0),
        }),
      ),
    }),
  ),
  missing: z.array(z.strictObject({ what: z.string(), cause: z.string(), remedy: z.string() })),
  ok: z.boolean(),
});

export const liveRunAsJson = ({ memory, transfers, missing, isOk }: LiveRun): unknown => ({
  memory,
  transfers: transfers.map(transferAsJson),
  missing,
  ok: isOk,
});

const transferAsJson = (transfer: LiveTransfer): unknown => ({
  name: transfer.name,
  provider: transfer.provider,
  client: transfer.client,
  state: transfer.state,
  target: transfer.target ?? null,
  route: transfer.route ?? null,
  bytes: transfer.bytes,
  sha256: { source: transfer.source ?? null, destination: transfer.destination ?? null },
  attached: transfer.attached ?? null,
  ...(transfer.error !== undefined && {
    error: { code: transfer.error.code, message: transfer.error.message },
  }),
  decisions: transfer.decisions.map(({ party, by, stage, verdict, reason, left, round }) => ({
    party,
    by,
    stage,
    verdict,
    reason: reason.code,
    text: reason.text,
    left,
    round,
  })),
});
