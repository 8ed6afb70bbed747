/**
 * Reader: a good small importer, on which the mutants of its family are built.
 *
 * One use: attach, map, wait for others and for the bytes, tell others, let the device's engine run, let go in
 * reverse order. When the buffer moves before the engine runs, it maps again. A mutant hands in a
 * `mistake`, which replaces one of these steps.
 */
import {
  type Attachment,
  type BufferFacts,
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
  LockOwner,
  type Mapping,
  P2P,
  PeerbufError,
  type Services,
  SoftwareFence,
  usageBefore,
} from "@peerbuf/core";
import { DMA_ENGINE, type DmaEngine } from "@peerbuf/testkit";
import { replaced } from "./replaced.ts";

/** What users of the driver call. Both answer the device's own memory after the transfer. */
export interface ReaderApi {
  use(buffer: DmaBuf, direction: Direction): Promise<Uint8Array>;
}

export type Manner = "movable" | "revocable" | "pinned";

/** What `open` took. */
export interface ReaderParts {
  readonly services: Services;
  readonly device: Device;
  readonly engine: DmaEngine;
  readonly fences: FenceDomain;
  readonly name: string;
}

/** One use of one buffer. */
export interface Use {
  readonly parts: ReaderParts;
  readonly buffer: DmaBuf;
  readonly direction: Direction;
  /** The device's own memory. */
  readonly local: Uint8Array;
  attachment: Attachment;
  mapping: Mapping | undefined;
  /** The engine is at work; its fence is on the reservation. */
  isRunning: boolean;
}

/** The steps of a use: a mutant replaces some. */
export interface ReaderSteps {
  /** The answers to the framework. */
  importer(good: Importer, use: Use): Partial<Importer>;
  /** Waits for others and for the bytes of the mapping. */
  prepare(use: Use, mapping: Mapping): Promise<void>;
  /** After waiting: may the engine begin at this very moment? */
  isReady(use: Use, mapping: Mapping): boolean;
  /** A fence for the work that begins now. */
  announce(use: Use): SoftwareFence;
  /** The engine's work, until it is over. */
  run(use: Use, mapping: Mapping, fence: SoftwareFence): Promise<void>;
  /** Gives back what the use took, whatever happened. */
  finish(use: Use): void;
  /** Waits for what `finish` has begun. */
  settle(use: Use): Promise<void>;
  /** The attachment did not come to be. */
  refused(use: Use): void;
  close(parts: ReaderParts): void;
}

/** How often a mapping may be lost to a move before the use gives up. */
const TRIES_MAX = 64;

export function readerImporter(
  name: string,
  manner: Manner,
  mistake: Partial<ReaderSteps> = {},
): ImporterDriver<undefined, ReaderApi> {
  const steps = { ...GOOD, ...mistake };
  return defineImporter<undefined, ReaderApi>({
    name,
    needsDevice: true,
    open(services) {
      const parts = readerParts(name, services);
      return {
        api: { use: (buffer, direction) => useOnce(parts, steps, manner, buffer, direction) },
        close: () => steps.close(parts),
      };
    },
  });
}

/** What any importer of these families takes at open. */
export const readerParts = (name: string, services: Services): ReaderParts => ({
  services,
  device: services.get(DEVICE),
  engine: services.get(DMA_ENGINE),
  fences: services.get(FENCES),
  name,
});

async function useOnce(
  parts: ReaderParts,
  steps: ReaderSteps,
  manner: Manner,
  buffer: DmaBuf,
  direction: Direction,
): Promise<Uint8Array> {
  const local = new Uint8Array(buffer.sizeBytes).fill(0x5a);
  const state = { mapping: undefined, isRunning: false };
  const use = { parts, buffer, direction, local, ...state } as unknown as Use;
  const good = answers(parts, manner, use);
  try {
    use.attachment = buffer.attach(replaced(good, steps.importer(good, use)));
  } catch (error) {
    steps.refused(use);
    throw error;
  }
  try {
    await steps.run(use, ...(await begun(use, steps)));
    return local;
  } finally {
    steps.finish(use);
    await steps.settle(use);
  }
}

/** A mapping to use and the fence of the work: nothing happens between the last look and the fence. */
async function begun(use: Use, steps: ReaderSteps): Promise<[Mapping, SoftwareFence]> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    use.mapping ??= use.attachment.map(use.direction);
    const { mapping } = use;
    await steps.prepare(use, mapping);
    if (steps.isReady(use, mapping)) {
      return [mapping, steps.announce(use)];
    }
    if (mapping.isStale) {
      letGo(use);
    }
  }
  throw new PeerbufError("BUFFER_BUSY", `"${use.buffer.name}" never came to rest`);
}

function answers({ name, device }: ReaderParts, manner: Manner, use: Use): Importer {
  const offer = (_buffer: BufferFacts) =>
    ({ answer: "offer", types: [{ type: P2P }, { type: DMA }] }) as const;
  if (manner === "pinned") {
    return { name, device, offer };
  }
  // Work that runs has its fence on the reservation; a mapping that only waits is let go of at once.
  const invalidateMappings = () => {
    if (!use.isRunning) {
      letGo(use);
    }
  };
  return { name, device, offer, invalidateMappings, pins: manner === "revocable" };
}

export function letGo(use: Use): void {
  const { mapping } = use;
  use.mapping = undefined;
  mapping?.unmap();
}

export const accessOf = (use: Use): "read" | "write" =>
  deviceWrites(use.direction) ? "write" : "read";

/** Good steps, for mutants to call before or after their mistake. */
export const GOOD: ReaderSteps = {
  importer: () => ({}),
  async prepare(use, mapping) {
    await othersAreDone(use);
    await arrived(use, mapping);
  },
  isReady: (use, mapping) =>
    use.mapping === mapping && !mapping.isStale && !isMoving(mapping) && isFree(use),
  announce(use) {
    const { fences, name } = use.parts;
    const context = fences.createContext({ driverName: name, timelineName: use.buffer.name });
    const fence = new SoftwareFence(context, 1);
    use.buffer.addFence(fence, accessOf(use));
    use.isRunning = true;
    return fence;
  },
  async run(use, mapping, fence) {
    const { engine, name } = use.parts;
    const { segments } = mapping;
    engine.start(segments, 0, segments.sizeBytes, engineKind(use), use.local, (ok) => {
      if (!ok) {
        fence.setError(new FenceError("EIO", `${name}: the engine met an error`));
      }
      fence.signal();
    });
    await over(use, fence);
  },
  finish(use) {
    try {
      letGo(use);
    } finally {
      use.attachment.detach();
    }
  },
  async settle() {},
  refused() {},
  close() {},
};

/** A device that writes the buffer empties its own memory into it. */
export const engineKind = (use: Use): "read" | "write" => accessOf(use);

export async function over(use: Use, fence: SoftwareFence): Promise<void> {
  const error = await fence.signaled();
  use.isRunning = false;
  if (error !== undefined) {
    throw new PeerbufError("DEVICE_FAILED", error.message, { cause: error });
  }
}

export async function othersAreDone(use: Use): Promise<void> {
  const { reservation } = use.buffer;
  if (reservation.isLocked) {
    const owner = new LockOwner(use.parts.name);
    await reservation.lock(owner);
    reservation.unlock(owner);
  }
  await reservation.idleBefore(accessOf(use));
}

const isMoving = ({ ready }: Mapping): boolean => ready?.isSignaled === false;

const isFree = (use: Use): boolean => {
  const { reservation } = use.buffer;
  return !reservation.isLocked && reservation.testSignaled(usageBefore(accessOf(use)));
};

export async function arrived(use: Use, { ready }: Mapping): Promise<void> {
  const error = await ready?.signaled();
  if (error !== undefined) {
    const text = `the bytes of "${use.buffer.name}" did not arrive: ${error.message}`;
    throw new PeerbufError("DEVICE_FAILED", text, { cause: error });
  }
}

export const goodMovable: ImporterDriver<undefined, ReaderApi> = readerImporter(
  "good-movable",
  "movable",
);
export const goodRevocable: ImporterDriver<undefined, ReaderApi> = readerImporter(
  "good-revocable",
  "revocable",
);
export const goodPinned: ImporterDriver<undefined, ReaderApi> = readerImporter(
  "good-pinned",
  "pinned",
);
