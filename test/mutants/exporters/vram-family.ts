/** VRAM family: how the kit handles the drivers that are built on the good VRAM exporter. */
import type { DriverCheck } from "@peerbuf/testkit";
import { type VramApi, type VramParts, vramExporter } from "../good/vram.ts";
import type { Mutant } from "../mutant.ts";

export const vramCheck: DriverCheck<undefined, VramApi> = {
  move: (api: VramApi) => api.evict(),
  revoke: (api: VramApi) => api.reset(),
  restore: (api: VramApi) => api.restart(),
};

/** A mutant that the suite finds, with this rule before all others. */
export const vramMutant = (
  name: string,
  rule: Mutant["rules"][0],
  mistake: string,
  parts: VramParts,
): Mutant => ({
  rules: [rule],
  by: "contract",
  isExact: true,
  mistake,
  driver: vramExporter(name, parts),
  check: vramCheck,
});
