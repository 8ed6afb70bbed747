/**
 * Direction of a mapping, seen from the device (include/linux/dma-direction.h, 6.12).
 *
 * `to-device`: the device reads memory. `from-device`: the device writes memory.
 */
export type Direction = "to-device" | "from-device" | "bidirectional";

export const deviceReads = (direction: Direction): boolean => direction !== "from-device";

export const deviceWrites = (direction: Direction): boolean => direction !== "to-device";
