/**
 * Mapping types: what an importer can be given, as open tagged values.
 *
 * Both sides list the types they can do, most preferred first; the framework keeps every pair that
 * both accept, in the exporter's order (the "DMA-buf mapping types" series, 2026). A driver package
 * adds a type of its own with `defineMappingType`; types are compared by identity, so two packages
 * that share a private link import the same value.
 */
export interface MappingType {
  /** How people and records call it. */
  readonly name: string;
  /**
   * What the segments hold:
   * - `dma`: addresses made by the DMA layer for this importer;
   * - `untranslated`: the exporter's own numbers (physical ranges, addresses on a private link).
   */
  readonly addresses: "dma" | "untranslated";
  /** Where the bytes may lie. Only `device` memory asks topology. */
  readonly memory: "system" | "device" | "any";
}

/** Segments of DMA addresses in system memory. Everyone can use it. */
export const DMA: MappingType = defineMappingType("dma", "dma", "system");

/** Segments of DMA addresses in device memory: bus addresses or through the host bridge. No CPU pages behind it. */
export const P2P: MappingType = defineMappingType("p2p", "dma", "device");

/** Physical ranges, not mapped: for importers that run their own translation (IOMMU user, VM monitor). */
export const PHYSICAL: MappingType = defineMappingType("physical", "untranslated", "any");

/** Addresses on a private link outside PCIe: both drivers hold the same type value, one for each link. */
export function interconnect(linkName: string): MappingType {
  return defineMappingType(`interconnect:${linkName}`, "untranslated", "any");
}

export function defineMappingType(
  name: string,
  addresses: MappingType["addresses"],
  memory: MappingType["memory"],
): MappingType {
  return Object.freeze({ name, addresses, memory });
}

/** One entry of a side's list. */
export interface MappingOffer {
  readonly type: MappingType;
  /** `true`: only this memory will do (an exporter that cannot migrate, an importer that refuses copies). Default: accept. */
  readonly require?: boolean;
}

/** An entry both sides accept. Kept until detach; the choice among the kept ones is made at pin or map. */
export interface KeptPair {
  readonly type: MappingType;
  /** One of the two sides takes nothing but this memory. */
  readonly require: boolean;
}
