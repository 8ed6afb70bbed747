/**
 * NVMe namespace: the blocks behind the controller, kept on its media.
 *
 * Non-volatile: nothing but a command changes it, no reset either. Blocks that were deallocated or never
 * written read as zeros.
 */
import { InputError } from "@peerbuf/core";
import type { DevicePort } from "../../device-model.ts";
import type { Media } from "./media.ts";
import { STATUS, type Status } from "./status.ts";
import { DISCARDED, type TransferRuns } from "./transfer-runs.ts";

export type BlockBytes = 512 | 4096;

export class Namespace {
  readonly blockBytes: BlockBytes;
  readonly blockCount: number;
  readonly media: Media;

  /** `open` is asked for the media when the sizes are right; one of another size is closed again. */
  constructor(blockBytes: BlockBytes, capacityBytes: number | undefined, open: () => Media) {
    if (capacityBytes !== undefined) {
      requireBlocks(capacityBytes, blockBytes);
    }
    this.media = open();
    try {
      requireBlocks(this.media.sizeBytes, blockBytes);
    } catch (error) {
      this.media.close();
      throw error;
    }
    this.blockBytes = blockBytes;
    this.blockCount = this.media.sizeBytes / blockBytes;
  }

  contains(firstBlock: number, blockCount: number): boolean {
    return firstBlock + blockCount <= this.blockCount;
  }

  /** Host memory to media, as far as the media takes it. */
  store(port: DevicePort, firstBlock: number, runs: TransferRuns): Status {
    return this.#transfer(firstBlock, runs, (address, offset, lengthBytes) =>
      this.media.store(port, address, offset, lengthBytes),
    );
  }

  /** Media to host memory, but for what is to be discarded. */
  load(port: DevicePort, firstBlock: number, runs: TransferRuns): Status {
    return this.#transfer(firstBlock, runs, (address, offset, lengthBytes) =>
      address === DISCARDED ? STATUS.SUCCESS : this.media.load(port, address, offset, lengthBytes),
    );
  }

  zero(firstBlock: number, blockCount: number): Status {
    return this.media.zero(firstBlock * this.blockBytes, blockCount * this.blockBytes);
  }

  /** All runs, whatever becomes of one: what went wrong first is the answer. */
  #transfer(
    firstBlock: number,
    runs: TransferRuns,
    move: (address: number, offset: number, lengthBytes: number) => Status,
  ): Status {
    let offset = firstBlock * this.blockBytes;
    let status: Status = STATUS.SUCCESS;
    for (let index = 0; index < runs.length; index += 2) {
      const lengthBytes = runs[index + 1] as number;
      const moved = move(runs[index] as number, offset, lengthBytes);
      status = status === STATUS.SUCCESS ? moved : status;
      offset += lengthBytes;
    }
    return status;
  }
}

function requireBlocks(capacityBytes: number, blockBytes: BlockBytes): void {
  if (!(capacityBytes > 0 && capacityBytes % blockBytes === 0)) {
    throw new InputError({
      source: "nvme model",
      place: "capacityBytes",
      cause: `${capacityBytes} is not a positive multiple of the block size of ${blockBytes} bytes`,
      remedy: "State a whole number of blocks",
    });
  }
}
