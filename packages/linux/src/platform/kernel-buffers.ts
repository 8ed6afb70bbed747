/**
 * Kernel buffers: what this platform offers beyond core's tokens to drivers that are made for Linux.
 */
import type { Mapping, PhysicalRanges } from "@peerbuf/core";
import { Token } from "typedi";
import type { LinuxBuffer } from "../buffers/linux-buffer.ts";

/** Present on the Linux platform only. */
export const KERNEL_BUFFERS: Token<KernelBuffers> = new Token<KernelBuffers>("kernel buffers");

export interface KernelBuffers {
  /** Gives a buffer addresses that core can speak of. The buffer stays its owner's, who `forget`s it first. */
  adopt(buffer: LinuxBuffer): PhysicalRanges;
  forget(buffer: LinuxBuffer): void;
  /** The kernel's names for the buffers of a mapping on its device: GEM handles, memory keys. */
  handlesOf(mapping: Mapping): readonly number[];
}
