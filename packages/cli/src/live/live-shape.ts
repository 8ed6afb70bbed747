/** Live shape: the JSON of `peerbuf run --live`, as a schema; `live-json.ts` makes it. Names mean what they mean in `runShape`. */
import { z } from "zod";

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
