/** Mutants of waiting: for others, for the bytes, and those who make others wait. */
import { FenceError, LockOwner, reason, SoftwareFence } from "@peerbuf/core";
import {
  accessOf,
  arrived,
  engineKind,
  GOOD,
  letGo,
  over,
  readerImporter,
} from "../good/reader.ts";
import { readerMutant } from "./family.ts";

const isCurrent: typeof GOOD.isReady = (use, mapping) =>
  use.mapping === mapping && !mapping.isStale;

export const startsBeforeTheBytesArrive = readerMutant({
  rules: ["IMP-022", "IMP-037"],
  by: "contract",
  mistake: "does not look at the mapping's ready fence: the bytes are still on their way",
  driver: readerImporter("starts-before-the-bytes-arrive", "movable", {
    async prepare() {},
    isReady: isCurrent,
  }),
});

export const overtakesWriters = readerMutant({
  rules: ["IMP-040"],
  by: "explorer",
  mistake: "waits for the move but not for whoever writes: it reads half of the old bytes",
  driver: readerImporter("overtakes-writers", "movable", {
    prepare: (use, mapping) => arrived(use, mapping),
    isReady: (use, mapping) => isCurrent(use, mapping) && mapping.ready?.isSignaled !== false,
  }),
});

export const looksOnlyOnce = readerMutant({
  rules: ["IMP-014", "IMP-040"],
  by: "contract",
  mistake: "waits, and then begins without another look: somebody else was quicker",
  driver: readerImporter("looks-only-once", "movable", {
    importer: () => ({ invalidateMappings() {} }),
    isReady: () => true,
  }),
});

export const worksUnannounced = readerMutant({
  rules: ["IMP-041", "IMP-016", "IMP-028"],
  by: "contract",
  mistake: "no fence on the reservation: the buffer moves away under the running engine",
  driver: readerImporter("works-unannounced", "movable", {
    announce(use) {
      const { fences, name } = use.parts;
      const context = fences.createContext({ driverName: name, timelineName: "private" });
      use.isRunning = true;
      return new SoftwareFence(context, 1);
    },
  }),
});

export const announcesAWriteAsARead = readerMutant({
  rules: ["IMP-027"],
  by: "contract",
  mistake: "every job is announced as a read: readers do not wait for what the device writes",
  driver: readerImporter("announces-a-write-as-a-read", "movable", {
    announce(use) {
      const { fences, name } = use.parts;
      const context = fences.createContext({ driverName: name, timelineName: use.buffer.name });
      const fence = new SoftwareFence(context, 1);
      use.buffer.addFence(fence, "read");
      use.isRunning = true;
      return fence;
    },
  }),
});

export const forgetsTheSignalOnFailure = readerMutant({
  rules: ["SYN-002"],
  by: "explorer",
  mistake: "the engine's error path returns before the fence is signaled: everyone waits for ever",
  driver: readerImporter("forgets-the-signal-on-failure", "movable", {
    async run(use, { segments }, fence) {
      const { engine } = use.parts;
      await new Promise<void>((resolve) => {
        engine.start(segments, 0, segments.sizeBytes, engineKind(use), use.local, (ok) => {
          if (ok) {
            fence.signal();
          }
          resolve();
        });
      });
      use.isRunning = false;
    },
  }),
});

export const signalsTwice = readerMutant({
  rules: ["SYN-001"],
  by: "contract",
  mistake: "the interrupt signals the fence, and so does the function that waited for it",
  driver: readerImporter("signals-twice", "pinned", {
    async run(use, mapping, fence) {
      await GOOD.run(use, mapping, fence);
      fence.signal();
    },
  }),
});

export const signalsBeforeTheEngine = readerMutant({
  rules: ["IMP-043", "IMP-016", "IMP-028"],
  by: "contract",
  mistake: "the fence signals when the job is queued, not when it is over",
  driver: readerImporter("signals-before-the-engine", "movable", {
    async run(use, { segments }, fence) {
      const { engine } = use.parts;
      engine.start(segments, 0, segments.sizeBytes, engineKind(use), use.local, () => {});
      fence.signal();
      await over(use, fence);
    },
  }),
});

export const setsTheErrorTooLate = readerMutant({
  rules: ["SYN-012"],
  by: "explorer",
  mistake: "signals first and sets the error after: those who waited see success",
  driver: readerImporter("sets-the-error-too-late", "pinned", {
    async run(use, { segments }, fence) {
      const { engine } = use.parts;
      engine.start(segments, 0, segments.sizeBytes, engineKind(use), use.local, (ok) => {
        fence.signal();
        if (!ok) {
          fence.setError(new FenceError("EIO", "the engine met an error"));
        }
      });
      await over(use, fence);
    },
  }),
});

export const locksOnTheWayToTheSignal = readerMutant({
  rules: ["SYN-004"],
  by: "contract",
  mistake:
    "its completion takes the reservation's lock before it signals: who holds it may wait for it",
  driver: readerImporter("locks-on-the-way-to-the-signal", "movable", {
    async run(use, { segments }, fence) {
      const { engine, name } = use.parts;
      const { reservation } = use.buffer;
      engine.start(segments, 0, segments.sizeBytes, engineKind(use), use.local, () => {
        const owner = new LockOwner(`${name} completion`);
        void reservation.lock(owner).then(() => {
          reservation.unlock(owner);
          fence.signal();
        });
      });
      await over(use, fence);
    },
  }),
});

export const waitsForItself = readerMutant({
  rules: ["SYN-002", "SYN-020", "SYN-014", "SYN-003"],
  by: "contract",
  mistake: "puts its fence on the reservation and then waits for the reservation to be idle",
  driver: readerImporter("waits-for-itself", "movable", {
    async run(use, mapping, fence) {
      await use.buffer.reservation.idle("bookkeep");
      await GOOD.run(use, mapping, fence);
    },
  }),
});

export const keepsTheLock = readerMutant({
  rules: ["SYN-015"],
  by: "contract",
  mistake: "locks the reservation to look at it and forgets to unlock",
  driver: readerImporter("keeps-the-lock", "pinned", {
    announce(use) {
      const fence = GOOD.announce(use);
      use.buffer.reservation.tryLock(new LockOwner(use.parts.name));
      return fence;
    },
  }),
});

export const addsWithoutALock = readerMutant({
  rules: ["SYN-008", "SYN-007"],
  by: "contract",
  mistake: "adds its fence to the reservation without taking the lock",
  driver: readerImporter("adds-without-a-lock", "pinned", {
    announce(use) {
      const { fences, name } = use.parts;
      const context = fences.createContext({ driverName: name, timelineName: use.buffer.name });
      const fence = new SoftwareFence(context, 1);
      use.buffer.reservation.addFence(fence, accessOf(use));
      return fence;
    },
  }),
});

export const sharesASeqno = readerMutant({
  rules: ["SYN-006"],
  by: "contract",
  mistake: "all jobs of a timeline have the number 1: one job's fence replaces another's",
  driver: readerImporter("shares-a-seqno", "movable", sharedSeqno()),
});

function sharedSeqno() {
  let context: SoftwareFence["context"] | undefined;
  return {
    announce(use: Parameters<typeof GOOD.announce>[0]) {
      const { fences, name } = use.parts;
      context =
        context?.domain === fences
          ? context
          : fences.createContext({ driverName: name, timelineName: "jobs" });
      const fence = new SoftwareFence(context, 1);
      use.buffer.addFence(fence, accessOf(use));
      use.isRunning = true;
      return fence;
    },
  };
}

export const mapsWhenToldToLetGo = readerMutant({
  rules: ["IMP-019"],
  by: "contract",
  mistake: "invalidateMappings unmaps and at once maps again, before the buffer is anywhere",
  driver: readerImporter("maps-when-told-to-let-go", "movable", {
    importer: (_good, use) => ({
      invalidateMappings(attachment) {
        if (!use.isRunning) {
          letGo(use);
          use.mapping = attachment.map(use.direction);
        }
      },
    }),
  }),
});

export const failsWhenToldToLetGo = readerMutant({
  rules: ["IMP-018"],
  by: "contract",
  mistake: "invalidateMappings throws when the engine is at work: a move cannot be refused",
  driver: readerImporter("fails-when-told-to-let-go", "movable", {
    importer: (good, use) => ({
      invalidateMappings(attachment) {
        if (use.isRunning) {
          throw new RangeError("the engine is busy");
        }
        good.invalidateMappings?.(attachment);
      },
    }),
  }),
});

export const waitsWhenToldToLetGo = readerMutant({
  rules: ["IMP-020"],
  by: "contract",
  mistake: "invalidateMappings takes the reservation's lock, which the mover holds",
  driver: readerImporter("waits-when-told-to-let-go", "movable", {
    importer: (good, use) => ({
      invalidateMappings(attachment) {
        const owner = new LockOwner("let go");
        const { reservation } = use.buffer;
        void reservation.lock(owner).then(() => {
          good.invalidateMappings?.(attachment);
          reservation.unlock(owner);
        });
      },
    }),
  }),
});

export const ignoresARevocation = readerMutant({
  rules: ["IMP-017", "IMP-036"],
  by: "contract",
  mistake: "is told that the memory is gone and keeps its mapping: the reset waits for ever",
  driver: readerImporter("ignores-a-revocation", "revocable", {
    importer: () => ({ invalidateMappings() {} }),
    finish(use) {
      if (use.mapping?.isStale !== true) {
        GOOD.finish(use);
      }
    },
  }),
});

export const refusesWithoutAWord = readerMutant({
  rules: ["IMP-005"],
  by: "contract",
  mistake: "declines with an empty code: the user learns nothing",
  driver: readerImporter("refuses-without-a-word", "pinned", {
    importer: () => ({ offer: () => ({ answer: "decline", reason: reason("", "") }) }),
  }),
});

export const readsBehindABracket = readerMutant({
  rules: ["SYN-018"],
  by: "contract",
  mistake: "opens a bracket for the CPU to check the bytes and leaves it open",
  driver: readerImporter("reads-behind-a-bracket", "pinned", {
    async run(use, mapping, fence) {
      await GOOD.run(use, mapping, fence);
      const access = await use.buffer.beginCpuAccess("read");
      await access.read(0, 16).catch(() => undefined);
    },
  }),
});
