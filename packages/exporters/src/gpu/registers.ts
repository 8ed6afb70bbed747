/**
 * GPU registers, ring entries and bits, as the driver uses them.
 *
 * The interface of the modelled GPU (not a real one): what each register does is said there.
 */
export const REGISTER = {
  ID: 0x00,
  VRAM_PAGES: 0x08,
  VISIBLE_PAGES: 0x0c,
  RING_LOW: 0x10,
  RING_HIGH: 0x14,
  RING_ENTRIES: 0x18,
  CONTROL: 0x1c,
  TAIL: 0x20,
  HEAD: 0x24,
  FENCE_LOW: 0x28,
  FENCE_HIGH: 0x2c,
  STATUS: 0x30,
  FAULT: 0x34,
  WINDOW_SIZES: 0x60,
  WINDOW_SIZE: 0x64,
} as const;

export const ID = 0x5055_5047;
export const REGISTER_BYTES = 4096;
export const STATUS_HALTED: number = 1 << 1;
/** The engine's interrupt vector. */
export const VECTOR = 0;

export const COMMAND_BYTES = 32;

export const OPCODE = {
  FILL: 1,
  VRAM_TO_DMA: 2,
  DMA_TO_VRAM: 3,
  FENCE: 5,
} as const;

/** What the FAULT register says. */
export const FAULT_TEXT: readonly string[] = [
  "no fault",
  "the command ring could not be read",
  "an unknown command",
  "a command outside VRAM",
  "a read of system or peer memory that reached nothing",
];
