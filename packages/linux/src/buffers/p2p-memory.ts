/**
 * P2P memory: memory of a PCI device that its driver publishes for peers, such as an NVMe controller's
 * memory buffer (drivers/pci/p2pdma.c, 6.12: the `allocate` file in the function's sysfs folder).
 *
 * It is no dma-buf: a process maps it and hands the mapped bytes to direct I/O, and the kernel says then
 * whether the two devices may reach each other. Root only, unless the file's mode was changed.
 */
import { existsSync } from "node:fs";
import { PeerbufError } from "@peerbuf/core";
import { type BracketedBuffer, Brackets, type CpuAccess, within } from "../cpu-access/bracket.ts";
import { Descriptor } from "../sys/descriptor.ts";
import { missingNode } from "../sys/device-node.ts";
import { namesIn, textOf } from "../sys/kernel-files.ts";
import { MemoryMap } from "../sys/memory-map.ts";
import { checkSize } from "./buffer-size.ts";
import type { Use } from "./dma-buf-requests.ts";

const DEVICES = "/sys/bus/pci/devices";
const O_RDWR = 2;

/** A function that publishes memory. */
export interface P2pProvider {
  /** `dddd:bb:dd.f`. */
  readonly bdf: string;
  readonly sizeBytes: number;
  readonly availableBytes: number;
}

/** Providers of this machine; empty where there are none, or the kernel has no CONFIG_PCI_P2PDMA. */
export function p2pProviders(): P2pProvider[] {
  const read = (bdf: string, name: string): number =>
    Number(textOf(`${DEVICES}/${bdf}/p2pmem/${name}`));
  return namesIn(DEVICES)
    .filter((bdf) => existsSync(`${DEVICES}/${bdf}/p2pmem/allocate`))
    .map((bdf) => ({
      bdf,
      sizeBytes: read(bdf, "size"),
      availableBytes: read(bdf, "available"),
    }));
}

export class P2pMemory implements Disposable {
  readonly bdf: string;
  readonly sizeBytes: number;
  readonly #map: MemoryMap;
  readonly #brackets: Brackets;

  /**
   * Takes `sizeBytes` (whole pages) of a provider's memory. `PLATFORM_MISSING` when the function publishes
   * none, `MEMORY_EXHAUSTED` when there is not enough left, `SYSCALL_FAILED` (EACCES) without permission.
   */
  constructor(bdf: string, sizeBytes: number) {
    checkSize(sizeBytes);
    const path = `${DEVICES}/${bdf}/p2pmem/allocate`;
    const provider = p2pProviders().find((each) => each.bdf === bdf);
    if (provider === undefined) {
      const others = p2pProviders().map((each) => each.bdf);
      throw missingNode(path, "CONFIG_PCI_P2PDMA and a driver that publishes memory", others);
    }
    if (provider.availableBytes < sizeBytes) {
      throw new PeerbufError(
        "MEMORY_EXHAUSTED",
        `${sizeBytes} bytes of ${bdf}: ${provider.availableBytes} of ${provider.sizeBytes} are left`,
      );
    }
    using file = Descriptor.open(path, O_RDWR);
    this.bdf = bdf;
    this.sizeBytes = sizeBytes;
    this.#map = new MemoryMap(file, sizeBytes);
    this.#brackets = new Brackets(bracketed(this.#map, `memory of ${bdf}`));
  }

  get isOpen(): boolean {
    return this.#map.isOpen;
  }

  /** The bytes, uncached and slow for the CPU, until the bracket ends. */
  beginCpuAccess(use: Use): CpuAccess {
    return this.#brackets.begin(use);
  }

  /** Runs `work` within a bracket that ends on every path. `ARGUMENT_INVALID` when `work` is asynchronous. */
  withBytesSync<T>(use: Use, work: (bytes: Uint8Array<ArrayBuffer>) => T): T {
    return within(this.beginCpuAccess(use), work);
  }

  /** As `withBytesSync`, until the promise of `work` ends. */
  async withBytes<T>(
    use: Use,
    work: (bytes: Uint8Array<ArrayBuffer>) => T | Promise<T>,
  ): Promise<T> {
    using access = this.beginCpuAccess(use);
    return await work(access.bytes);
  }

  /** `BUFFER_BUSY` while a bracket is open, `HANDLE_CLOSED` the second time. */
  close(): void {
    if (this.#brackets.openCount > 0) {
      throw new PeerbufError("BUFFER_BUSY", `memory of ${this.bdf} has an open CPU access`);
    }
    this.#map.unmap();
  }

  /** Closes unless `close` did. */
  [Symbol.dispose](): void {
    if (this.isOpen) {
      this.close();
    }
  }
}

/** Nothing to keep in order: the memory is not cached. */
function bracketed(map: MemoryMap, what: string): BracketedBuffer {
  return {
    what,
    bytes: () => map.bytes,
    sync: () => undefined,
    rest: (isSeen) => isSeen && map.revokeViews(),
  };
}
