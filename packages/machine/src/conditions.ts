/**
 * Conditions: what decides routes beside addresses. Whoever changes one of them makes known routes void.
 */
import type { AcsGate } from "./acs-gate.ts";
import type { CommandRegisters } from "./command-register.ts";
import type { FabricMap } from "./fabric-map.ts";
import type { RootComplexProfile } from "./root-complex.ts";
import type { SlotPower } from "./slot-power.ts";

export interface Conditions {
  readonly map: FabricMap;
  readonly acs: AcsGate;
  readonly command: CommandRegisters;
  readonly power: SlotPower;
  readonly profile: RootComplexProfile;
  /** An IOMMU translates what comes to the root complex from below. */
  readonly translates: boolean;
  /** The IOMMU takes requests of this function that say they are translated. */
  readonly trustsTranslated: (row: number) => boolean;
}
