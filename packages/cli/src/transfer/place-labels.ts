/**
 * Place labels: what a place of a scenario is called for people, and which port is above it.
 */
import { shortBdf, shortNames } from "../function-label.ts";
import { joinPlace, splitPlace } from "../scenario/place-name.ts";
import type { Site } from "./site.ts";

export interface PlaceLabel {
  /** `gpu0`, or `system-heap`; behind `machine/` where machines have names. */
  readonly name: string;
  /** `13:00.0`; empty for memory without a device. */
  readonly address: string;
  /** The port above the function, as `CarriedBytes` calls it. */
  readonly port: string | undefined;
}

export class PlaceLabels {
  readonly #sites: ReadonlyMap<string, Site>;
  readonly #names = new Map<Site, ReadonlyMap<number, string>>();

  constructor(sites: readonly Site[]) {
    this.#sites = new Map(sites.map((site) => [site.name, site]));
    for (const site of sites) {
      this.#names.set(site, shortNames(site.machine.topology));
    }
  }

  get machines(): readonly string[] {
    return [...this.#sites.keys()];
  }

  of(place: string): PlaceLabel {
    const { machine, local } = splitPlace(place);
    const site = this.#sites.get(machine);
    const topology = site?.machine.topology;
    const row = topology?.indexOf(local) ?? -1;
    if (site === undefined || topology === undefined || row < 0) {
      return { name: place, address: "", port: undefined };
    }
    const name = joinPlace(machine, this.#names.get(site)?.get(row) ?? "");
    const above = topology.upstreamOf(row);
    const port = above < 0 ? undefined : joinPlace(machine, topology.bdfOf(above));
    return { name, address: shortBdf(local), port };
  }
}
