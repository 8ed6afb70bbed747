/**
 * GPU registers: an interface of our own, modelled on no real GPU.
 *
 * It has the parts that matter for sharing memory: how much VRAM there is, how much of it the BAR
 * shows, a GART, and copy engines that take commands from rings in host memory. 32-bit registers,
 * offsets in bytes; addresses take two registers, low half first.
 */
export const GPU_REGISTER = {
  /** Reads `GPU_ID`. */
  ID: 0x00,
  VERSION: 0x04,
  /** VRAM in pages of 4 KiB. */
  VRAM_PAGES: 0x08,
  /** The part of VRAM, from its start, that the BAR shows, in pages of 4 KiB. */
  VISIBLE_PAGES: 0x0c,
  /** DMA address of the command ring. */
  RING_LOW: 0x10,
  RING_HIGH: 0x14,
  /** Commands the ring can hold, 2 to `GPU_RING_ENTRIES_MAX`; one slot stays empty. */
  RING_ENTRIES: 0x18,
  /** 1 starts the engine with an empty ring at slot 0; 0 stops it and forgets work in flight. */
  CONTROL: 0x1c,
  /** The next slot the host will fill; writing it starts work. */
  TAIL: 0x20,
  /** The next slot the engine will take. Read only. */
  HEAD: 0x24,
  /** DMA address of 8 bytes to which FENCE commands write their value. */
  FENCE_LOW: 0x28,
  FENCE_HIGH: 0x2c,
  /** `GPU_STATUS` bits. Read only. */
  STATUS: 0x30,
  /** Why the engine halted, one of `GPU_FAULT`. Read only. */
  FAULT: 0x34,
  /**
   * Physical address of the host memory that this GPU uses as VRAM; 0: it has VRAM of its own. As
   * amdgpu reads it from an APU's memory hub (Linux 6.12: adev->gmc.aper_base). Read only.
   */
  CARVE_OUT_LOW: 0x38,
  CARVE_OUT_HIGH: 0x3c,
  /** Copy engines. Read only. Each has RING, CONTROL, TAIL, HEAD, FENCE, STATUS and FAULT at 0x100 times its number. */
  ENGINES: 0x40,
  /** DMA address of the GART table, and its entries; writing the entries puts it in place. */
  GART_LOW: 0x48,
  GART_HIGH: 0x4c,
  GART_PAGES: 0x50,
  /** Written with anything: entries that the engines remember are forgotten. */
  GART_FLUSH: 0x54,
  /** Of each engine: the aperture address at which a command met no page. Read only. */
  FAULT_LOW: 0x58,
  FAULT_HIGH: 0x5c,
  /** Sizes that the BAR of VRAM may have: bit n for 2^n MiB. 0: it cannot be resized. Read only. */
  WINDOW_SIZES: 0x60,
  /** Its size now, as n of 2^n MiB. Another one that is not among WINDOW_SIZES is ignored. */
  WINDOW_SIZE: 0x64,
} as const;

/** From the registers of one engine to those of the next. */
export const GPU_ENGINE_STRIDE = 0x100;
export const GPU_ENGINES_MAX = 8;

/** "GPUP", little-endian. */
export const GPU_ID = 0x5055_5047;
export const GPU_VERSION = 1;
export const GPU_RING_ENTRIES_MAX = 4096;
export const GPU_REGISTER_BYTES = 4096;

export const GPU_STATUS = { RUNNING: 0b01, HALTED: 0b10 } as const;

export const GPU_FAULT = {
  NONE: 0,
  /** The command itself could not be read. */
  FETCH: 1,
  OPCODE: 2,
  /** A command reaches past the end of VRAM. */
  VRAM_RANGE: 3,
  /** A read of host or peer memory reached nothing. */
  DMA_READ: 4,
  /** No page in the GART, or none that may be written; FAULT_LOW and FAULT_HIGH say where. */
  GART: 5,
} as const;

export type GpuFault = (typeof GPU_FAULT)[keyof typeof GPU_FAULT];
