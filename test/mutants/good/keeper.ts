/**
 * Keeper: a good importer that stays attached to a buffer and keeps its mappings from one use to the next.
 *
 * Uses of one buffer come one after the other. Told of a move, it lets go of what does not run at once, and of what
 * runs when that is over. A mutant hands in a `mistake`, which replaces one of these steps.
 */
import {
  type Attachment,
  type Direction,
  DMA,
  type DmaBuf,
  defineImporter,
  deviceWrites,
  type Importer,
  type ImporterDriver,
  type Mapping,
  P2P,
  PeerbufError,
  SoftwareFence,
  usageBefore,
} from "@peerbuf/core";
import type { DriverCheck } from "@peerbuf/testkit";
import { type ReaderParts, readerParts } from "./reader.ts";
import { ended } from "./transfer.ts";

export interface KeeperApi {
  use(buffer: DmaBuf, direction: Direction): Promise<Uint8Array>;
  letGo(buffer: DmaBuf): Promise<void>;
}

export const keeperCheck: DriverCheck<undefined, KeeperApi> = {
  start: (api, buffer, direction) => api.use(buffer, direction),
  stop: (api, buffer) => api.letGo(buffer),
};

/** One buffer that is kept. */
export interface Kept {
  readonly parts: ReaderParts;
  readonly buffer: DmaBuf;
  readonly attachment: Attachment;
  readonly mappings: Map<Direction, Mapping>;
  readonly running: Set<Mapping>;
  /** Ends when the uses that were asked for so far have ended. */
  last: Promise<unknown>;
}

/** The steps of a keeper: a mutant replaces some. */
export interface KeeperSteps {
  /** Buffers with the same key are the same buffer. */
  keyOf(buffer: DmaBuf): unknown;
  /** The answers to the framework. */
  importer(good: Importer): Partial<Importer>;
  /** The mapping is invalid from now on. */
  told(kept: Kept): void;
  /** A mapping for this direction, kept or new. */
  mapped(kept: Kept, direction: Direction): Mapping;
  mayBegin(kept: Kept, mapping: Mapping): boolean;
  /** After the work on it. */
  worked(kept: Kept, mapping: Mapping): void;
  /** The last of a buffer. */
  end(kept: Kept): Promise<void>;
}

const TRIES_MAX = 64;

export function keeperImporter(
  name: string,
  mistake: Partial<KeeperSteps> = {},
): ImporterDriver<undefined, KeeperApi> {
  const steps = { ...KEEPER, ...mistake };
  return defineImporter<undefined, KeeperApi>({
    name,
    needsDevice: true,
    open(services) {
      const parts = readerParts(name, services);
      const all = new Map<unknown, Kept>();
      return {
        api: {
          use(buffer, direction) {
            const key = steps.keyOf(buffer);
            const kept = all.get(key) ?? keep(parts, steps, buffer);
            all.set(key, kept);
            const use = kept.last.then(() => useOnce(kept, steps, direction));
            kept.last = use.catch(() => undefined);
            return use;
          },
          async letGo(buffer) {
            const kept = all.get(steps.keyOf(buffer));
            all.delete(steps.keyOf(buffer));
            await (kept && steps.end(kept));
          },
        },
      };
    },
  });
}

function keep(parts: ReaderParts, steps: KeeperSteps, buffer: DmaBuf): Kept {
  const { name, device } = parts;
  const good: Importer = {
    name,
    device,
    offer: () => ({ answer: "offer", types: [{ type: P2P }, { type: DMA }] }),
    invalidateMappings: () => steps.told(kept),
  };
  const attachment = buffer.attach({ ...good, ...steps.importer(good) });
  const empty = { mappings: new Map(), running: new Set<Mapping>(), last: Promise.resolve() };
  const kept: Kept = { parts, buffer, attachment, ...empty };
  return kept;
}

async function useOnce(kept: Kept, steps: KeeperSteps, direction: Direction): Promise<Uint8Array> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const mapping = steps.mapped(kept, direction);
    await kept.buffer.reservation.idleBefore(accessOf(direction));
    await mapping.ready?.signaled();
    if (steps.mayBegin(kept, mapping)) {
      return await work(kept, steps, mapping, direction);
    }
    if (mapping.isStale) {
      drop(kept, mapping);
    }
  }
  throw new PeerbufError("BUFFER_BUSY", `"${kept.buffer.name}" never came to rest`);
}

async function work(
  kept: Kept,
  steps: KeeperSteps,
  mapping: Mapping,
  direction: Direction,
): Promise<Uint8Array> {
  const { parts, buffer, running } = kept;
  const names = { driverName: parts.name, timelineName: buffer.name };
  const fence = new SoftwareFence(parts.fences.createContext(names), 1);
  buffer.addFence(fence, accessOf(direction));
  running.add(mapping);
  const local = new Uint8Array(buffer.sizeBytes).fill(0x3c);
  const access = accessOf(direction);
  parts.engine.start(mapping.segments, 0, local.length, access, local, (ok) => ended(fence, ok));
  const error = await fence.signaled();
  running.delete(mapping);
  steps.worked(kept, mapping);
  if (error !== undefined) {
    throw new PeerbufError("DEVICE_FAILED", error.message, { cause: error });
  }
  return local;
}

/** Unmaps it, unless somebody has done so. */
export function drop(kept: Kept, mapping: Mapping): void {
  for (const [direction, known] of kept.mappings) {
    if (known === mapping) {
      kept.mappings.delete(direction);
      mapping.unmap();
    }
  }
}

export function dropAll(kept: Kept): void {
  for (const mapping of [...kept.mappings.values()]) {
    drop(kept, mapping);
  }
}

const accessOf = (direction: Direction): "read" | "write" =>
  deviceWrites(direction) ? "write" : "read";

/** Good steps, for mutants to call before or after their mistake. */
export const KEEPER: KeeperSteps = {
  keyOf: (buffer) => buffer,
  importer: () => ({}),
  told(kept) {
    for (const mapping of [...kept.mappings.values()]) {
      if (!kept.running.has(mapping)) {
        drop(kept, mapping);
      }
    }
  },
  mapped(kept, direction) {
    const mapping = kept.mappings.get(direction) ?? kept.attachment.map(direction);
    kept.mappings.set(direction, mapping);
    return mapping;
  },
  mayBegin({ mappings, buffer: { reservation } }, mapping) {
    const { direction, isStale, ready } = mapping;
    const isFree = reservation.testSignaled(usageBefore(accessOf(direction)));
    const isThere = !isStale && ready?.isSignaled !== false;
    return mappings.get(direction) === mapping && isThere && isFree && !reservation.isLocked;
  },
  worked(kept, mapping) {
    if (mapping.isStale) {
      drop(kept, mapping);
    }
  },
  async end(kept) {
    await kept.last;
    dropAll(kept);
    kept.attachment.detach();
  },
};

export const goodKeeper: ImporterDriver<undefined, KeeperApi> = keeperImporter("good-keeper");
