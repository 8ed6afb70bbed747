/**
 * Contract world: the ground that the suites stand on; the light world of this kit unless told otherwise.
 *
 * A driver that needs hardware brings a world over the modelled machine, or over a real kernel.
 */
import {
  type Device,
  type Judge,
  PeerbufError,
  type Platform,
  type SegmentList,
} from "@peerbuf/core";
import type { Checker } from "../checker/checker.ts";
import { type CallFault, FAULT_LABELS } from "../ground/fault-kind.ts";
import { eachPart } from "../ground/ground-dma.ts";
import { createWorld, type World } from "../ground/world.ts";

export interface ContractWorld {
  readonly platform: Platform;
  readonly judge: Judge;
  /** The device that a driver under test is opened on; left out for a heap. */
  readonly home?: string;
  /** At least two other devices. */
  readonly clients: readonly string[];
  /**
   * Runs everything that is due, and what comes of it; `false` when there was nothing. `CLOCK_RUNAWAY` when events make
   * events without end.
   */
  settle(): Promise<boolean>;
  /**
   * A device of the world reads all of a mapping into `bytes`, or writes them there. `false`: it did not get through.
   * Left out: the world has no engine of its own, and bytes are looked at by the CPU alone.
   */
  transfer?(
    client: Device,
    segments: SegmentList,
    kind: "read" | "write",
    bytes: Uint8Array,
  ): Promise<boolean>;
  /** What the device would read at this very moment; `false`: it gets nowhere. Left out as `transfer` is. */
  look?(client: Device, segments: SegmentList, bytes: Uint8Array): boolean;
  /** The next so many copies of the home device's engine end midway with an error. Left out: it has none. */
  failCopies?(count: number): void;
  /** From now on all work of engines for importers ends with an error, or well again; how often one did. */
  failWork?(isFailing: boolean): number;
  /** Its DMA addresses lie around 4 GiB, as was wished. */
  readonly isHigh?: boolean;
  close(): void;
}

/** What a check would like its world to be; a world that cannot leaves it. */
export interface WorldWishes {
  readonly isHigh?: boolean;
}

/** Makes one world; the checker watches everything that is made on it. */
export type OpenWorld = (
  checker: Checker,
  wishes?: WorldWishes,
) => ContractWorld | Promise<ContractWorld>;

/** Events of one settling: a driver that never comes to rest is cut off. */
const EVENTS_MAX = 5_000;

/** The light world: gpu0 is home, nic0 and nic1 are clients. */
export const lightWorld: OpenWorld = (checker, { isHigh = false } = {}) => {
  const limits = { nic0: NARROW };
  const faults = new WishedFaults();
  const world = createWorld({
    decisions: faults,
    faults: ["partial-copy", "iommu-fault"],
    faultsMax: Number.POSITIVE_INFINITY,
    deviceMemoryBytes: DEVICE_BYTES,
    checker,
    limits,
    isDirect: true,
    ...(isHigh ? { firstDmaAddress: BELOW_4_GIB } : {}),
  });
  return {
    platform: world.platform,
    judge: { name: "light-rules", judge: () => NEAR },
    home: "gpu0",
    clients: ["nic0", "nic1"],
    settle: () => settle(world),
    transfer: (client, segments, kind, bytes) =>
      new Promise((done) => {
        world.engineOf(client).start(segments, 0, bytes.length, kind, bytes, done);
      }),
    look: (client, segments, bytes) => look(world, client, segments, bytes),
    failCopies: (count) => void faults.let("partial-copy", count),
    failWork: (isFailing) => faults.let("iommu-fault", isFailing ? Number.POSITIVE_INFINITY : 0),
    isHigh,
    close() {},
  };
};

/** Faults that happen as often as a check wants them, and never else. */
class WishedFaults {
  readonly #wished = new Map<string, number>();
  readonly #happened = new Map<string, number>();

  choose(_count: number, label: string): number {
    const left = this.#wished.get(label) ?? 0;
    if (left === 0) {
      return 0;
    }
    this.#wished.set(label, left - 1);
    this.#happened.set(label, (this.#happened.get(label) ?? 0) + 1);
    return 1;
  }

  /** From now on so many times. How often it has happened so far. */
  let(kind: CallFault, count: number): number {
    const label = FAULT_LABELS[kind];
    this.#wished.set(label, count);
    return this.#happened.get(label) ?? 0;
  }
}

/** Three pages: a buffer of four in pieces begins below and ends above. */
const BELOW_4_GIB = 2 ** 32 - 3 * 4096;
/** Behind each BAR: room for three of the largest buffers of the suite. */
const DEVICE_BYTES = 2 ** 18;
/** An engine with limits of its own: 40 bits of address, a quarter of a megabyte a segment, none across a megabyte. */
const NARROW = {
  addressMax: 2 ** 40 - 1,
  segmentBytesMax: 2 ** 18,
  segmentCountMax: 256,
  boundaryBytes: 2 ** 20,
};

const NEAR = { reads: "bus-addr", writes: "bus-addr", distance: 4, reasons: [] } as const;

async function settle(world: World): Promise<boolean> {
  let events = 0;
  for (; runNext(world); events++) {
    await new Promise(setImmediate);
    if (events === EVENTS_MAX) {
      throw new PeerbufError("CLOCK_RUNAWAY", `it is not at rest after ${EVENTS_MAX} events`);
    }
  }
  return events > 0;
}

function look(
  { dma, memory }: World,
  client: Device,
  segments: SegmentList,
  bytes: Uint8Array,
): boolean {
  let isWhole = true;
  for (let index = 0, done = 0; index < segments.count; index++) {
    const address = segments.address(index);
    const part = bytes.subarray(done, done + segments.lengthBytes(index));
    const hit = dma.look(client, address, part.length, "read");
    isWhole &&=
      hit.found === "memory" &&
      eachPart(hit.window, address, part.length, (physical, at, length) =>
        memory.read(physical, part.subarray(at, at + length)),
      );
    done += part.length;
  }
  return isWhole;
}

/** The event that is due first. */
function runNext({ clock }: World): boolean {
  const [first] = clock.lanes
    .filter((lane) => lane.length > 0)
    .sort((one, other) => one.dueNs - other.dueNs);
  first?.runFirst();
  return first !== undefined;
}
