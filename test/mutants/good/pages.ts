/**
 * Pages: a good small exporter of host pages, on which the mutants of its family are built.
 *
 * Memory never moves; the CPU reads and writes it; an engine copies to memory that an importer brings.
 * A mutant hands in a `mistake`, which sees the good operations and replaces the ones it gets wrong.
 */
import {
  DMA,
  defineExporter,
  type ExporterDriver,
  HOST_MEMORY,
  type HostMemory,
  type HostPages,
  PHYSICAL,
  type PhysicalRanges,
  type Services,
  type Storage,
} from "@peerbuf/core";
import { CopyEngine } from "./copy-engine.ts";
import { readRanges, writeRanges } from "./range-bytes.ts";
import { replaced } from "./replaced.ts";
import { refuseWishes } from "./wishes.ts";

/** All operations that the good driver has: a mistake can count on them. */
export type PagesStorage = Storage &
  Required<Pick<Storage, "copy" | "read" | "write" | "beginCpuAccess" | "endCpuAccess">>;

export interface PagesParts {
  readonly services: Services;
  readonly memory: HostMemory;
  readonly engine: CopyEngine;
  readonly pages: HostPages;
  readonly ranges: PhysicalRanges;
  readonly sizeBytes: number;
}

export type PagesMistake = (good: PagesStorage, parts: PagesParts) => Partial<Storage>;

export function pagesExporter(
  name: string,
  mistake: PagesMistake = () => ({}),
): ExporterDriver<undefined, object> {
  return defineExporter({
    name,
    needsDevice: false,
    open(services) {
      const memory = services.get(HOST_MEMORY);
      const engine = new CopyEngine(services, name);
      return {
        api: {},
        allocate(sizeBytes, wishes) {
          refuseWishes(name, wishes);
          const pages = memory.allocate(sizeBytes);
          const good = storageOf(memory, engine, pages);
          const { ranges } = pages;
          return replaced(
            good,
            mistake(good, { services, memory, engine, pages, ranges, sizeBytes }),
          );
        },
        close: () => engine.close(),
      };
    },
  });
}

function storageOf(memory: HostMemory, engine: CopyEngine, pages: HostPages): PagesStorage {
  const { ranges } = pages;
  return {
    types: [{ type: DMA }, { type: PHYSICAL }],
    place: () => ({ target: "system", ranges }),
    copy: (target, way) =>
      way === "out" ? engine.copy(ranges, target) : engine.copy(target, ranges),
    beginCpuAccess: async () => {},
    endCpuAccess: async () => {},
    read: async (offset, target) => readRanges(memory, ranges, offset, target),
    write: async (offset, source) => writeRanges(memory, ranges, offset, source),
    release: () => memory.free(pages),
  };
}

export const goodPages: ExporterDriver = pagesExporter("good-pages");
