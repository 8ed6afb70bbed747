/**
 * my-driver: an importer. Its device reads and writes buffers that others own, by DMA.
 *
 * One use: attach, map, wait for others and for the bytes, tell others, let the engine run, let go in reverse
 * order. The buffer may move meanwhile: then it maps again. The engine here is the kit's; put your
 * device's registers, reached through the tokens BARS, DEVICE_DMA and INTERRUPTS, in its place.
 */
import {
  type Attachment,
  DEVICE,
  type Device,
  type Direction,
  DMA,
  type DmaBuf,
  defineImporter,
  deviceWrites,
  FENCES,
  type FenceDomain,
  FenceError,
  type Importer,
  type ImporterDriver,
  type Mapping,
  P2P,
  PeerbufError,
  SoftwareFence,
  usageBefore,
} from "@peerbuf/core";
import { DMA_ENGINE, type DmaEngine, type ImporterCheck } from "@peerbuf/testkit";

export interface Transfers {
  /** Resolves with the bytes in the device after the transfer. `DEVICE_FAILED` when the device met an error. */
  transfer(buffer: DmaBuf, direction: Direction): Promise<Uint8Array>;
}

const driver: ImporterDriver<undefined, Transfers> = defineImporter<undefined, Transfers>({
  name: "my-driver",
  needsDevice: true,

  open(services) {
    const device = services.get(DEVICE);
    const engine = services.get(DMA_ENGINE);
    const fences = services.get(FENCES);

    return {
      api: {
        transfer: (buffer, direction) =>
          new Transfer(device, engine, fences, buffer, direction).run(),
      },
    };
  },
});

export default driver;

/** How the kit makes this driver do something. */
export const check: ImporterCheck<undefined, Transfers> = {
  start: (api, buffer, direction) => api.transfer(buffer, direction),
};

/** How often the buffer may move away before a transfer gives up. */
const TRIES_MAX = 64;

class Transfer {
  readonly #engine: DmaEngine;
  readonly #fences: FenceDomain;
  readonly #buffer: DmaBuf;
  readonly #direction: Direction;
  readonly #importer: Importer;
  #mapping: Mapping | undefined;
  #isRunning = false;

  constructor(
    device: Device,
    engine: DmaEngine,
    fences: FenceDomain,
    buffer: DmaBuf,
    direction: Direction,
  ) {
    this.#engine = engine;
    this.#fences = fences;
    this.#buffer = buffer;
    this.#direction = direction;
    this.#importer = {
      name: "my-driver",
      device,
      offer: () => ({ answer: "offer", types: [{ type: P2P }, { type: DMA }] }),
      // Work that runs has its fence on the reservation; a mapping that only waits is let go of at once.
      invalidateMappings: () => {
        if (!this.#isRunning) {
          this.#unmap();
        }
      },
    };
  }

  async run(): Promise<Uint8Array> {
    using attachment = this.#buffer.attach(this.#importer);
    try {
      const [mapping, fence] = await this.#begun(attachment);
      return await this.#work(mapping, fence);
    } finally {
      this.#unmap();
    }
  }

  /** Nothing can happen between the last look at the mapping and the fence that tells others: no `await`. */
  async #begun(attachment: Attachment): Promise<[Mapping, SoftwareFence]> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      this.#mapping ??= attachment.map(this.#direction);
      const mapping = this.#mapping;
      await this.#buffer.reservation.idleBefore(this.#access);
      await arrived(mapping);
      if (this.#mapping === mapping && this.#mayBegin(mapping)) {
        return [mapping, this.#announce()];
      }
      if (mapping.isStale) {
        this.#unmap();
      }
    }
    throw new PeerbufError("BUFFER_BUSY", `"${this.#buffer.name}" never came to rest`);
  }

  get #access(): "read" | "write" {
    return deviceWrites(this.#direction) ? "write" : "read";
  }

  #mayBegin({ isStale, ready }: Mapping): boolean {
    const { reservation } = this.#buffer;
    const isFree = reservation.testSignaled(usageBefore(this.#access)) && !reservation.isLocked;
    return !isStale && ready?.isSignaled !== false && isFree;
  }

  async #work({ segments }: Mapping, fence: SoftwareFence): Promise<Uint8Array> {
    const local = new Uint8Array(segments.sizeBytes);
    this.#engine.start(segments, 0, local.length, this.#access, local, (isWell) => {
      if (!isWell) {
        fence.setError(new FenceError("EIO", "the engine met an error"));
      }
      fence.signal();
    });
    const error = await fence.signaled();
    this.#isRunning = false;
    if (error !== undefined) {
      throw new PeerbufError("DEVICE_FAILED", error.message, { cause: error });
    }
    return local;
  }

  /** From here on whoever moves, reads or releases the bytes waits for the device. */
  #announce(): SoftwareFence {
    const names = { driverName: "my-driver", timelineName: this.#buffer.name };
    const fence = new SoftwareFence(this.#fences.createContext(names), 1);
    this.#buffer.addFence(fence, this.#access);
    this.#isRunning = true;
    return fence;
  }

  #unmap(): void {
    const mapping = this.#mapping;
    this.#mapping = undefined;
    mapping?.unmap();
  }
}

async function arrived({ ready }: Mapping): Promise<void> {
  const error = await ready?.signaled();
  if (error !== undefined) {
    throw new PeerbufError("DEVICE_FAILED", `the bytes did not arrive: ${error.message}`);
  }
}
