/** The checker: each kind of mistake is named by its rule, and a run without mistakes by none. */
import {
  AcquireContext,
  type BufferControl,
  DMA,
  type DmaBuf,
  defineExporter,
  type ExporterDriver,
  FenceError,
  type Framework,
  HOST_MEMORY,
  type HostMemory,
  type Importer,
  LockOwner,
  PhysicalRanges,
  type Platform,
  physicalAddress,
  reason,
  SegmentList,
  SoftwareFence,
  type Storage,
  UNLIMITED,
} from "@peerbuf/core";
import { type Checker, createChecker, createWorld, POISON_ADDRESS } from "@peerbuf/testkit";
import { describe, expect, it } from "vitest";

const BYTES = 4 * 4096;

interface Run {
  readonly checker: Checker;
  readonly framework: Framework;
  readonly platform: Platform;
  readonly controls: BufferControl[];
  readonly buffer: DmaBuf;
  importer(more?: Partial<Importer>): Importer;
  fence(seqno?: number): SoftwareFence;
  rules(): string[];
}

/** A heap whose storage a test may break. */
const heapWith = (
  controls: BufferControl[],
  more: (memory: HostMemory) => Partial<Storage>,
): ExporterDriver =>
  defineExporter({
    name: "heap",
    needsDevice: false,
    open: (services) => ({
      api: {},
      allocate(sizeBytes, _wishes, control): Storage {
        const memory = services.get(HOST_MEMORY);
        const pages = memory.allocate(sizeBytes);
        controls.push(control);
        return {
          types: [{ type: DMA }],
          place: () => ({ target: "system", ranges: pages.ranges }),
          release: () => memory.free(pages),
          ...more(memory),
        };
      },
    }),
  });

function run(
  more: (memory: HostMemory) => Partial<Storage> = () => ({}),
  platformOf: (platform: Platform) => Platform = (platform) => platform,
): Run {
  const checker = createChecker();
  const world = createWorld({ decisions: { choose: () => 0 } });
  const platform = platformOf(world.platform);
  const judge = { name: "none", judge: () => PATH };
  const framework = checker.framework({ platform, judge });
  const controls: BufferControl[] = [];
  const buffer = framework
    .openExporter(heapWith(controls, more), undefined, undefined)
    .allocate(BYTES);
  const context = buffer.reservation.domain.createContext({
    driverName: "test",
    timelineName: "work",
  });
  let seqno = 0;
  return {
    checker,
    framework,
    platform,
    controls,
    buffer,
    importer: (parts = {}) => ({
      name: "reader",
      device: platform.device("nic0"),
      offer: () => ({ answer: "offer", types: [{ type: DMA }] }),
      ...parts,
    }),
    fence: (at) => new SoftwareFence(context, at ?? ++seqno),
    // The test's own heaps stay open: what they hold is no mistake.
    rules: () => [
      ...new Set(
        checker
          .finish()
          .filter(({ subject }) => subject !== "heap" && subject !== "other")
          .map(({ rule }) => rule),
      ),
    ],
  };
}

const PATH = { reads: "bus-addr", writes: "bus-addr", distance: 4, reasons: [] } as const;
const MOVED = reason("MOVED", "the test moves it");

const tried = (step: () => unknown): void => {
  try {
    step();
  } catch {
    // The refusal is core's; the checker says which rule it was.
  }
};

it("says nothing of a run without a mistake", () => {
  const { buffer, importer, framework, rules, fence } = run();
  const attachment = buffer.attach(importer());
  const mapping = attachment.map("to-device");
  const work = fence();
  buffer.addFence(work, "read");
  work.signal();
  mapping.unmap();
  attachment.detach();
  buffer.close();
  framework.close();

  expect(rules()).toEqual([]);
});

describe("importers", () => {
  it.each<[rule: string, mistake: string, (run: Run) => void]>([
    [
      "IMP-010",
      "detaches while mapped",
      ({ buffer, importer }) => {
        const attachment = buffer.attach(importer());
        const mapping = attachment.map("to-device");
        tried(() => attachment.detach());
        mapping.unmap();
        attachment.detach();
      },
    ],
    [
      "IMP-011",
      "unmaps twice",
      ({ buffer, importer }) => {
        using attachment = buffer.attach(importer());
        const mapping = attachment.map("to-device");
        mapping.unmap();
        tried(() => mapping.unmap());
      },
    ],
    [
      "IMP-012",
      "maps after detach",
      ({ buffer, importer }) => {
        const attachment = buffer.attach(importer());
        attachment.detach();
        tried(() => attachment.map("to-device"));
      },
    ],
    [
      "IMP-013",
      "looks segments up after unmap",
      ({ buffer, importer }) => {
        using attachment = buffer.attach(importer());
        const mapping = attachment.map("to-device");
        mapping.unmap();
        tried(() => mapping.segments);
      },
    ],
    [
      "IMP-015",
      "unpins without a pin",
      ({ buffer, importer }) => {
        using attachment = buffer.attach(importer());
        tried(() => attachment.unpin());
      },
    ],
    [
      "IMP-019",
      "maps when told to let go",
      ({ buffer, importer, controls, fence }) => {
        const invalidateMappings = (attachment: { map(direction: "to-device"): unknown }): void =>
          tried(() => attachment.map("to-device"));
        using attachment = buffer.attach(importer({ invalidateMappings }));
        const mapping = attachment.map("to-device");
        const copy = fence();
        controls[0]?.move(MOVED, () => copy);
        copy.signal();
        mapping.unmap();
      },
    ],
    [
      "IMP-025",
      "is still attached at the end",
      ({ buffer, importer }) => {
        buffer.attach(importer());
      },
    ],
    [
      "IMP-029",
      "pins and cannot be told",
      ({ buffer, importer }) => {
        buffer.attach(importer({ pins: true })).detach();
      },
    ],
  ])("%s: %s", (rule, _mistake, mistake) => {
    const broken = run();
    mistake(broken);

    expect(broken.rules()).toEqual([rule]);
  });

  it("IMP-017: keeps a mapping that was invalidated", () => {
    const { buffer, importer, controls, fence, rules } = run();
    const attachment = buffer.attach(importer({ invalidateMappings() {} }));
    attachment.map("to-device");
    const copy = fence();
    controls[0]?.move(MOVED, () => copy);
    copy.signal();

    expect(rules()).toContain("IMP-017");
  });

  it("IMP-016, IMP-021: a device stays within its mappings and their direction, and a dead list is poison", () => {
    const { buffer, importer, checker, platform } = run();
    const client = platform.device("nic0");
    using attachment = buffer.attach(importer());
    const mapping = attachment.map("to-device");
    const { segments } = mapping;
    const address = segments.address(0);
    const access = (kind: "read" | "write", at: number): boolean =>
      checker.deviceAccess({ client, address: at, lengthBytes: 64, kind });

    expect(access("read", address)).toBe(true);
    expect(access("write", address)).toBe(false);
    mapping.unmap();
    expect(segments.address(0)).toBe(POISON_ADDRESS);
    expect(access("read", segments.address(0))).toBe(false);
    expect(access("read", address)).toBe(false);
    expect(new Set(checker.violations.map(({ rule }) => rule))).toEqual(
      new Set(["IMP-021", "IMP-016"]),
    );
  });

  it("a device goes on behind a fence that came with the news of a move", async () => {
    const { buffer, importer, checker, controls, fence, platform, rules } = run();
    const client = platform.device("nic0");
    const [running, copy] = [fence(), fence()];
    const invalidateMappings = (): void => buffer.addFence(running, "bookkeep");
    using attachment = buffer.attach(importer({ invalidateMappings }));
    const mapping = attachment.map("to-device");
    const address = mapping.segments.address(0);
    controls[0]?.move(MOVED, () => copy);

    checker.deviceAccess({ client, address, lengthBytes: 64, kind: "read", isWork: true });
    await Promise.resolve(); // The access is over.
    running.signal();
    mapping.unmap();
    copy.signal();
    attachment.detach();
    expect(rules()).toEqual([]);
  });

  it("IMP-028: unmaps while its device is at work", () => {
    const { buffer, importer, checker } = run();
    using attachment = buffer.attach(importer());
    const mapping = attachment.map("to-device");
    const work = checker.deviceWork(mapping.segments);
    mapping.unmap();
    work.end();

    expect(checker.violations.map(({ rule }) => rule)).toEqual(["IMP-028"]);
  });
});

describe("fences and locks", () => {
  it.each<[rule: string, mistake: string, (run: Run) => Promise<void> | void]>([
    [
      "SYN-001",
      "signals twice",
      ({ buffer, fence }) => {
        const work = fence();
        buffer.addFence(work, "read");
        work.signal();
        work.signal();
      },
    ],
    [
      "SYN-002",
      "never signals",
      ({ buffer, fence }) => {
        buffer.addFence(fence(), "read");
      },
    ],
    [
      "SYN-005",
      "signals out of order",
      ({ buffer, fence }) => {
        const [one, two] = [fence(1), fence(2)];
        buffer.addFence(one, "bookkeep");
        buffer.addFence(two, "write");
        two.signal();
        one.signal();
      },
    ],
    [
      "SYN-006",
      "shares a seqno",
      ({ buffer, fence }) => {
        const [one, two] = [fence(7), fence(7)];
        buffer.addFence(one, "read");
        buffer.addFence(two, "write");
        one.signal();
        two.signal();
      },
    ],
    [
      "SYN-008",
      "adds without the lock",
      ({ buffer, fence }) => {
        const work = fence();
        tried(() => buffer.reservation.addFence(work, "read"));
        work.signal();
      },
    ],
    [
      "SYN-012",
      "sets an error too late",
      ({ buffer, fence }) => {
        const work = fence();
        buffer.addFence(work, "read");
        work.signal();
        tried(() => work.setError(new FenceError("EIO", "too late")));
      },
    ],
    [
      "SYN-013",
      "lets go of a fence",
      ({ buffer, fence }) => {
        const work = fence();
        buffer.addFence(work, "read");
        work[Symbol.dispose]();
      },
    ],
    [
      "SYN-015",
      "keeps a lock",
      ({ buffer }) => {
        buffer.reservation.tryLock(new LockOwner("forgetful"));
      },
    ],
    [
      "SYN-009",
      "locks one after the other",
      async ({ framework, controls }) => {
        const other = framework
          .openExporter({ ...heapWith(controls, () => ({})), name: "other" }, undefined, undefined)
          .allocate(BYTES);
        const [mine] = controls;
        const owner = new LockOwner("greedy");
        await other.reservation.lock(owner);
        await mine?.reservation.lock(owner).catch(() => undefined);
        other.reservation.unlock(owner);
      },
    ],
    [
      "SYN-009",
      "locks one under the other as two owners, which no owner's own order can find",
      async ({ buffer, framework, controls, checker }) => {
        const other = framework
          .openExporter({ ...heapWith(controls, () => ({})), name: "other" }, undefined, undefined)
          .allocate(BYTES);
        await checker.task("driver", async () => {
          const owners = [new LockOwner("one queue"), new LockOwner("another queue")] as const;
          await buffer.reservation.lock(owners[0]);
          await other.reservation.lock(owners[1]);
          other.reservation.unlock(owners[1]);
          buffer.reservation.unlock(owners[0]);
        });
      },
    ],
    [
      "SYN-004",
      "waits for the lock on the way to the signal",
      async ({ buffer, fence, checker }) => {
        const work = fence();
        await checker.task("driver", async () => {
          buffer.addFence(work, "read");
          const owner = new LockOwner("driver");
          await buffer.reservation.lock(owner);
          work.signal();
          buffer.reservation.unlock(owner);
        });
      },
    ],
  ])("%s: %s", async (rule, _mistake, mistake) => {
    const broken = run();
    await mistake(broken);

    expect(broken.rules()).toEqual([rule]);
  });

  it("SYN-014: two drivers whose waits close a circle, in a run that did not meet it", async () => {
    const { buffer, fence, checker, rules } = run();
    const { reservation } = buffer;
    const work = fence();
    await checker.task("producer", async () => {
      buffer.addFence(work, "read");
      const context = new AcquireContext(reservation.domain, new LockOwner("producer"));
      await reservation.lock(context);
      reservation.unlock(context);
      context.finish();
    });
    await checker.task("waiter", async () => {
      const owner = new LockOwner("waiter");
      await reservation.lock(owner);
      const waited = work.signaled();
      work.signal();
      await waited;
      reservation.unlock(owner);
    });

    expect(rules()).toContain("SYN-014");
  });
});

describe("exporters", () => {
  const ranges = (...pairs: number[]): PhysicalRanges =>
    new PhysicalRanges(Float64Array.from(pairs));

  it.each<[rule: string, mistake: string, Partial<Storage>]>([
    [
      "EXP-006",
      "places too little",
      { place: () => ({ target: "system", ranges: ranges(0x40000000, 4096) }) },
    ],
    [
      "EXP-011",
      "places no whole pages",
      { place: () => ({ target: "system", ranges: ranges(0x40000010, BYTES) }) },
    ],
    [
      "EXP-012",
      "places a page twice",
      {
        place: () => ({
          target: "system",
          ranges: ranges(0x40000000, BYTES / 2, 0x40000000, BYTES / 2),
        }),
      },
    ],
    [
      "EXP-016",
      "has pin without unpin",
      {
        pin: () => ({
          target: "system",
          ranges: PhysicalRanges.of(physicalAddress(0x40000000), BYTES),
        }),
      },
    ],
    [
      "EXP-026",
      "declines without a word",
      { place: () => ({ answer: "decline", reason: { code: "", text: "" } }) },
    ],
  ])("%s: %s", (rule, _mistake, storage) => {
    const { buffer, importer, rules } = run(() => storage);
    const attachment = buffer.attach(importer());
    tried(() => attachment.map("to-device").unmap());
    attachment.detach();

    expect(rules()).toContain(rule);
  });
});

describe("platforms", () => {
  const table = (...numbers: number[]): SegmentList =>
    new SegmentList(
      Float64Array.from(numbers),
      numbers.reduce((sum, each, at) => (at % 3 === 1 ? sum + each : sum), 0),
    );
  const narrow = {
    ...UNLIMITED,
    addressMax: 0xffff_ffff,
    segmentBytesMax: 2 * 4096,
    segmentCountMax: 2,
    boundaryBytes: 0x10000,
    alignmentBytes: 4096,
  };

  it.each<[rule: string, list: SegmentList]>([
    ["PLT-001", table(0x1000, 4096, 0)],
    ["PLT-002", table(0x2_0000_0000, 2 * 4096, 0, 0x3000, 2 * 4096, 0)],
    ["PLT-003", table(0x1000, BYTES, 0)],
    ["PLT-004", table(0x1000, 4096, 0, 0x3000, 4096, 0, 0x5000, 2 * 4096, 0)],
    ["PLT-005", table(0xf000, 2 * 4096, 0, 0x13000, 2 * 4096, 0)],
    ["PLT-006", table(0x1200, 2 * 4096, 0, 0x4000, 2 * 4096, 0)],
    ["PLT-008", table(0x1000, 2 * 4096, 1, 0x4000, 2 * 4096, 0)],
  ])("%s: a wrong list is measured", (rule, list) => {
    const wrong = (platform: Platform): Platform => ({
      ...platform,
      clock: platform.clock,
      dma: { name: "wrong", map: () => list, unmap() {} },
    });
    const { buffer, importer, rules } = run(() => ({}), wrong);
    const offer = (): ReturnType<Importer["offer"]> => ({
      answer: "offer",
      types: [{ type: DMA }],
      limits: narrow,
    });
    const attachment = buffer.attach(importer({ offer }));
    attachment.map("to-device").unmap();
    attachment.detach();

    expect(rules()).toEqual([rule]);
  });
});
