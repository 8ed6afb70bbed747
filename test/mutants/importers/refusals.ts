/** Mutants of refusals and failures: swallowed, renamed, waited for for ever, or with something left behind. */
import { HOST_MEMORY, type HostPages, PeerbufError } from "@peerbuf/core";
import { GOOD, letGo, readerImporter } from "../good/reader.ts";
import { readerMutant } from "./family.ts";

const isFailure = (error: unknown): boolean =>
  error instanceof PeerbufError && error.code === "DEVICE_FAILED";

export const staysMappedAfterAFailure = readerMutant({
  rules: ["IMP-010", "IMP-025"],
  by: "contract",
  isExact: true,
  mistake: "its error path forgets the mapping",
  driver: readerImporter("stays-mapped-after-a-failure", "movable", {
    async run(use, mapping, fence) {
      try {
        await GOOD.run(use, mapping, fence);
      } catch (error) {
        use.mapping = isFailure(error) ? undefined : use.mapping;
        throw error;
      }
    },
  }),
});

export const staysAttachedAfterAFailure = readerMutant({
  rules: ["IMP-025"],
  by: "contract",
  isExact: true,
  mistake: "when its device has failed it leaves the attachment for a reset that never comes",
  driver: readerImporter("stays-attached-after-a-failure", "movable", {
    async run(use, mapping, fence) {
      try {
        await GOOD.run(use, mapping, fence);
      } catch (error) {
        failed.add(use);
        throw error;
      }
    },
    finish(use) {
      if (failed.has(use)) {
        letGo(use);
      } else {
        GOOD.finish(use);
      }
    },
  }),
});

const failed = new WeakSet<object>();

export const keepsItsScratchPage = readerMutant({
  rules: ["IMP-025"],
  by: "contract",
  isExact: true,
  mistake: "takes a page for descriptors before it attaches, and frees it only when all went well",
  driver: readerImporter("keeps-its-scratch-page", "movable", {
    importer(_good, use) {
      scratch.set(use, use.parts.services.get(HOST_MEMORY).allocate(4096));
      return {};
    },
    finish(use) {
      GOOD.finish(use);
      const pages = scratch.get(use);
      if (pages !== undefined) {
        use.parts.services.get(HOST_MEMORY).free(pages);
      }
    },
  }),
});

const scratch = new WeakMap<object, HostPages>();

export const pinsAndForgetsOnFailure = readerMutant({
  rules: ["IMP-010", "IMP-025"],
  by: "contract",
  isExact: true,
  mistake: "pins for its work, and unpins only when the device did it well",
  driver: readerImporter("pins-and-forgets-on-failure", "movable", {
    async run(use, mapping, fence) {
      use.attachment.pin();
      await GOOD.run(use, mapping, fence);
      use.attachment.unpin();
    },
  }),
});

export const findsPeersTooFar = readerMutant({
  rules: ["IMP-003"],
  by: "contract",
  isExact: true,
  mistake: "its last look at a proposal throws when there are more pieces than it has slots",
  driver: readerImporter("finds-peers-too-far", "movable", {
    importer: () => ({
      take({ segments }) {
        if (segments.count > 1) {
          throw new RangeError("slot out of range");
        }
        return { answer: "take" };
      },
    }),
  }),
});

export const isOverBeforeItsDevice = readerMutant({
  rules: ["IMP-044"],
  by: "contract",
  isExact: true,
  mistake: "tells its user that the use is over when the work is queued",
  driver: readerImporter("is-over-before-its-device", "movable", {
    async run(use, mapping, fence) {
      queued.set(use, GOOD.run(use, mapping, fence));
    },
    finish(use) {
      const work = queued.get(use) ?? Promise.resolve();
      const end = (): void => GOOD.finish(use);
      work.then(end, end);
    },
  }),
});

const queued = new WeakMap<object, Promise<void>>();

export const asksForThePeersDevice = readerMutant({
  rules: ["IMP-016"],
  by: "contract",
  isExact: true,
  mistake: "attaches in the name of the exporter's device, and lets its own engine run",
  driver: readerImporter("asks-for-the-peers-device", "movable", {
    importer: ({ device }, { buffer }) => ({ device: buffer.device ?? device }),
  }),
});

export const waitsForItsOwnWork = readerMutant({
  rules: ["SYN-002", "SYN-003", "SYN-020"],
  by: "contract",
  isExact: true,
  mistake: "publishes its fence, waits until everybody is done, and only then starts",
  driver: readerImporter("waits-for-its-own-work", "movable", {
    async run(use, mapping, fence) {
      await use.buffer.reservation.idle("bookkeep");
      await GOOD.run(use, mapping, fence);
    },
  }),
});
