/** Family: how the kit handles the drivers that are built on the good exporters. */
import type { DmaBuf, ExporterDriver } from "@peerbuf/core";
import type { DriverCheck } from "@peerbuf/testkit";
import type { CardApi } from "../good/card.ts";
import type { Mutant } from "../mutant.ts";

export const pagesMutant = (mutant: Omit<Mutant, "check">): Mutant => mutant;

export const cardCheck: DriverCheck<undefined, CardApi> = {
  move: (api: CardApi, _buffer: DmaBuf) => api.move(),
  revoke: (api: CardApi) => api.revoke(),
  restore: (api: CardApi) => api.restore(),
};

export const cardMutant = (
  mutant: Omit<Mutant, "check" | "driver"> & {
    readonly driver: ExporterDriver<undefined, CardApi>;
  },
): Mutant => ({ ...mutant, check: cardCheck });
