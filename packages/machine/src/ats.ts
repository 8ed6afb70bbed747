/**
 * ATS: which functions may send requests that say they are translated.
 *
 * An IOMMU takes them only from functions for which Address Translation Services are on (VT-d
 * specification 3.3, 3.9: blocked unless the device's Device-TLB is enabled). Translation requests themselves are
 * not modelled: a device is given what it claims to have translated.
 */
import { findExtendedCapability, type Topology } from "@peerbuf/topology";

export const EXTENDED_ATS = 0x000f;
/** High byte of the control register at +6. */
const CONTROL_HIGH = 0x07;
const ENABLE = 0x80;

export class AtsControl {
  /** By row: 1 for enabled. As captured to begin with; off where nothing was captured. */
  readonly #enabled: Uint8Array;

  constructor(topology: Topology) {
    this.#enabled = Uint8Array.from({ length: topology.count }, (_, row) => {
      const config = topology.configOf(row);
      const ats = findExtendedCapability(config, EXTENDED_ATS);
      return ats > 0 && ((config[ats + CONTROL_HIGH] as number) & ENABLE) !== 0 ? 1 : 0;
    });
  }

  /** `row` -1: nobody. */
  isEnabled(row: number): boolean {
    return this.#enabled[row] === 1;
  }

  set(row: number, isEnabled: boolean): void {
    this.#enabled[row] = isEnabled ? 1 : 0;
  }
}
