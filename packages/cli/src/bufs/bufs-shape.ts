/**
 * Bufs shape: the JSON of `peerbuf bufs`, as a schema; `bufs-json.ts` makes it. Null is what could not be seen;
 * `notSeen` says why.
 */
import { z } from "zod";

const count = z.int().min(0);
const bytes = z.number().min(0);
const known = z.string().nullable();

/** `peerbuf bufs --json`, and each line of `peerbuf bufs --watch --json`. */
export const bufsShape: z.ZodType = z.strictObject({
  totalBytes: bytes,
  buffers: z.array(
    z.strictObject({
      /** Unique since boot. */
      inode: count,
      sizeBytes: bytes.nullable(),
      exporter: known,
      /** Empty when it has none. */
      name: z.string(),
      holders: z.array(
        z.strictObject({
          pid: count,
          command: z.string(),
          descriptors: z.array(count),
          mappingCount: count,
          mappedBytes: bytes,
        }),
      ),
      devices: z.array(z.string()).nullable(),
      fences: z
        .array(
          z.strictObject({
            use: z.enum(["kernel", "write", "read", "bookkeep"]),
            driver: z.string(),
            timeline: z.string(),
            sequence: z.number(),
          }),
        )
        .nullable(),
      referenceCount: count.nullable(),
      /** Those of kernel drivers, messages underway and processes that cannot be seen. */
      otherReferenceCount: count.nullable(),
    }),
  ),
  processes: z.array(
    z.strictObject({ pid: count, command: z.string(), bufferCount: count, bytes }),
  ),
  exporters: z.array(z.strictObject({ exporter: known, bufferCount: count, bytes })),
  notSeen: z.array(z.strictObject({ what: z.string(), cause: z.string(), remedy: z.string() })),
});
