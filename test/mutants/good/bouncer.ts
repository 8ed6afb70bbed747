/**
 * Bouncer: a good importer whose device reaches its own pages only; the exporter's engine copies.
 *
 * Brings pages for each use and keeps them until the copy back is over. A mutant hands in a `mistake`.
 */
import {
  type BufferFacts,
  DMA,
  type Fence,
  HOST_MEMORY,
  type HostPages,
  type ImporterDriver,
  reason,
} from "@peerbuf/core";
import {
  GOOD,
  type ReaderApi,
  type ReaderParts,
  type ReaderSteps,
  readerImporter,
  type Use,
} from "./reader.ts";

export interface BouncerSteps {
  take(use: Use, buffer: BufferFacts): HostPages;
  /** The copy back is over, if there was one. */
  settled(back: Fence | undefined): Promise<unknown>;
  giveBack(use: Use, pages: HostPages): void;
  prepare: ReaderSteps["prepare"];
  isReady: ReaderSteps["isReady"];
  close(parts: ReaderParts): void;
}

export const BOUNCER: BouncerSteps = {
  take: (use, { sizeBytes }) => memoryOf(use).allocate(sizeBytes),
  settled: async (back) => await back?.signaled(),
  giveBack: (use, pages) => memoryOf(use).free(pages),
  prepare: GOOD.prepare,
  isReady: GOOD.isReady,
  close() {},
};

export const memoryOf = (use: Use) => use.parts.services.get(HOST_MEMORY);

const OWN = reason("OWN_PAGES", "the device reaches pages of its own only");

export function bouncerImporter(
  name: string,
  mistake: Partial<BouncerSteps> = {},
): ImporterDriver<undefined, ReaderApi> {
  const steps = { ...BOUNCER, ...mistake };
  const brought = new WeakMap<Use, HostPages>();
  const backs = new WeakMap<Use, Fence | undefined>();
  return readerImporter(name, "movable", {
    importer: (_good, use) => ({
      offer(buffer) {
        const pages = brought.get(use) ?? steps.take(use, buffer);
        brought.set(use, pages);
        return { answer: "offer", types: [{ type: DMA }], target: pages.ranges, reason: OWN };
      },
    }),
    prepare: steps.prepare,
    isReady: steps.isReady,
    refused: (use) => free(steps, brought, use),
    finish(use) {
      const { mapping } = use;
      use.mapping = undefined;
      backs.set(use, mapping?.unmap());
      use.attachment.detach();
    },
    async settle(use) {
      await steps.settled(backs.get(use));
      free(steps, brought, use);
    },
    close: steps.close,
  });
}

function free(steps: BouncerSteps, brought: WeakMap<Use, HostPages>, use: Use): void {
  const pages = brought.get(use);
  if (pages !== undefined) {
    steps.giveBack(use, pages);
  }
}

export const goodBouncer: ImporterDriver<undefined, ReaderApi> = bouncerImporter("good-bouncer");
