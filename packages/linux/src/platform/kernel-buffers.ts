/**
 * Kernel buffers: what this platform offers beyond core's tokens to drivers that are made for Linux.
 */
import type { Mapping, PhysicalRanges } from "@peerbuf/core";
import { Token } from "typedi";
import type { MappedBytes, Stretch } from "./address-book.ts";

/** Present on the Linux platform only. */
export const KERNEL_BUFFERS: Token<KernelBuffers> = new Token<KernelBuffers>("kernel buffers");

export interface KernelBuffers {
  /** Gives a buffer addresses that core can speak of. The buffer stays its owner's, who `forget`s it first. */
  adopt(buffer: MappedBytes): PhysicalRanges;
  forget(buffer: MappedBytes): void;
  /** What `lengthBytes` at an address are. `ADDRESS_INVALID` when it is not all of one buffer. */
  find(address: number, lengthBytes: number): Stretch;
  /** What a mapping's segments name, in order: for drivers that hand mapped bytes to the kernel. */
  stretchesOf(mapping: Mapping): readonly Stretch[];
  /** The kernel's names for the buffers of a mapping on its device: GEM handles, memory keys. */
  handlesOf(mapping: Mapping): readonly number[];
}
