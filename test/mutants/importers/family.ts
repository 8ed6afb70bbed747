/** Family: how the kit handles the drivers that are built on the good reader. */
import type { Direction, DmaBuf, ImporterDriver } from "@peerbuf/core";
import type { DriverCheck } from "@peerbuf/testkit";
import type { ReaderApi } from "../good/reader.ts";
import type { Mutant } from "../mutant.ts";

export const readerCheck: DriverCheck<undefined, ReaderApi> = {
  start: (api: ReaderApi, buffer: DmaBuf, direction: Direction) => api.use(buffer, direction),
};

export const readerMutant = (
  mutant: Omit<Mutant, "check" | "driver"> & {
    readonly driver: ImporterDriver<undefined, ReaderApi>;
  },
): Mutant => ({ ...mutant, check: readerCheck });
