/**
 * GPU registers, ring entries and bits, as this driver uses them.
 *
 * The interface of the modelled GPU (not a real one): what each register does is said there.
 */
export const REGISTER = {
  ID: 0x00,
  VRAM_PAGES: 0x08,
  RING: 0x10,
  RING_ENTRIES: 0x18,
  CONTROL: 0x1c,
  TAIL: 0x20,
  FENCE: 0x28,
  STATUS: 0x30,
  FAULT: 0x34,
} as const;

export const ID = 0x5055_5047;
export const REGISTER_BYTES = 4096;
export const STATUS_HALTED = 0x2;
/** The engine's interrupt vector. */
export const VECTOR = 0;

export const COMMAND_BYTES = 32;
export const OPCODE = { VRAM_TO_DMA: 2, DMA_TO_VRAM: 3, FENCE: 5 } as const;

/** What the FAULT register says. */
export const FAULT_TEXT: readonly string[] = [
  "no fault",
  "the command ring could not be read",
  "an unknown command",
  "a command outside VRAM",
  "a read of system or peer memory that reached nothing",
];
