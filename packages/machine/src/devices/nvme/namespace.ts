/**
 * NVMe namespace: the blocks behind the controller, kept in sparse memory.
 *
 * Non-volatile: nothing but a write changes it, no reset either.
 */
import { InputError } from "@peerbuf/core";
import type { Completion, DevicePort } from "../../device-model.ts";
import { SparseMemory } from "../../sparse-memory.ts";
import type { TransferRuns } from "./prp.ts";

export class Namespace {
  readonly blockBytes: 512 | 4096;
  readonly blockCount: number;
  readonly media: SparseMemory;

  constructor(capacityBytes: number, blockBytes: 512 | 4096) {
    if (!(capacityBytes > 0 && capacityBytes % blockBytes === 0)) {
      throw new InputError({
        source: "nvme model",
        place: "capacityBytes",
        cause: `${capacityBytes} is not a positive multiple of the block size of ${blockBytes} bytes`,
        remedy: "State a whole number of blocks",
      });
    }
    this.blockBytes = blockBytes;
    this.blockCount = capacityBytes / blockBytes;
    this.media = new SparseMemory(capacityBytes);
  }

  contains(firstBlock: number, blockCount: number): boolean {
    return firstBlock + blockCount <= this.blockCount;
  }

  /** Host memory to media. What could not be read is stored as it arrived, all ones. */
  store(port: DevicePort, firstBlock: number, runs: TransferRuns): boolean {
    return this.#transfer(firstBlock, runs, (address, offset, lengthBytes) =>
      port.readInto(address, this.media, offset, lengthBytes),
    );
  }

  /** Media to host memory. The answer is always "done": posted writes report nothing back. */
  load(port: DevicePort, firstBlock: number, runs: TransferRuns): void {
    this.#transfer(firstBlock, runs, (address, offset, lengthBytes) =>
      port.writeFrom(address, this.media, offset, lengthBytes),
    );
  }

  #transfer(
    firstBlock: number,
    runs: TransferRuns,
    move: (address: number, offset: number, lengthBytes: number) => Completion,
  ): boolean {
    let offset = firstBlock * this.blockBytes;
    let ok = true;
    for (let index = 0; index < runs.length; index += 2) {
      const lengthBytes = runs[index + 1] as number;
      ok = move(runs[index] as number, offset, lengthBytes).ok && ok;
      offset += lengthBytes;
    }
    return ok;
  }
}
