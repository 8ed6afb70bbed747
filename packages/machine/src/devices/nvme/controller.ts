/**
 * NVMe controller: a drive with one namespace, to be placed behind a captured function (NVMe 1.4).
 *
 * A driver sees a real NVMe interface: registers and doorbells in BAR0, commands fetched by DMA, data
 * told by PRPs or SGLs, completions posted by DMA with phase bits, one MSI-X vector for each completion
 * queue; and, where asked for, a controller memory buffer for data. Left out: arbitration classes,
 * metadata, log pages but the error log, features but the number of queues.
 *
 * The layout: `controller-state` (registers, doorbells, life and death), `queues`, `admin-commands`,
 * `io-commands`, `data-pointer` with `prp` and `sgl`, `namespace` and its `media`.
 */
import { PeerbufError } from "@peerbuf/core";
import type { BarModel, DeviceModel } from "../../device-model.ts";
import type { SparseMemory } from "../../sparse-memory.ts";
import { requireBar } from "../bar-choice.ts";
import { registerWindow } from "../register-window.ts";
import { ControllerState } from "./controller-state.ts";
import { FileMedia, type NamespaceFile } from "./file-media.ts";
import { type Media, MemoryMedia } from "./media.ts";
import { placeMemoryBuffer } from "./memory-buffer.ts";
import { Namespace } from "./namespace.ts";
import { NvmePace, type NvmePaceOptions } from "./pace.ts";
import { REGISTER } from "./registers.ts";

const CAPACITY_BYTES_DEFAULT = 2 ** 30;

export interface NvmeControllerOptions {
  /**
   * Size of the namespace in bytes, a multiple of the block size. Default: the size of `file`, else 1 GiB;
   * in memory only what is written takes room.
   */
  readonly capacityBytes?: number | undefined;
  /** Default 512. */
  readonly blockBytes?: 512 | 4096;
  /** Largest transfer of one command: 2^mdts pages of 4 KiB; 0: no limit. Default 7, which is 512 KiB. */
  readonly mdts?: number;
  /** Up to 20 ASCII characters. */
  readonly serial?: string;
  /** `true`: a controller memory buffer fills the function's largest prefetchable BAR, if it has one. Default `false`. */
  readonly memoryBuffer?: boolean;
  /** Keeps the namespace in this file on disk, which is open until `close`. Default: in memory. */
  readonly file?: NamespaceFile;
  /** How fast the drive is inside; its link may be slower. */
  readonly pace?: NvmePaceOptions;
}

export interface NvmeController extends DeviceModel, Disposable {
  /** Test instrument: what is in the drive, reached past the controller. */
  inspect(): {
    /** The bytes of the namespace. `ARGUMENT_INVALID` for one that is kept in a file: read the file. */
    readonly namespace: SparseMemory;
    /** The bytes of the controller memory buffer, where there is one. */
    readonly memoryBuffer: SparseMemory | undefined;
  };
  /** Closes the namespace's file. Commands end with Namespace Not Ready from then on. A second time does nothing. */
  close(): void;
}

/**
 * A model to be placed behind a function with a memory BAR0 of at least 8 KiB. `InputError` for sizes that
 * are no whole blocks and for a file that cannot be opened, is no ordinary one or is too short.
 */
export function createNvmeController(options: NvmeControllerOptions = {}): NvmeController {
  const { capacityBytes, blockBytes = 512 } = options;
  const namespace = new Namespace(blockBytes, capacityBytes, () => openMedia(options));
  const { media } = namespace;
  const pace = new NvmePace(options.pace ?? {});
  const identity = {
    serial: options.serial ?? "PEERBUF0001",
    model: "peerbuf modelled NVMe controller",
    firmware: "1.0",
    mdts: options.mdts ?? 7,
  };
  let controller: ControllerState | undefined;

  return {
    name: "nvme",
    connect(port, bars): ReadonlyMap<number, BarModel> {
      const found = bars.find((bar) => bar.index === 0 && bar.sizeBytes >= 2 * REGISTER.DOORBELLS);
      const bar = requireBar(found, port.bdf, "nvme", "a memory BAR0 of at least 8 KiB", bars);
      const memoryBuffer = options.memoryBuffer === true ? placeMemoryBuffer(bars) : undefined;
      controller = new ControllerState(port, identity, namespace, memoryBuffer, pace);
      const answers = new Map([[bar.index, registerWindow(controller)]]);
      return memoryBuffer === undefined
        ? answers
        : answers.set(memoryBuffer.barIndex, memoryBuffer.bar);
    },
    reset: () => controller?.powerOn(),
    inspect: () => ({
      get namespace(): SparseMemory {
        return memoryOf(media);
      },
      memoryBuffer: controller?.memoryBuffer?.memory,
    }),
    close: () => media.close(),
    [Symbol.dispose]: () => media.close(),
  };
}

function openMedia({ file, capacityBytes }: NvmeControllerOptions): Media {
  return file === undefined
    ? new MemoryMedia(capacityBytes ?? CAPACITY_BYTES_DEFAULT)
    : FileMedia.open(file, capacityBytes);
}

function memoryOf(media: Media): SparseMemory {
  if (media instanceof MemoryMedia) {
    return media.memory;
  }
  throw new PeerbufError("ARGUMENT_INVALID", "this namespace is kept in a file: read the file");
}
