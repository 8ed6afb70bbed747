/**
 * Bus errors: which functions logged an error in their registers while a transfer ran.
 *
 * As `lspci -vvv` would show it afterwards. The registers are cleared before, so what stands there is of
 * this transfer.
 */
import type { Topology } from "@peerbuf/topology";
import { joinPlace } from "../scenario/place-name.ts";
import type { Site } from "./site.ts";

export interface BusError {
  /** The function's place. */
  readonly at: string;
  /** Names of the bits in the uncorrectable error status register. */
  readonly uncorrectable: readonly string[];
  /** Names of the bits in Device Status. */
  readonly deviceStatus: readonly string[];
}

export class BusErrors {
  readonly #sites: readonly Site[];

  /** Clears the registers of all functions. */
  constructor(sites: readonly Site[]) {
    this.#sites = sites;
    for (const { machine } of sites) {
      for (const bdf of functionsOf(machine.topology)) {
        machine.inspect.clearErrors(bdf);
      }
    }
  }

  get logged(): BusError[] {
    return this.#sites.flatMap(({ name, machine }) =>
      functionsOf(machine.topology).flatMap((bdf) => {
        const { uncorrectable, deviceStatus } = machine.inspect.errors(bdf);
        const isClean = uncorrectable.length === 0 && deviceStatus.length === 0;
        return isClean ? [] : [{ at: joinPlace(name, bdf), uncorrectable, deviceStatus }];
      }),
    );
  }
}

const functionsOf = (topology: Topology): string[] =>
  Array.from({ length: topology.count }, (_, row) => topology.bdfOf(row));
