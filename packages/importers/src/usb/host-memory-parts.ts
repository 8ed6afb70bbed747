/**
 * Host memory parts: all host memory that one xHCI controller works with: contexts, event queue and rings.
 *
 * Taken as a whole or not at all, and given back as a whole.
 */
import { type CoherentMemory, type DeviceDma, PAGE_BYTES } from "@peerbuf/core";
import { DEVICE_CONTEXT_BYTES } from "./contexts.ts";
import { EventQueue } from "./event-queue.ts";
import { ProducerRing } from "./producer-ring.ts";
import { ENDPOINT } from "./registers.ts";

/** The context array has an entry for each slot and one for scratchpads. */
const CONTEXT_ARRAY_BYTES = 2048;

export class HostMemoryParts {
  readonly contextArray: CoherentMemory;
  readonly deviceContext: CoherentMemory;
  readonly inputContext: CoherentMemory;
  readonly events: EventQueue;
  readonly commands: ProducerRing;
  /** By endpoint. */
  readonly pipes: ReadonlyMap<number, ProducerRing>;
  readonly #givers: readonly (() => void)[];

  /** `MEMORY_EXHAUSTED` when a part cannot be had; nothing is held then. */
  constructor(dma: DeviceDma) {
    const givers: (() => void)[] = [];
    const memory = (sizeBytes: number): CoherentMemory => {
      const taken = dma.allocateCoherent(sizeBytes);
      givers.push(() => dma.freeCoherent(taken));
      return taken;
    };
    const queue = <T extends { free(): void }>(make: () => T): T => {
      const taken = make();
      givers.push(() => taken.free());
      return taken;
    };
    this.#givers = givers;
    try {
      this.contextArray = memory(CONTEXT_ARRAY_BYTES);
      this.deviceContext = memory(DEVICE_CONTEXT_BYTES);
      this.inputContext = memory(PAGE_BYTES);
      this.events = queue(() => new EventQueue(dma));
      this.commands = queue(() => new ProducerRing(dma));
      const { CONTROL, OUT, IN } = ENDPOINT;
      const pipe = (endpoint: number): [number, ProducerRing] => [
        endpoint,
        queue(() => new ProducerRing(dma)),
      ];
      this.pipes = new Map([CONTROL, OUT, IN].map(pipe));
    } catch (error) {
      this.free();
      throw error;
    }
  }

  free(): void {
    for (const give of this.#givers.toReversed()) {
      give();
    }
  }
}
