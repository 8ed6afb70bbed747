/**
 * Run shape: the JSON of `peerbuf run`, as a schema.
 *
 * Stable: a field may be added, none is renamed or removed.
 */
import { z } from "zod";

const decision = z.strictObject({
  /** Of a scenario with several machines: in which of them. */
  machine: z.string().optional(),
  /** The negotiation it belongs to. */
  buffer: z.string(),
  importer: z.string(),
  party: z.enum(["importer", "topology", "exporter", "framework", "dma"]),
  by: z.string(),
  stage: z.string(),
  verdict: z.string(),
  /** The reason's code. */
  reason: z.string(),
  text: z.string(),
  numbers: z.record(z.string(), z.number()),
  left: z.array(z.string()),
  round: z.int().min(0),
});
const target = z.enum(["device", "system", "carve-out"]).nullable();
const route = z.enum(["bus-addr", "host-bridge", "system", "untranslated"]).nullable();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** `peerbuf run --json`. */
export const runShape: z.ZodType = z.strictObject({
  transfers: z.array(
    z.strictObject({
      name: z.string(),
      provider: z.string(),
      client: z.string(),
      /** Where the bytes were for the client's device; null when there was no mapping. */
      target,
      route,
      /** RDMA: the same of the other end. */
      remote: z
        .strictObject({
          provider: z.string(),
          client: z.string(),
          target,
          route,
          /** The drive that stored what arrived. */
          drive: z.strictObject({ client: z.string(), target, route }).optional(),
        })
        .optional(),
      bytes: z.int(),
      /** Of the bytes as they lie in memory; null where the transfer did not get that far. */
      sha256: z.strictObject({ source: sha256.nullable(), destination: sha256.nullable() }),
      /** The two are equal, and equal to what was put in. */
      arrived: z.boolean(),
      /** Virtual time from the first request to the last completion; left out when it did not get that far. */
      elapsedNs: z.number().optional(),
      /** `bytes` by `elapsedNs`, twice `bytes` for `nvme-write-read`; left out when nothing took time. */
      gigabytesPerSecond: z.number().optional(),
      /** The time is of links that the scenario states (`machine.links`), not of those captured. */
      assumesLinks: z.boolean(),
      /** Why it did not run to its end; left out when it did. */
      error: z.strictObject({ code: z.string(), message: z.string() }).optional(),
      decisions: z.array(decision),
      /** Bytes that bridges and the root complex carried meanwhile, by the machine's own counters. */
      passed: z.array(z.strictObject({ at: z.string(), bytes: z.number() })),
      /** Bytes that devices moved from and to host memory meanwhile, and that drivers copied there on the processors. */
      hostMemory: z.array(
        z.strictObject({
          machine: z.string().optional(),
          deviceBytes: z.number(),
          processorBytes: z.number(),
        }),
      ),
      /** Bytes of requests that reached nothing. */
      lostBytes: z.number(),
      /** The same by requester, kind, reason and place; requests that fared alike are one entry. */
      losses: z.array(
        z.strictObject({
          requester: z.string(),
          kind: z.enum(["read", "write"]),
          reason: z.string(),
          at: z.string(),
          /** Whose mapping the address is in, `driver@device on "buffer"`; left out when it is in none. */
          mapping: z.string().optional(),
          firstAddress: z.number(),
          count: z.int(),
          bytes: z.number(),
        }),
      ),
      /** Functions with bits set in their error registers afterwards, by the names of the bits. */
      busErrors: z.array(
        z.strictObject({
          at: z.string(),
          uncorrectable: z.array(z.string()),
          deviceStatus: z.array(z.string()),
        }),
      ),
      /** Faults of the scenario that struck. */
      injected: z.array(
        z.strictObject({
          fault: z.string(),
          /** Its place in the scenario: `faults[0]`. */
          rule: z.string(),
          timeNs: z.number(),
          device: z.string(),
          kind: z.string(),
          address: z.number().optional(),
          lengthBytes: z.number().optional(),
          text: z.string(),
        }),
      ),
      /** Device models and drivers' handlers that threw. */
      failures: z.array(
        z.strictObject({ place: z.string(), who: z.string(), message: z.string() }),
      ),
      /** What was not given back afterwards, in sentences; the machine's drivers were opened anew then. */
      leftBehind: z.array(z.string()),
    }),
  ),
  ok: z.boolean(),
});
