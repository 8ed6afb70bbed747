/**
 * Unusual importers: each keeps every rule in its own way, and the kit must find nothing in any of them.
 */
import {
  askSystem,
  CLOCK,
  DMA,
  decline,
  type Importer,
  P2P,
  reason,
  SoftwareFence,
} from "@peerbuf/core";
import type { DriverCheck } from "@peerbuf/testkit";
import { readerCheck } from "../importers/family.ts";
import type { Mutant } from "../mutant.ts";
import { goodBouncer } from "./bouncer.ts";
import { goodKeeper, keeperCheck } from "./keeper.ts";
import { engineKind, GOOD, over, type ReaderApi, readerImporter, type Use } from "./reader.ts";
import { ended } from "./transfer.ts";

const BOTH = [{ type: P2P }, { type: DMA }];
const limited = ({ device }: Importer, limits: object): Partial<Importer> => ({
  offer: () => ({ answer: "offer", types: BOTH, limits: { ...device.limits, ...limits } }),
});

const pinsBeforeItMaps = readerImporter("pins-before-it-maps", "movable", {
  async prepare(use, mapping) {
    if (use.attachment.pinCount === 0) {
      use.attachment.pin();
    }
    await GOOD.prepare(use, mapping);
  },
  finish(use) {
    use.mapping?.unmap();
    use.mapping = undefined;
    while (use.attachment.pinCount > 0) {
      use.attachment.unpin();
    }
    use.attachment.detach();
  },
});

const takesOnePiece = readerImporter("takes-one-piece", "movable", {
  importer: () => ({
    take: ({ segments, target }) => {
      const why = reason("TOO_MANY_PIECES", `${segments.count} pieces, and it has one slot`);
      if (segments.count === 1) {
        return { answer: "take" };
      }
      return target === "device" ? askSystem(why) : decline(why.code, why.text);
    },
  }),
});

const thirtyTwoBits = readerImporter("thirty-two-bits", "movable", {
  importer: (good) => limited(good, { addressMax: 2 ** 32 - 1 }),
});

const systemMemoryOnly = readerImporter("system-memory-only", "movable", {
  importer: () => ({
    offer: () => ({
      answer: "offer",
      types: [{ type: DMA }],
      reason: reason("NO_PEERS", "it touches pages with its CPU as well"),
    }),
  }),
});

const readOnly = readerImporter("read-only", "movable");
const readOnlyCheck: DriverCheck<undefined, ReaderApi> = {
  ...readerCheck,
  directions: ["to-device"],
};

/** Tells implicit users nothing: its users synchronise by themselves. */
const explicitSync = readerImporter("explicit-sync", "movable", {
  announce(use) {
    const { fences, name } = use.parts;
    const context = fences.createContext({ driverName: name, timelineName: "explicit" });
    const fence = new SoftwareFence(context, 1);
    use.buffer.addFence(fence, "bookkeep");
    use.isRunning = true;
    return fence;
  },
});

/** One fence over four jobs of its engine. */
const worksInPieces = readerImporter("works-in-pieces", "movable", {
  async run(use, { segments }, fence) {
    const length = segments.sizeBytes / 4;
    const piece = (index: number): void => {
      const at = index * length;
      const part = use.local.subarray(at, at + length);
      use.parts.engine.start(segments, at, length, engineKind(use), part, (ok) =>
        ok && index < 3 ? piece(index + 1) : ended(fence, ok),
      );
    };
    piece(0);
    await over(use, fence);
  },
});

/** All of them at once, and the fence when the last is done. */
const worksInParallel = readerImporter("works-in-parallel", "movable", {
  async run(use, { segments }, fence) {
    const length = segments.sizeBytes / 4;
    let left = 4;
    let isWell = true;
    for (let at = 0; at < segments.sizeBytes; at += length) {
      const part = use.local.subarray(at, at + length);
      use.parts.engine.start(segments, at, length, engineKind(use), part, (ok) => {
        isWell &&= ok;
        if (--left === 0) {
          ended(fence, isWell);
        }
      });
    }
    await over(use, fence);
  },
});

/** An engine that failed gets two more chances before the user hears of it. */
const triesAgain = readerImporter("tries-again", "movable", {
  async run(use, { segments }, fence) {
    const begin = (triesLeft: number): void => {
      const { engine } = use.parts;
      engine.start(segments, 0, use.local.length, engineKind(use), use.local, (ok) =>
        ok || triesLeft === 0 ? ended(fence, ok) : begin(triesLeft - 1),
      );
    };
    begin(2);
    await over(use, fence);
  },
});

/** Collects work for a while before it looks for the buffer at all. */
const mapsLate = readerImporter("maps-late", "movable", {
  async prepare(use, mapping) {
    const clock = use.parts.services.get(CLOCK);
    await new Promise<void>((over) => void clock.schedule(2_000, () => over()));
    await GOOD.prepare(use, mapping);
  },
});

/** Works on one buffer at a time, in the order in which it was asked. */
const oneAtATime = readerImporter("one-at-a-time", "movable", {
  async prepare(use, mapping) {
    await turnOf(use);
    await GOOD.prepare(use, mapping);
  },
  finish(use) {
    turns.get(use)?.();
    GOOD.finish(use);
  },
});

const lines = new WeakMap<object, Promise<void>>();
const turns = new WeakMap<object, () => void>();

async function turnOf(use: Use): Promise<void> {
  if (turns.has(use)) {
    return;
  }
  const before = lines.get(use.parts) ?? Promise.resolve();
  const mine = new Promise<void>((over) => turns.set(use, over));
  lines.set(
    use.parts,
    before.then(() => mine),
  );
  await before;
}

export const UNUSUAL_IMPORTERS: readonly Pick<Mutant, "driver" | "check">[] = [
  ...[pinsBeforeItMaps, takesOnePiece, thirtyTwoBits, systemMemoryOnly, explicitSync].map(
    (driver) => ({ driver, check: readerCheck }),
  ),
  ...[worksInPieces, worksInParallel, triesAgain, mapsLate, oneAtATime, goodBouncer].map(
    (driver) => ({ driver, check: readerCheck }),
  ),
  { driver: readOnly, check: readOnlyCheck },
  { driver: goodKeeper, check: keeperCheck },
];
