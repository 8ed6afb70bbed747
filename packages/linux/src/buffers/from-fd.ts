/**
 * From fd: buffers that others made; and a memfd for machines without dma-buf.
 */
import { Descriptor } from "../sys/descriptor.ts";
import { createMemfd } from "../sys/memfd.ts";
import { checkSize } from "./buffer-size.ts";
import { LinuxBuffer } from "./linux-buffer.ts";

/**
 * A buffer by a descriptor that stays its owner's: this makes a duplicate and closes only that. What it is
 * is asked of the kernel: `NOT_A_BUFFER` for anything but a dma-buf or a memfd sealed against shrinking,
 * `SYSCALL_FAILED` (EBADF) for a number that is no open descriptor.
 */
export const fromFd = (number: number): LinuxBuffer =>
  new LinuxBuffer(Descriptor.duplicateOf(number, `descriptor ${number}`));

/** `sizeBytes` (whole pages) of shared memory, zeroed, without any device behind it. */
export function sharedMemory(sizeBytes: number, name = "peerbuf"): LinuxBuffer {
  checkSize(sizeBytes);
  return new LinuxBuffer(createMemfd(name, sizeBytes));
}
