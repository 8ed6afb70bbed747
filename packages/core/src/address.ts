/**
 * Addresses: three kinds of number that must never be mixed up.
 *
 * Linux keeps them apart by type (`phys_addr_t`, `pci_bus_addr_t`, `dma_addr_t`); so do we. All are
 * plain numbers of bytes up to 2^53 - 1, because BigInt is six times slower in the paths that
 * repeat. Real machines stay far below: the widest x86 physical address has 52 bits.
 */
import { PeerbufError } from "./error.ts";

declare const kind: unique symbol;

/** Where the CPU sees a byte, in bytes. */
export type PhysicalAddress = number & { readonly [kind]: "physical" };
/** What must stand in a request on the PCI bus to hit a byte; differs from physical by the host bridge's offset. */
export type BusAddress = number & { readonly [kind]: "bus" };
/** What one device must be given to reach a byte: a physical address, a bus address or an IOVA. */
export type DmaAddress = number & { readonly [kind]: "dma" };

/** The largest address that is exact as a number. */
export const ADDRESS_MAX: number = Number.MAX_SAFE_INTEGER;

/** The unit of every buffer, segment and mapping, in bytes. Fixed: x86-64 and most arm64 kernels use it. */
export const PAGE_BYTES = 4096;

export const physicalAddress = (value: number): PhysicalAddress =>
  checked(value, "physical") as PhysicalAddress;

export const busAddress = (value: number): BusAddress => checked(value, "bus") as BusAddress;

export const dmaAddress = (value: number): DmaAddress => checked(value, "DMA") as DmaAddress;

/** Refuses what is no address at the door, so that nothing behind it has to look again. */
function checked(value: number, what: string): number {
  if (Number.isSafeInteger(value) && value >= 0) {
    return value;
  }
  throw new PeerbufError(
    "ADDRESS_INVALID",
    `${value} is not a ${what} address: addresses are whole numbers from 0 to 2^53 - 1`,
  );
}
