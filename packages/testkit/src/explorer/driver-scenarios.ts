/**
 * Driver scenarios: what any driver is explored in, knowing no more of it than its `check` says.
 *
 * An exporter meets the kit's clients, an importer the kit's moving exporter. To reduction an exporter is one whole; an
 * importer's uses are promises, and from the first one on every turn counts as touching everything.
 */
import type { DmaBuf, ExporterDriver, ImporterDriver, OpenedExporter } from "@peerbuf/core";
import type { DriverCheck, ExporterCheck, ImporterCheck } from "../contract/driver-check.ts";
import type { World } from "../ground/world.ts";
import { Client, type ClientOptions } from "../partners/client.ts";
import { movingExporter } from "../partners/moving-exporter.ts";
import type { Actor, Play, Scenario } from "./scenario.ts";
import { promised, type Script } from "./step.ts";

const PAGE = 4096;

/** The scenarios for a driver, by its role. */
export function scenariosFor<Options, Api>(
  driver: ExporterDriver<Options, Api> | ImporterDriver<Options, Api>,
  check?: DriverCheck<Options, Api>,
): readonly Scenario[] {
  return driver.role === "exporter"
    ? exporterScenarios(driver, (check ?? {}) as ExporterCheck<Options, Api>)
    : importerScenarios(driver, check as ImporterCheck<Options, Api>);
}

function exporterScenarios<Options, Api>(
  driver: ExporterDriver<Options, Api>,
  check: ExporterCheck<Options, Api>,
): readonly Scenario[] {
  const scene = (name: string, about: string, clients: readonly ClientOptions[]): Scenario => ({
    name: `${driver.name}/${name}`,
    about,
    play: (world) => exporterPlay(world, driver, check, clients),
  });
  return [
    scene("two-readers", "two importers that follow moves read one buffer", [{}, { uses: 2 }]),
    scene("reader-and-writer", "one importer writes what another reads", [
      {},
      { direction: "from-device" },
    ]),
    scene("movable-and-pinned", "one importer follows moves, the other needs the memory pinned", [
      { uses: 2 },
      { lifetime: "pinned", direction: "from-device" },
    ]),
    scene("movable-and-revocable", "one importer follows moves, the other gives up when revoked", [
      {},
      { lifetime: "revocable" },
    ]),
  ];
}

function exporterPlay<Options, Api>(
  world: World,
  driver: ExporterDriver<Options, Api>,
  check: ExporterCheck<Options, Api>,
  clients: readonly ClientOptions[],
): Play {
  const device = driver.needsDevice ? "gpu0" : undefined;
  const opened = world.openExporter(driver, device, check.options as Options);
  const buffer = opened.allocate(2 * PAGE, check.wishes ?? {});
  const actors: Actor[] = clients.map((options, index) => ({
    name: `nic${index}`,
    run: () => new Client(world, `nic${index}`, options).use(buffer),
  }));
  const { move } = check;
  const storm = move === undefined ? undefined : (): void => move(opened.api, buffer);
  if (storm !== undefined) {
    actors.push({ name: "eviction", run: () => twice("moves", storm), mayDie: false });
  }
  return {
    actors,
    ...(storm === undefined ? {} : { storm }),
    close: () => closeAll(buffer, opened),
  };
}

function importerScenarios<Options, Api>(
  driver: ImporterDriver<Options, Api>,
  check: ImporterCheck<Options, Api>,
): readonly Scenario[] {
  const scene = (
    name: string,
    about: string,
    bufferCount: number,
    isShared: boolean,
  ): Scenario => ({
    name: `${driver.name}/${name}`,
    about,
    play: (world) => importerPlay(world, driver, check, bufferCount, isShared),
  });
  return [
    scene("one-buffer", "the driver uses a buffer that moves", 1, false),
    scene("two-buffers", "the driver uses two buffers at once while they move", 2, false),
    scene("shared", "the driver and another importer use one buffer that moves", 1, true),
  ];
}

function importerPlay<Options, Api>(
  world: World,
  driver: ImporterDriver<Options, Api>,
  check: ImporterCheck<Options, Api>,
  bufferCount: number,
  isShared: boolean,
): Play {
  const gpu = world.openExporter(movingExporter, "gpu0", undefined);
  const device = driver.needsDevice ? "nic0" : undefined;
  const { api, close } = world.openImporter(driver, device, check.options as Options);
  const name = device === undefined ? driver.name : `${driver.name}@${device}`;
  const directions = check.directions ?? ["to-device", "from-device"];
  const buffers = Array.from({ length: bufferCount }, () => gpu.allocate(PAGE));
  const actors: Actor[] = buffers.map((buffer, index) => ({
    name: `user ${index + 1}`,
    mayDie: false,
    run: () => uses({ world, name, check, api }, buffer, directions),
  }));
  const [first] = buffers;
  if (isShared && first !== undefined) {
    actors.push({ name: "nic1", run: () => new Client(world, "nic1", { uses: 2 }).use(first) });
  }
  const storm = (): void => void gpu.api.evict();
  actors.push({ name: "eviction", run: () => twice("evicts", storm), mayDie: false });
  return {
    actors,
    storm,
    close() {
      close();
      closeAll(...buffers);
    },
  };
}

/** A driver that is open, and how it is made to do something. */
interface InUse<Options, Api> {
  readonly world: World;
  /** With its device, as the checker calls it. */
  readonly name: string;
  readonly check: ImporterCheck<Options, Api>;
  readonly api: Api;
}

/** One use in each direction; a refusal ends it as it would end a user's. */
function* uses<Options, Api>(
  { world, name, check, api }: InUse<Options, Api>,
  buffer: DmaBuf,
  directions: NonNullable<ImporterCheck["directions"]>,
): Script {
  const done = (work: () => unknown): Promise<unknown> => world.task(name, () => started(work));
  try {
    for (const direction of directions) {
      yield { label: `uses the buffer ${direction}` };
      yield promised(
        "waits for the use",
        done(() => check.start(api, buffer, direction)),
      );
    }
  } finally {
    yield promised(
      "waits until the driver has let go",
      done(() => check.stop?.(api, buffer)),
    );
  }
}

/** What it throws at once comes out where it would have come later. */
const started = async (start: () => unknown): Promise<unknown> => start();

function* twice(label: string, work: () => void): Script {
  for (let time = 0; time < 2; time++) {
    yield { label };
    work();
  }
}

function closeAll(...handles: readonly (DmaBuf | OpenedExporter<unknown>)[]): void {
  for (const handle of handles) {
    handle.close();
  }
}
