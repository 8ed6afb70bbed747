/**
 * ATS: may a function send requests that say they are translated?
 *
 * An IOMMU takes them only from functions for which Address Translation Services are on (VT-d
 * specification 3.3, 3.9: blocked unless the device's Device-TLB is enabled). Translation requests themselves are
 * not modelled: a device is given what it claims to have translated.
 */
import { findExtendedCapability, type Topology } from "@peerbuf/topology";

const EXTENDED_ATS = 0x000f;
/** High byte of the control register at +6. */
const CONTROL_HIGH = 0x07;
const ENABLE = 0x80;

/** As captured; not where nothing was captured. `row` -1: nobody. */
export function isAtsEnabled(topology: Topology, row: number): boolean {
  if (row < 0) {
    return false;
  }
  const config = topology.configOf(row);
  const ats = findExtendedCapability(config, EXTENDED_ATS);
  return ats > 0 && ((config[ats + CONTROL_HIGH] as number) & ENABLE) !== 0;
}
