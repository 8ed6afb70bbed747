/**
 * Shipped scenarios: every driver that comes with the project on a modelled machine, under the explorer.
 *
 * An importer carries bytes from a buffer of one owner to a buffer of another, twice at once, while the buffers move, go away, or
 * cards are pulled out. What was carried without an error is there, byte for byte, unless a fault lost it on the bus, where
 * nobody hears of a lost write.
 */
import type { DmaBuf } from "@peerbuf/core";
import {
  type Actor,
  createChecker,
  type FaultKind,
  type MachineGround,
  type MachineGroundOptions,
  machineScenario,
  type Play,
  promised,
  type Scenario,
  type ScenarioSet,
  type Script,
  step,
  type World,
} from "@peerbuf/testkit";
import { COPIERS, type Copier, type CopierName, type OpenCopier } from "./copiers.ts";
import { type OpenOwner, OWNERS, type Owner, type OwnerName } from "./owners.ts";
import { FAR, HOME, NEAR, OTHER, type SmallServer, smallServer } from "./small-server.ts";

/** Whose buffer, carried by whom, to whose buffer. */
type Pair = readonly [from: OwnerName, by: CopierName, to: OwnerName];

const ALL = Object.keys(COPIERS) as CopierName[];

const PAIRS: readonly Pair[] = [
  ...ALL.map((by): Pair => ["gpu", by, "system-heap"]),
  ...ALL.map((by): Pair => ["system-heap", by, "system-heap"]),
  ...ALL.map((by): Pair => ["moving", by, "moving"]),
  ["system-heap", "nvme", "gpu"],
  ["apu", "nvme", "system-heap"],
  ["apu", "gpu-peer", "apu"],
  ["nvme-cmb", "nvme", "system-heap"],
  ["nvme-cmb", "rdma-pinned", "gpu"],
  ["nvme-cmb", "gpu-peer", "nvme-cmb"],
  ["vfio", "rdma-revocable", "system-heap"],
  ["vfio", "rdma-on-demand", "vfio"],
  ["vfio", "gpu-peer", "vfio"],
  ["vfio", "nvme", "system-heap"],
  ["vfio", "accelerator", "vfio"],
  ["accelerator-memory", "accelerator", "system-heap"],
  ["accelerator-memory", "nvme", "gpu"],
];

/** A revocation behind an exporter's back is nothing that the drivers' contract knows. */
const FAULTS: readonly FaultKind[] = [
  "attach-refused",
  "map-exhausted",
  "dma-refused",
  "iommu-fault",
  "late-fence",
  "lost-fence",
  "eviction-storm",
  "unplug",
  "importer-dies",
];

/** On the bus a write that is lost is lost in silence. */
const LOSES_BYTES: readonly FaultKind[] = ["iommu-fault", "unplug"];

const PAGE = 4096;
const SIZE_BYTES = 2 * PAGE;

export function shippedScenarios(): readonly Scenario[] {
  const server = smallServer();
  return PAIRS.map((pair) => scenarioOf(server, pair));
}

/** The same as a source of scenarios for workers. */
export const shippedSet = (): ScenarioSet => ({
  scenarios: shippedScenarios(),
  checker: createChecker,
});

function scenarioOf(server: SmallServer, [from, by, to]: Pair): Scenario {
  const copier: Copier = COPIERS[by];
  return machineScenario({
    name: `shipped/${from}/${by}/${to}`,
    about: `${by} carries bytes from ${from} to ${to}`,
    faults: FAULTS,
    ground: groundOf(server, OWNERS[from], copier, OWNERS[to]),
    play: (world, ground) => play(world, ground, OWNERS[from], copier, OWNERS[to]),
  });
}

function groundOf(
  { topology, judge }: SmallServer,
  source: Owner,
  copier: Copier,
  target: Owner,
): MachineGroundOptions {
  const { device } = copier;
  return {
    machine: { topology, memoryBytesPerNode: 2 ** 20 },
    judge,
    roles: { gpu0: HOME, nic0: OTHER, nic1: FAR },
    dmaPlatforms: ["direct", "iommu", "iommu-lazy", "swiotlb"],
    platform: {
      swiotlb: { poolBytes: 2 ** 18 },
      ...(device === undefined ? {} : { devices: [{ ...device, behind: NEAR }] }),
    },
    models: (machine) => ({
      [NEAR]: copier.model(),
      ...(source.model === undefined ? {} : { [HOME]: source.model(machine) }),
      ...(target.model === undefined || target === source ? {} : { [FAR]: target.model(machine) }),
    }),
  };
}

function play(
  world: World,
  ground: MachineGround,
  source: Owner,
  copier: Copier,
  target: Owner,
): Play {
  const from = source.open(world, ground, HOME);
  const to = target === source ? from : target.open(world, ground, FAR);
  const carrier = copier.open(world, copier.device?.id ?? NEAR);
  const bench = new Bench(world, ground, carrier, source, target);
  const buffers = [0, 1].map(() => [from.allocate(SIZE_BYTES), to.allocate(SIZE_BYTES)] as const);
  const actors: Actor[] = buffers.map(([left, right], place) => ({
    name: `user ${place + 1}`,
    run: () => bench.carries(left, right, place),
  }));
  for (const [owner, index] of [[from, 0], ...(to === from ? [] : [[to, 1]])] as [
    OpenOwner,
    0 | 1,
  ][]) {
    if (owner.disturb !== undefined) {
      const hurt = buffers.map((pair) => pair[index]);
      actors.push({
        name: `trouble ${index + 1}`,
        run: () => disturbs(owner, hurt),
        mayDie: false,
      });
    }
  }
  return {
    actors,
    close() {
      carrier.close();
      for (const buffer of buffers.flat()) {
        buffer.close();
      }
      for (const owner of new Set([from, to])) {
        owner.close();
      }
    },
  };
}

/** What one run is about. */
class Bench {
  readonly #world: World;
  readonly #ground: MachineGround;
  readonly #carrier: OpenCopier;
  readonly #source: Owner;
  readonly #target: Owner;

  constructor(
    world: World,
    ground: MachineGround,
    carrier: OpenCopier,
    source: Owner,
    target: Owner,
  ) {
    this.#world = world;
    this.#ground = ground;
    this.#carrier = carrier;
    this.#source = source;
    this.#target = target;
  }

  *carries(from: DmaBuf, to: DmaBuf, place: number): Script {
    const bytes = patternOf(place);
    yield step("fills its buffer");
    if (this.#source.isForCpu) {
      yield promised("waits until it is filled", from.write(0, bytes));
    }
    yield step("has it carried");
    yield promised("waits for the copy", this.#carrier.copy(from, to, place));
    if (this.#isCompared) {
      const found = yield promised("reads what arrived", to.read(0, SIZE_BYTES));
      this.#compare(bytes, found as Uint8Array, place);
    }
  }

  get #isCompared(): boolean {
    const isKept = this.#source.keepsBytes && this.#target.keepsBytes;
    return isKept && this.#source.isForCpu && this.#target.isForCpu;
  }

  #compare(expected: Uint8Array, found: Uint8Array, place: number): void {
    const { faults } = this.#world;
    const at = expected.findIndex((byte, index) => byte !== found[index]);
    if (at >= 0 && !faults.some(({ kind }) => LOSES_BYTES.includes(kind))) {
      const text = `byte ${at} of what user ${place + 1} had carried is 0x${found[at]?.toString(16)}, not 0x${expected[at]?.toString(16)}`;
      this.#world.report("EXP-031", text, `${this.#ground.platform.name}`);
    }
  }
}

function* disturbs(owner: OpenOwner, buffers: readonly DmaBuf[]): Script {
  for (const buffer of buffers) {
    yield step("disturbs");
    yield promised("waits for the trouble", disturbed(owner, buffer));
  }
}

/** What it throws at once comes out where it would have come later. */
const disturbed = async (owner: OpenOwner, buffer: DmaBuf): Promise<unknown> =>
  owner.disturb?.(buffer);

/** No two pages of the two users are alike. */
function patternOf(place: number): Uint8Array {
  const bytes = new Uint8Array(SIZE_BYTES);
  for (let index = 0; index < SIZE_BYTES; index++) {
    bytes[index] = (index * 7 + (index >> 8) * 31 + place * 101 + 1) & 0xff;
  }
  return bytes;
}
