/**
 * Private link: a wire between devices beside PCIe, as NVLink and XGMI are.
 *
 * Each device that joins gets a port; byte `offset` of its memory is at `port * 2^40 + offset` for
 * everybody on the link and for nobody else. The fabric, its root complex and any guard or IOMMU
 * never see this traffic.
 */
import type { SparseMemory } from "../../sparse-memory.ts";

/** Bytes of address space a port has; no modelled memory comes near it. */
export const LINK_PORT_BYTES: number = 2 ** 40;
/** So that every link address is a safe integer. */
const LINK_PORTS_MAX = 4096;

export class PrivateLink {
  readonly #memories: SparseMemory[] = [];

  /** Adds a device. Returns its port. */
  join(memory: SparseMemory): number {
    if (this.#memories.length === LINK_PORTS_MAX) {
      throw new RangeError(`a private link has at most ${LINK_PORTS_MAX} ports`);
    }
    return this.#memories.push(memory) - 1;
  }

  /** Whose memory the bytes are in; `undefined` where nothing answers for all of them. */
  find(address: number, lengthBytes: number): { memory: SparseMemory; offset: number } | undefined {
    const offset = address % LINK_PORT_BYTES;
    const memory = this.#memories[(address - offset) / LINK_PORT_BYTES];
    return memory !== undefined && offset + lengthBytes <= memory.sizeBytes
      ? { memory, offset }
      : undefined;
  }
}
