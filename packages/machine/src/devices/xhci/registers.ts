/**
 * xHCI registers: offsets and fields (xHCI 1.2 section 5), laid out to fit a BAR of 4 KiB.
 *
 * Operational registers begin at 20h, the runtime registers at 600h, their interrupter at 620h.
 *
 * Only what the modelled controller has: one interrupter, one root port, contexts of 32 bytes, 64-bit
 * addresses, an event ring of one segment, no scratchpad.
 */
export const XHCI_REGISTER = {
  CAPLENGTH: 0x00,
  HCSPARAMS1: 0x04,
  HCSPARAMS2: 0x08,
  HCCPARAMS1: 0x10,
  DBOFF: 0x14,
  RTSOFF: 0x18,
  USBCMD: 0x20,
  USBSTS: 0x24,
  PAGESIZE: 0x28,
  CRCR_LOW: 0x38,
  CRCR_HIGH: 0x3c,
  DCBAAP_LOW: 0x50,
  DCBAAP_HIGH: 0x54,
  CONFIG: 0x58,
  PORTSC: 0x420,
  IMAN: 0x620,
  ERSTSZ: 0x628,
  ERSTBA_LOW: 0x630,
  ERSTBA_HIGH: 0x634,
  ERDP_LOW: 0x638,
  ERDP_HIGH: 0x63c,
  DOORBELLS: 0x800,
} as const;

export const XHCI_REGISTER_BYTES = 4096;
export const XHCI_SLOTS_MAX = 8;
/** The controller's only interrupt vector. */
export const XHCI_VECTOR = 0;

/** Read-only registers, by offset. */
export const XHCI_CAPABILITIES: ReadonlyMap<number, number> = new Map([
  [XHCI_REGISTER.CAPLENGTH, 0x20 | (0x0110 << 16)],
  [XHCI_REGISTER.HCSPARAMS1, XHCI_SLOTS_MAX | (1 << 8) | (1 << 24)],
  [XHCI_REGISTER.HCSPARAMS2, 0],
  [XHCI_REGISTER.HCCPARAMS1, 1], // AC64
  [XHCI_REGISTER.DBOFF, XHCI_REGISTER.DOORBELLS],
  [XHCI_REGISTER.RTSOFF, 0x600],
  [XHCI_REGISTER.PAGESIZE, 1], // 4 KiB
  [XHCI_REGISTER.PORTSC, 1 | (1 << 1) | (1 << 9) | (4 << 10)], // Connected, enabled, powered, SuperSpeed.
]);

export const USBCMD = { RUN: 1, RESET: 2, INTERRUPTS: 4 } as const;
export const USBSTS = {
  HALTED: 1,
  HOST_ERROR: 4,
  EVENT: 8,
  ERROR: 0x1000,
} as const;
export const IMAN = { ENABLE: 2 } as const;

/** CRCR: the cycle state with which the ring begins, and that the ring runs. */
export const CRCR = { CYCLE: 1, RUNNING: 8 } as const;

/** Where a ring begins: the low bits of such registers and fields are flags. */
export const RING_ALIGNMENT_BYTES = 16;
