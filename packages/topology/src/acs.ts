/**
 * ACS: the bits of Access Control Services, by name.
 *
 * Capability and control register have the same bits (PCIe base spec 7.7.11.2 and .3). Names are those
 * of the specification's short forms, which the kernel's sources use as well.
 */

/** Masks in both registers. */
export const ACS = {
  /** Source validation. */
  SV: 0x01,
  /** Translation blocking. */
  TB: 0x02,
  /** P2P request redirect. */
  RR: 0x04,
  /** P2P completion redirect. */
  CR: 0x08,
  /** Upstream forwarding. */
  UF: 0x10,
  /** P2P egress control. */
  EC: 0x20,
  /** Direct translated P2P. */
  DT: 0x40,
} as const;

export type AcsBit = keyof typeof ACS;

/** Names of the bits that are set, in order of bit. */
export const acsBits = (register: number): AcsBit[] =>
  (Object.keys(ACS) as AcsBit[]).filter((name) => (register & ACS[name]) !== 0);
