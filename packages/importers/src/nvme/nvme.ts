/**
 * NVMe: block I/O straight between a drive and other drivers' buffers.
 *
 * The drive moves the data by its own DMA, so a buffer in a peer's memory is as good as one in the
 * host's. Each transfer attaches, maps, runs and lets go; a buffer that moves meanwhile is followed.
 *
 * The layout: `controller` (start and stop), `queue-pair` (commands on their way), `prp-list` and
 * `sgl-list` (the data of one command), `transfer` (blocks to commands), `import` (the buffer, from attach to detach).
 */
import {
  CLOCK,
  DEVICE,
  DEVICE_DMA,
  type DmaBuf,
  defineImporter,
  FENCES,
  HOST_MEMORY,
  type ImporterDriver,
  PeerbufError,
} from "@peerbuf/core";
import type { Negotiated } from "../negotiated.ts";
import { OPCODE } from "./commands.ts";
import { NvmeController } from "./controller.ts";
import type { NvmeIdentity } from "./identity.ts";
import { type NvmeOptions, withImport } from "./import.ts";
import { type DataPointers, ListPool } from "./list-pool.ts";
import { Transfer } from "./transfer.ts";

/** Which blocks and which part of the buffer. */
export interface NvmeRange {
  /** The first block of the drive. */
  readonly lba: number;
  /** Bytes into the buffer; a multiple of 4 unless the drive takes SGLs. Default 0. */
  readonly offset?: number;
  /** Whole blocks. Default: from `offset` to the end of the buffer. */
  readonly lengthBytes?: number;
}

/** A transfer that is over. */
export interface NvmeTransfer {
  readonly lengthBytes: number;
  readonly commandCount: number;
  /** Those among them whose data was told by an SGL. */
  readonly sglCount: number;
  /** On the platform's clock. */
  readonly elapsedNs: number;
  readonly negotiated: Negotiated;
}

/**
 * Errors of every call: `DEVICE_FAILED` when the drive reports a status (named, with its blocks) or the
 * buffer's bytes did not arrive; `DEVICE_GONE` when the drive is closed or fell silent; and what
 * attach and map refuse. Transfers may run side by side; their order is the caller's affair.
 */
export interface Nvme {
  /** Waits until the drive is started. */
  identity(): Promise<NvmeIdentity>;
  /** Buffer to drive: the device reads the buffer. */
  write(buffer: DmaBuf, range: NvmeRange): Promise<NvmeTransfer>;
  /** Drive to buffer: the device writes the buffer. */
  read(buffer: DmaBuf, range: NvmeRange): Promise<NvmeTransfer>;
  /** Resolves when what was written before is on the medium. */
  flush(): Promise<void>;
}

export const nvme: ImporterDriver<NvmeOptions | undefined, Nvme> = defineImporter<
  NvmeOptions | undefined,
  Nvme
>({
  name: "nvme",
  needsDevice: true,

  open(services, options = {}) {
    const clock = services.get(CLOCK);
    const dma = services.get(DEVICE_DMA);
    const device = services.get(DEVICE);
    const memory = services.get(HOST_MEMORY);
    const fences = services.get(FENCES);
    const controller = new NvmeController(services);
    let lists: ListPool | undefined;

    async function transfer(
      buffer: DmaBuf,
      range: NvmeRange,
      opcode: typeof OPCODE.READ | typeof OPCODE.WRITE,
    ): Promise<NvmeTransfer> {
      const identity = await controller.started;
      const { io, label } = controller;
      const pointers = pointersFor(options, identity, label);
      const usesSgls = pointers !== "prp";
      const request = { opcode, ...checked(buffer, range, identity.blockBytes, usesSgls ? 1 : 4) };
      lists ??= new ListPool(dma, pointers, identity);
      const running = new Transfer({ label, identity, io, lists }, request);
      const startNs = clock.nowNs;
      const negotiated = await withImport(
        { device, memory, fences, options, usesSgls },
        buffer,
        directionFor(request, buffer, options),
        (mapping) => running.run(mapping),
      );
      return {
        lengthBytes: request.lengthBytes,
        commandCount: running.commandCount,
        sglCount: running.sglCount,
        elapsedNs: clock.nowNs - startNs,
        negotiated,
      };
    }

    return {
      api: {
        identity: () => controller.started,
        write: (buffer, range) => transfer(buffer, range, OPCODE.WRITE),
        read: (buffer, range) => transfer(buffer, range, OPCODE.READ),
        flush: () => controller.flush(),
      },
      close() {
        controller.stop("is closed");
        lists?.close();
      },
    };
  },
});

/** A copy back is of the whole buffer: where the drive fills only a part, the rest must be there before. */
function directionFor(
  { opcode, lengthBytes }: { opcode: number; lengthBytes: number },
  { sizeBytes }: DmaBuf,
  { bounce = false }: NvmeOptions,
): "to-device" | "from-device" | "bidirectional" {
  if (opcode === OPCODE.WRITE) {
    return "to-device";
  }
  return bounce && lengthBytes < sizeBytes ? "bidirectional" : "from-device";
}

/** What this drive can be told with. `DEVICE_FAILED` when SGLs are asked for and it takes none. */
function pointersFor(
  { dataPointers = "auto" }: NvmeOptions,
  { takesSgls }: NvmeIdentity,
  label: string,
): DataPointers {
  if (dataPointers === "sgl" && !takesSgls) {
    throw new PeerbufError("DEVICE_FAILED", `${label} takes no SGLs that begin at any byte`);
  }
  return takesSgls ? dataPointers : "prp";
}

function checked(
  buffer: DmaBuf,
  { lba, offset = 0, lengthBytes = buffer.sizeBytes - offset }: NvmeRange,
  blockBytes: number,
  alignmentBytes: 1 | 4,
): { firstBlock: number; offset: number; lengthBytes: number } {
  if (!Number.isSafeInteger(lba) || lba < 0) {
    throw new PeerbufError("ARGUMENT_INVALID", `${lba} is not a block of a drive`);
  }
  if (!Number.isSafeInteger(lengthBytes) || lengthBytes <= 0 || lengthBytes % blockBytes !== 0) {
    throw new PeerbufError(
      "ARGUMENT_INVALID",
      `${lengthBytes} bytes are not a positive number of whole blocks of ${blockBytes} bytes`,
    );
  }
  if (!(offset >= 0 && offset % alignmentBytes === 0 && offset + lengthBytes <= buffer.sizeBytes)) {
    throw new PeerbufError(
      "ARGUMENT_INVALID",
      `${lengthBytes} bytes from byte ${offset} are not inside "${buffer.name}" of ${buffer.sizeBytes} bytes, at a multiple of ${alignmentBytes}`,
    );
  }
  return { firstBlock: lba, offset, lengthBytes };
}
