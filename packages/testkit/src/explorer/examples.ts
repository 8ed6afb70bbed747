/**
 * Examples: scenarios of the kit's own partners. What its figures are measured on, and what a new scenario starts from.
 */
import type { DmaBuf } from "@peerbuf/core";
import { Client } from "../partners/client.ts";
import { movingExporter } from "../partners/moving-exporter.ts";
import type { Play, Scenario } from "./scenario.ts";
import { type Script, step } from "./step.ts";

const PAGE = 4096;

/** Two importers attach to one buffer, map it, read it and let go, while its exporter moves it. */
export const twoImporters: Scenario = {
  name: "two-importers",
  about: "two importers attach, map and read one buffer while it moves",
  isTracked: true,
  world: { deviceMemoryBytes: PAGE },
  play(world): Play {
    const gpu = world.openExporter(movingExporter, "gpu0", undefined);
    const buffer = gpu.allocate(PAGE);
    return {
      actors: [
        { name: "nic0", run: () => new Client(world, "nic0", { expects: 0 }).use(buffer) },
        { name: "nic1", run: () => new Client(world, "nic1", { expects: 0 }).use(buffer) },
        { name: "eviction", run: () => evicts(gpu.api), mayDie: false },
      ],
      storm: () => void gpu.api.evict(),
      close: () => buffer.close(),
    };
  },
};

/** The same without a move, each importer on a buffer of its own: steps commute, and reduction shows. */
export const twoBuffers: Scenario = {
  name: "two-buffers",
  about: "two importers, each on a buffer of its own",
  isTracked: true,
  world: { deviceMemoryBytes: 2 * PAGE },
  play(world): Play {
    const gpu = world.openExporter(movingExporter, "gpu0", undefined);
    const buffers = [gpu.allocate(PAGE), gpu.allocate(PAGE)] as [DmaBuf, DmaBuf];
    return {
      actors: [
        { name: "nic0", run: () => new Client(world, "nic0", { expects: 0 }).use(buffers[0]) },
        { name: "nic1", run: () => new Client(world, "nic1", { expects: 0 }).use(buffers[1]) },
      ],
      storm: () => void gpu.api.evict(),
      close: () => closeAll(buffers),
    };
  },
};

/** One movable reader, one pinned writer: the exporter has to serve both or refuse. */
export const pinnedAndMovable: Scenario = {
  name: "pinned-and-movable",
  about: "a movable reader and a pinned writer share a buffer that is to be moved",
  isTracked: true,
  world: { deviceMemoryBytes: PAGE },
  play(world): Play {
    const gpu = world.openExporter(movingExporter, "gpu0", undefined);
    const buffer = gpu.allocate(PAGE);
    const writer = (): Script =>
      new Client(world, "nic1", { lifetime: "pinned", direction: "from-device" }).use(buffer);
    return {
      actors: [
        { name: "reader", run: () => new Client(world, "nic0").use(buffer) },
        { name: "writer", run: writer },
        { name: "eviction", run: () => evicts(gpu.api), mayDie: false },
      ],
      storm: () => void gpu.api.evict(),
      close: () => buffer.close(),
    };
  },
};

export const EXAMPLES: readonly Scenario[] = [twoImporters, twoBuffers, pinnedAndMovable];

function* evicts(api: { evict(): number }): Script {
  yield step("evicts");
  api.evict();
}

function closeAll(buffers: readonly DmaBuf[]): void {
  for (const buffer of buffers) {
    buffer.close();
  }
}

/** The examples as a source of scenarios for workers. */
export const exampleSet = (): { scenarios: readonly Scenario[] } => ({ scenarios: EXAMPLES });
