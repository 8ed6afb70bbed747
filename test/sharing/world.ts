/**
 * World: one machine, two buffers and four importers, with a plain model of what must be true.
 *
 * The model is an array of bytes for each buffer and a list of mappings with what they were told.
 * Everything else is the product: framework, rules, machine and guard.
 */
import {
  type Attachment,
  createFramework,
  DMA,
  type DmaBuf,
  type Fence,
  type FenceContext,
  FenceDomain,
  type Framework,
  type Importer,
  type Mapping,
  P2P,
  type SegmentList,
  type SoftwareFence,
  SoftwareFence as WorkFence,
} from "@peerbuf/core";
import {
  createMachine,
  createModelledPlatform,
  type Machine,
  type ModelledPlatform,
  type PlatformOptions,
} from "@peerbuf/machine";
import { BAR_SLOTS, createJudge, rulesForKernel, type Topology } from "@peerbuf/topology";
import { expect } from "vitest";
import { bytesAt, type MoverApi, type MoverHand, mover } from "./mover.ts";
import { memoryBehindBar, type Probe, probe } from "./probe.ts";

export const BUFFER_BYTES = 2 * 4096;
const GPU = "0000:13:00.0";

/** How an importer behaves when it is told that the buffer moves. */
type Manner = "movable" | "revocable" | "pinned" | "no-peers";

/** Two below the GPU's switch, one across the root complex, one on the other socket. */
const IMPORTERS: readonly (readonly [bdf: string, manner: Manner])[] = [
  ["0000:14:00.0", "movable"],
  ["0000:15:00.0", "revocable"],
  ["0000:17:00.0", "pinned"],
  ["0000:3e:00.0", "no-peers"],
];

/** What has to happen often enough for a run of the model to mean something. */
export type Tally = Record<
  | "p2pMap"
  | "systemMap"
  | "declined"
  | "move"
  | "copy"
  | "revoke"
  | "restore"
  | "write"
  | "read"
  | "cpu"
  | "dead",
  number
>;

export interface MappedView {
  readonly mapping: Mapping;
  /** As handed out; kept to try them after their end. */
  readonly segments: SegmentList;
  readonly client: string;
  /** Once it is stale: the work it has to outlive. Over, and the addresses lead nowhere. */
  until?: readonly Fence[];
}

export interface AttachedView {
  readonly attachment: Attachment;
  readonly buffer: number;
  readonly mappings: MappedView[];
  /** Work that runs on the buffer's bytes. */
  readonly work: SoftwareFence[];
}

export class World {
  readonly machine: Machine;
  readonly platform: ModelledPlatform;
  readonly framework: Framework;
  readonly buffers: DmaBuf[] = [];
  readonly hands: MoverHand[];
  readonly contents: Uint8Array[] = [];
  readonly attached: AttachedView[] = [];
  /** Segments that a device once had; most of them lead nowhere now. */
  readonly old: MappedView[] = [];
  readonly revoking: Promise<unknown>[] = [];
  readonly isRevoked: boolean[] = [false, false];
  /** How often each thing really happened: a run in which nothing moves proves nothing about moves. */
  readonly tally: Tally;
  readonly #probes = new Map<string, Probe>();
  readonly #work: FenceContext;
  #seqno = 0;
  #fill = 1;

  readonly #isGuarded: boolean;

  constructor(topology: Topology, tally: Tally, options: PlatformOptions = {}) {
    this.tally = tally;
    this.#isGuarded = options.dma !== "iommu";
    this.machine = createMachine({ topology, memoryBytesPerNode: 64 << 20 });
    this.machine.place(GPU, memoryBehindBar());
    for (const [bdf] of IMPORTERS) {
      const device = probe();
      this.#probes.set(bdf, device);
      this.machine.place(bdf, device);
      this.machine.setCommand(bdf, { busMaster: true });
    }
    this.platform = createModelledPlatform(this.machine, options);
    const judge = createJudge(topology, rulesForKernel("6.12"));
    this.framework = createFramework({ platform: this.platform, judge });
    this.#work = new FenceDomain(this.platform.clock).createContext({
      driverName: "importer",
      timelineName: "work",
    });
    const start = topology.table.barStart[topology.require(GPU) * BAR_SLOTS] ?? 0;
    const { inspect } = this.machine;
    const exporter = this.framework.openExporter(mover, GPU, { inspect, start });
    this.hands = (exporter.api as MoverApi).hands;
    for (const name of ["weights", "gradients"]) {
      this.buffers.push(exporter.allocate(BUFFER_BYTES, { name }));
      this.contents.push(new Uint8Array(BUFFER_BYTES));
    }
  }

  /** A byte pattern that no other write of this run has. */
  nextFill(): number {
    this.#fill = (this.#fill % 250) + 1;
    return this.#fill;
  }

  portOf(bdf: string): Probe["port"] {
    return (this.#probes.get(bdf) as Probe).port;
  }

  attach(buffer: number, who: number): void {
    const [bdf, manner] = IMPORTERS[who] as (typeof IMPORTERS)[number];
    const own: AttachedView[] = [];
    const attachment = (this.buffers[buffer] as DmaBuf).attach(this.#importer(bdf, manner, own));
    const view = { attachment, buffer, mappings: [], work: [] };
    own.push(view);
    this.attached.push(view);
  }

  map(view: AttachedView, direction: Mapping["direction"]): void {
    const mapping = view.attachment.map(direction);
    const client = view.attachment.client.id;
    const { segments } = mapping;
    view.mappings.push({ mapping, segments, client });
    expect(segments.sizeBytes).toBe(BUFFER_BYTES);
    this.tally[mapping.target === "device" ? "p2pMap" : "systemMap"]++;
  }

  unmap(view: AttachedView, index: number): void {
    const [mapped] = view.mappings.splice(index, 1) as [MappedView];
    mapped.mapping.unmap();
    this.old.push(mapped);
  }

  /**
   * Is a device kept out where it has no mapping? By the guard always; by an IOMMU alone not where bus
   * addresses turn round below it.
   */
  isKeptOut({ segments }: MappedView): boolean {
    return this.#isGuarded || !segments.isBusAddress(0);
  }

  /** A fence for work on the bytes, on the buffer's reservation. */
  startWork(view: AttachedView): void {
    const fence = new WorkFence(this.#work, ++this.#seqno);
    (this.buffers[view.buffer] as DmaBuf).addFence(fence, "bookkeep");
    view.work.push(fence);
  }

  /** Does this mapping lead to the buffer's bytes? A stale one does while old work runs. */
  leads({ mapping, until }: MappedView): boolean {
    return !mapping.isStale || (until ?? []).some(({ isSignaled }) => !isSignaled);
  }

  /** May a device use it now? It leads somewhere, and the bytes have arrived there. */
  isUsable(mapped: MappedView): boolean {
    return this.leads(mapped) && (mapped.mapping.ready?.isSignaled ?? true);
  }

  /** Runs one step; mappings that it makes stale live as long as the work that runs now. */
  step(act: () => void): void {
    const running = this.buffers.map((buffer) => buffer.reservation.getFences("bookkeep"));
    act();
    for (const { buffer, mappings } of this.attached) {
      for (const mapped of mappings) {
        if (mapped.mapping.isStale) {
          mapped.until ??= running[buffer] ?? [];
        }
      }
    }
    this.check();
  }

  /** The whole truth, after every step. */
  check(): void {
    this.buffers.forEach((_, index) => {
      const hand = this.hands[index] as MoverHand;
      if (!hand.isReleased && hand.copies.length === 0) {
        const found = bytesAt(this.machine.inspect, hand.ranges());
        expect(Buffer.compare(found, this.contents[index] as Uint8Array)).toBe(0);
      }
    });
    const mappings = this.attached.reduce((sum, view) => sum + view.mappings.length, 0);
    const pins = this.attached.reduce((sum, view) => sum + view.attachment.pinCount, 0);
    expect(this.framework.handles()).toMatchObject({
      attachments: this.attached.length,
      mappings,
      pins,
    });
  }

  /** Gives everything back, in the order a tidy program would, and counts. */
  async end(): Promise<void> {
    for (const hand of this.hands) {
      this.#finishCopies(hand);
    }
    for (const view of this.attached.splice(0)) {
      for (const fence of view.work.splice(0)) {
        fence.signal();
      }
      while (view.mappings.length > 0) {
        this.unmap(view, 0);
      }
      while (view.attachment.pinCount > 0) {
        view.attachment.unpin();
      }
      view.attachment.detach();
    }
    for (const hand of this.hands) {
      this.#finishCopies(hand);
    }
    await Promise.all(this.revoking);
    this.check();
    for (const buffer of this.buffers) {
      buffer.close();
    }
    this.framework.close();
    expect(this.hands.map(({ isReleased, pinCount }) => [isReleased, pinCount])).toEqual([
      [true, 0],
      [true, 0],
    ]);
    expect(this.machine.handles()).toMatchObject({ mappings: 0, hostAllocations: 0, hostPages: 0 });
    this.platform.close();
  }

  #finishCopies(hand: MoverHand): void {
    for (const copy of [...hand.copies]) {
      if (copy.mayRun) {
        copy.finish();
      }
    }
  }

  #importer(bdf: string, manner: Manner, own: AttachedView[]): Importer {
    const types = manner === "no-peers" ? [{ type: DMA }] : [{ type: P2P }, { type: DMA }];
    const basic: Importer = {
      name: manner,
      device: this.platform.device(bdf),
      offer: () => ({ answer: "offer", types }),
    };
    if (manner === "pinned") {
      return basic;
    }
    // Told of a move, every other importer lets go at once; the rest do it when the test says so.
    const invalidateMappings = (): void => {
      const [view] = own;
      if (view !== undefined && view.mappings.length % 2 === 1) {
        this.unmap(view, 0);
      }
    };
    return { ...basic, invalidateMappings, pins: manner === "revocable" };
  }
}
