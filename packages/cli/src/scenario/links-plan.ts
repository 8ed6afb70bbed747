/**
 * Links plan: what a scenario states of a machine's PCIe links, in place of what was captured of them.
 *
 * The fields are the machine's own (`LinkOptions`), but a link is written as people say it: `Gen4 x16` or
 * `16 GT/s x16`. Nothing is assumed here: what the scenario does not state is as captured.
 */
import type { LinkOptions, LinkSpeed } from "@peerbuf/machine";
import { z } from "zod";
import { section } from "./fields.ts";

/** By generation, megatransfers a second (PCIe base specification 6.0, 4.2). */
const GENERATIONS_MTPS: readonly number[] = [2500, 5000, 8000, 16_000, 32_000, 64_000];
/** Widths that a link can have (7.5.3.6; 12 and 32 until 5.0). */
const WIDTHS: readonly number[] = [1, 2, 4, 8, 12, 16, 32];
const LINK_PATTERN = /^(?:Gen(\d)|(\d+(?:\.\d+)?) ?GT\/s) x(\d+)$/i;
/** Far above any RAM: 100 TB/s. */
const BYTES_PER_NS_MAX = 100_000;

/** What a scenario states of links; absent fields are as captured, or take no time where nothing was. */
export type LinksPlan = {
  readonly [Name in keyof LinkOptions]?: LinkOptions[Name] | undefined;
};

/** The link that a text names, or undefined. */
function parseLink(text: string): LinkSpeed | undefined {
  const [, generation, gigatransfers, lanes] = LINK_PATTERN.exec(text.trim()) ?? [];
  const speedMtps =
    generation === undefined
      ? GENERATIONS_MTPS.find((mtps) => mtps === Number(gigatransfers) * 1000)
      : GENERATIONS_MTPS[Number(generation) - 1];
  const width = WIDTHS.find((each) => each === Number(lanes));
  return speedMtps === undefined || width === undefined ? undefined : { speedMtps, width };
}

const link = z.string({ error: "expected a link such as Gen4 x16" }).transform((text, context) => {
  const parsed = parseLink(text);
  if (parsed === undefined) {
    const message = `"${text}" is no PCIe link such as Gen4 x16 or 16 GT/s x16`;
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  }
  return parsed;
});

const packetBytes = (...sizes: number[]): z.ZodType<number> =>
  z
    .number({ error: `expected one of ${sizes.join(", ")} bytes` })
    .refine((bytes) => sizes.includes(bytes), `expected one of ${sizes.join(", ")} bytes`);

const payloadBytes = packetBytes(128, 256, 512, 1024, 2048, 4096);
/** Root complexes cut finer than Max Payload Size allows: 64 bytes is a completion boundary (2.3.1.1). */
const rootComplexBytes = packetBytes(64, 128, 256, 512, 1024, 2048, 4096);
const bytesPerNs = z
  .number({ error: "expected bytes a nanosecond, which is GB/s" })
  .positive("expected a rate above 0 bytes a nanosecond")
  .max(BYTES_PER_NS_MAX, `expected at most ${BYTES_PER_NS_MAX} bytes a nanosecond`);

export const linksShape: z.ZodType<LinksPlan> = section({
  speed: z.enum(["captured", "capable"]).optional(),
  assumed: link.optional(),
  byFunction: z.record(z.string(), link).optional(),
  payloadBytes: payloadBytes.optional(),
  readRequestBytes: payloadBytes.optional(),
  peerPayloadBytes: rootComplexBytes.optional(),
  memoryCompletionBytes: rootComplexBytes.optional(),
  memoryBytesPerNs: bytesPerNs.optional(),
  peerBytesPerNs: bytesPerNs.optional(),
  socketBytesPerNs: bytesPerNs.optional(),
});

/** For the machine: what is stated. */
export function linkOptionsOf(plan: LinksPlan): LinkOptions {
  const stated = Object.entries(plan).filter(([, value]) => value !== undefined);
  return Object.fromEntries(stated) as LinkOptions;
}
