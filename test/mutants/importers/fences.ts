/** Mutants of fences: too late, too early, without the error, or somebody else's. */
import { CLOCK, FenceDomain, PeerbufError, SoftwareFence } from "@peerbuf/core";
import { accessOf, engineKind, GOOD, over, readerImporter, type Use } from "../good/reader.ts";
import { ended } from "../good/transfer.ts";
import { readerMutant } from "./family.ts";

const unpublished = (use: Use): SoftwareFence => {
  const { fences, name } = use.parts;
  const context = fences.createContext({ driverName: name, timelineName: use.buffer.name });
  use.isRunning = true;
  return new SoftwareFence(context, 1);
};

export const tellsOthersAfterwards = readerMutant({
  rules: ["IMP-043"],
  by: "contract",
  isExact: true,
  mistake: "starts its device first and publishes the fence when it gets round to it",
  driver: readerImporter("tells-others-afterwards", "movable", {
    announce: unpublished,
    async run(use, mapping, fence) {
      const { segments } = mapping;
      const done = (ok: boolean): void => ended(fence, ok);
      use.parts.engine.start(segments, 0, segments.sizeBytes, engineKind(use), use.local, done);
      await Promise.resolve();
      use.buffer.addFence(fence, accessOf(use));
      await over(use, fence);
    },
  }),
});

export const tellsOthersOnce = readerMutant({
  rules: ["IMP-041", "IMP-043"],
  by: "contract",
  isExact: true,
  mistake: "publishes the fence of every second use only",
  driver: readerImporter("tells-others-once", "movable", {
    announce: (use) => (isOdd(use) ? GOOD.announce(use) : unpublished(use)),
  }),
});

const uses = new WeakMap<object, number>();
const isOdd = ({ parts }: Use): boolean => {
  const count = (uses.get(parts) ?? 0) + 1;
  uses.set(parts, count);
  return count % 2 === 1;
};

export const signalsWhenSubmitted = readerMutant({
  rules: ["IMP-043"],
  by: "contract",
  isExact: true,
  mistake: "signals the fence when the device has taken the work, not when it has done it",
  driver: readerImporter("signals-when-submitted", "movable", {
    async run(use, mapping, fence) {
      const { engine } = use.parts;
      const { segments } = mapping;
      const kind = engineKind(use);
      const work = new Promise<void>((done) => {
        engine.start(segments, 0, segments.sizeBytes, kind, use.local, () => done());
      });
      fence.signal();
      await work;
      use.isRunning = false;
    },
  }),
});

export const signalsAfterTheFirstPiece = readerMutant({
  rules: ["IMP-043", "IMP-014"],
  by: "contract",
  isExact: true,
  mistake: "cuts the work into four pieces and signals when the first is done",
  driver: readerImporter("signals-after-the-first-piece", "movable", {
    async run(use, mapping, fence) {
      await inPieces(use, mapping.segments.sizeBytes, (index, ok) => {
        if (index === 0) {
          ended(fence, ok);
        }
      });
      await over(use, fence);
    },
  }),
});

async function inPieces(
  use: Use,
  sizeBytes: number,
  heard: (index: number, ok: boolean) => void,
): Promise<void> {
  const { mapping, local, parts } = use;
  const segments = mapping?.segments;
  const length = sizeBytes / 4;
  for (let index = 0; segments !== undefined && index < 4; index++) {
    const part = local.subarray(index * length, (index + 1) * length);
    await new Promise<void>((done) => {
      parts.engine.start(segments, index * length, length, engineKind(use), part, (ok) => {
        heard(index, ok);
        done();
      });
    });
  }
}

export const givesUpOnItsDevice = readerMutant({
  rules: ["IMP-043", "IMP-028"],
  by: "explorer",
  mistake:
    "after a timeout it signals, unmaps and goes home; the device does not know and works on",
  driver: readerImporter("gives-up-on-its-device", "movable", {
    async run(use, mapping, fence) {
      const { engine, services } = use.parts;
      const { segments } = mapping;
      const done = (ok: boolean): void => void (fence.isSignaled || ended(fence, ok));
      services.get(CLOCK).schedule(50_000, () => done(false));
      engine.start(segments, 0, segments.sizeBytes, engineKind(use), use.local, done);
      await over(use, fence);
    },
  }),
});

export const keepsTheErrorToItself = readerMutant({
  rules: ["IMP-042"],
  by: "contract",
  isExact: true,
  mistake: "the fence carries the device's error, and the user hears that all went well",
  driver: readerImporter("keeps-the-error-to-itself", "movable", {
    async run(use, mapping, fence) {
      try {
        await GOOD.run(use, mapping, fence);
      } catch (error) {
        if (!(error instanceof PeerbufError && error.code === "DEVICE_FAILED")) {
          throw error;
        }
      }
    },
  }),
});

export const losesTheError = readerMutant({
  rules: ["SYN-021", "IMP-042"],
  by: "contract",
  isExact: true,
  mistake: "signals the same whether the device did its work or not",
  driver: readerImporter("loses-the-error", "movable", {
    async run(use, mapping, fence) {
      const { segments } = mapping;
      const done = (): void => void fence.signal();
      use.parts.engine.start(segments, 0, segments.sizeBytes, engineKind(use), use.local, done);
      await over(use, fence);
    },
  }),
});

export const writesUnderARead = readerMutant({
  rules: ["IMP-027"],
  by: "contract",
  isExact: true,
  mistake: "publishes every use as a read, those in which its device writes as well",
  driver: readerImporter("writes-under-a-read", "movable", {
    announce(use) {
      const fence = unpublished(use);
      use.buffer.addFence(fence, "read");
      return fence;
    },
  }),
});

export const bringsItsOwnDomain = readerMutant({
  rules: ["IMP-046"],
  by: "contract",
  isExact: true,
  mistake: "makes its fences in a domain of its own, where contexts have the same numbers",
  driver: readerImporter("brings-its-own-domain", "movable", {
    announce(use) {
      const domain = new FenceDomain(use.parts.services.get(CLOCK));
      const names = { driverName: use.parts.name, timelineName: "of its own" };
      const fence = new SoftwareFence(domain.createContext(names), 1);
      use.buffer.addFence(fence, accessOf(use));
      use.isRunning = true;
      return fence;
    },
  }),
});

export const hearsWithAThrow = readerMutant({
  rules: ["SYN-016"],
  by: "contract",
  isExact: true,
  mistake: "its callback on the fence of the bytes throws",
  driver: readerImporter("hears-with-a-throw", "movable", {
    async prepare(use, mapping) {
      mapping.ready?.addCallback(() => {
        throw new Error(`${use.parts.name}: nobody has set up the ring`);
      }, use.parts.name);
      await GOOD.prepare(use, mapping);
    },
  }),
});

export const throwsWhenItIsDone = readerMutant({
  rules: ["PLT-035"],
  by: "contract",
  isExact: true,
  mistake: "its completion signals, and then meets a status that it does not know",
  driver: readerImporter("throws-when-it-is-done", "movable", {
    async run(use, mapping, fence) {
      const { segments } = mapping;
      const done = (ok: boolean): void => {
        ended(fence, ok);
        if (!ok) {
          throw new TypeError("cannot read properties of undefined (reading 'status')");
        }
      };
      use.parts.engine.start(segments, 0, segments.sizeBytes, engineKind(use), use.local, done);
      await over(use, fence);
    },
  }),
});

export const ringsTheBellBlindly = readerMutant({
  rules: ["IMP-014", "IMP-040", "IMP-022"],
  by: "contract",
  isExact: true,
  mistake:
    "waits for everybody, then for a free slot of its queue, and starts without another look",
  driver: readerImporter("rings-the-bell-blindly", "movable", {
    importer: () => ({ invalidateMappings() {} }),
    async prepare(use, mapping) {
      await GOOD.prepare(use, mapping);
      const clock = use.parts.services.get(CLOCK);
      await new Promise<void>((free) => void clock.schedule(500, () => free()));
    },
    isReady: () => true,
  }),
});
