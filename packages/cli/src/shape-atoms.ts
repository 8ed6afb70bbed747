/** Shape atoms: what the schemas of several commands have in common. */
import { z } from "zod";

type PathTypes = "bus-addr" | "host-bridge" | "unsupported" | "unknown";

export const pathType: z.ZodEnum<{ [Type in PathTypes]: Type }> = z.enum([
  "bus-addr",
  "host-bridge",
  "unsupported",
  "unknown",
]);
export const bdf: z.ZodType<string> = z
  .string()
  .regex(/^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/);
export const reasons: z.ZodType = z.array(
  z.strictObject({ code: z.string(), at: z.string().optional(), text: z.string() }),
);
export const labelled: { readonly bdf: z.ZodType; readonly label: z.ZodType } = {
  bdf,
  label: z.string(),
};
