/**
 * Fields: the kinds of values that sections of a scenario are made of.
 *
 * Messages are written for the author of a scenario, who sees them after file, line and field.
 */
import { z } from "zod";
import { formatSize, parseSize } from "./size.ts";

const SEED_MAX = 2 ** 32 - 1;

/** An object whose unknown fields are refused with the list of those it has. */
export function section<Shape extends z.ZodRawShape>(
  shape: Shape,
): z.ZodObject<Shape, z.core.$strict> {
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === "unrecognized_keys"
        ? `unknown field ${issue.keys.map((key) => `"${key}"`).join(", ")}, expected ${Object.keys(shape).join(", ")}`
        : undefined,
  });
}

type SizeShape = z.ZodPipe<z.ZodUnion<[z.ZodInt, z.ZodString]>, z.ZodTransform<number>>;

/** Bytes as a number or as text with a unit; a multiple of `step`. */
export const sizeBytes = (atLeast: number, atMost: number, step: number): SizeShape =>
  z
    .union([z.int(), z.string()], { error: "expected a size such as 65536 or 64 KiB" })
    .transform((value, context) => {
      const bytes = typeof value === "number" ? value : parseSize(value);
      if (bytes === undefined) {
        context.addIssue({ code: "custom", message: `"${value}" is no size such as 64 KiB` });
        return z.NEVER;
      }
      if (bytes < atLeast || bytes > atMost || bytes % step !== 0) {
        const message = `${value} is not a multiple of ${formatSize(step)} from ${formatSize(atLeast)} to ${formatSize(atMost)}`;
        context.addIssue({ code: "custom", message });
        return z.NEVER;
      }
      return bytes;
    }) as SizeShape;

export const seed: z.ZodInt = z
  .int({ error: "expected a whole number" })
  .min(0)
  .max(SEED_MAX) as z.ZodInt;

export const deviceName: z.ZodString = z
  .string({ error: 'expected a PCI address such as "13:00.0"' })
  .min(1);
