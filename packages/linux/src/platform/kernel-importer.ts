/**
 * Kernel importer: a device whose kernel driver attaches to dma-bufs when asked through its node.
 *
 * The kernel negotiates, pins and maps; we are told whether it did. What it hands back (a handle, a key) is
 * the importer driver's to use.
 */
import type { Device, Direction } from "@peerbuf/core";
import type { LinuxBuffer } from "../buffers/linux-buffer.ts";

export interface KernelAttachment {
  /** The kernel's name for the buffer on this device: a GEM handle, a memory key. */
  readonly handle: number;
  /** The device lets the buffer go. Does nothing a second time, or after the device was closed. */
  detach(): void;
}

export interface KernelImporter extends Disposable {
  readonly device: Device;
  /**
   * Attaches and maps. Throws `PeerbufError` with the kernel's errno when it declines; nothing is held then.
   */
  attach(buffer: LinuxBuffer, direction: Direction): KernelAttachment;
}
