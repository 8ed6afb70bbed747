/** Drivers that throw or call back at bad moments: handles, memory and waiters stay as they should be. */
import {
  type BufferControl,
  createFramework,
  DMA,
  type DmaBuf,
  type DmaLimits,
  FenceDomain,
  type Framework,
  type Importer,
  interconnect,
  type Judge,
  LockOwner,
  mergeFences,
  narrow,
  P2P,
  PeerbufError,
  PhysicalRanges,
  physicalAddress,
  reason,
  SoftwareFence,
  type Storage,
  substitute,
  TAKE,
  UNLIMITED,
} from "@peerbuf/core";
import { describe, expect, it } from "vitest";
import {
  benchPlatform,
  importerOn,
  inDevice,
  inSystem,
  judgeOf,
  memoryDriver,
  PAGE,
} from "./bench-platform.ts";

const RESET = reason("RESET", "the device is being reset");
const EVICTED = reason("EVICTED", "its memory is needed elsewhere");
const OWN = PhysicalRanges.of(physicalAddress(0x2000_0000), PAGE);
const NOTHING_OUT = { buffers: 0, attachments: 0, mappings: 0, pins: 0 };

const fail = (): never => {
  throw new RangeError("broken");
};

function scene(storage: Partial<Storage> = {}, judge: Judge = judgeOf("bus-addr")) {
  const platform = benchPlatform();
  const framework = createFramework({ platform, judge });
  const gpu = platform.device("gpu0");
  const controls: BufferControl[] = [];
  const driver = memoryDriver(
    gpu,
    () => storage,
    (control) => void controls.push(control),
  );
  const exporter = framework.openExporter(driver, "gpu0", undefined);
  const buffer = exporter.allocate(PAGE, { name: "weights" });
  const importer = (more: Partial<Importer> = {}, device = "nic0") =>
    importerOn(platform.device(device), [{ type: P2P }, { type: DMA }], more);
  const context = new FenceDomain(platform.clock).createContext({
    driverName: "engine",
    timelineName: "work",
  });
  let seqno = 0;
  const newFence = () => new SoftwareFence(context, ++seqno);
  const control = controls[0] as BufferControl;
  return { platform, framework, gpu, exporter, buffer, control, importer, newFence };
}

const movable = { invalidateMappings() {} };
const thrownBy = (work: () => unknown): PeerbufError => {
  try {
    work();
  } catch (error) {
    if (error instanceof PeerbufError) {
      return error;
    }
    throw error;
  }
  throw new Error("nothing was thrown");
};

/** Everything can be given back, and nothing is left. */
function expectClean(framework: Framework, buffer: DmaBuf): void {
  for (const attachment of [...buffer.attachments]) {
    attachment.detach();
  }
  buffer.close();
  expect(framework.handles()).toMatchObject(NOTHING_OUT);
}

describe("an exporter that throws", () => {
  it("when it hears of a mapping: the mapping is undone, pin and addresses included", () => {
    let pins = 0;
    const { platform, framework, gpu, buffer, importer } = scene({
      pin: () => {
        pins++;
        return inDevice(gpu, PAGE);
      },
      unpin: () => void pins--,
      mapped: fail,
    });
    const attachment = buffer.attach(importer());

    expect(thrownBy(() => attachment.map("to-device")).code).toBe("DRIVER_BROKEN");

    expect([pins, attachment.mappingCount, platform.mapped.size]).toEqual([0, 0, 0]);
    expectClean(framework, buffer);
  });

  it("when a mapping ends: it is gone all the same, and its pin with it", () => {
    let pins = 0;
    const { platform, framework, gpu, buffer, importer } = scene({
      pin: () => {
        pins++;
        return inDevice(gpu, PAGE);
      },
      unpin: () => void pins--,
      unmapped: fail,
    });
    const mapping = buffer.attach(importer()).map("to-device");

    expect(thrownBy(() => mapping.unmap()).code).toBe("DRIVER_BROKEN");

    expect([pins, platform.mapped.size]).toEqual([0, 0]);
    expectClean(framework, buffer);
  });

  it("when a mapping ends: whoever waits for the last unmap is not left waiting", async () => {
    const { buffer, control, importer } = scene({ unmapped: fail });
    const mapping = buffer.attach(importer()).map("to-device");
    const revocation = control.revoke(RESET);
    await Promise.resolve();

    expect(thrownBy(() => mapping.unmap()).code).toBe("DRIVER_BROKEN");

    await revocation;
  });

  it.each([
    ["unpin", { pin: () => inSystem(PAGE), unpin: fail }],
    ["detach", { detach: fail }],
    ["release", { release: fail }],
  ] satisfies [string, Partial<Storage>][])("at %s: is named, and nothing stays", (_, storage) => {
    const { framework, buffer, importer } = scene(storage);
    const attachment = buffer.attach(importer());
    attachment.pin();
    const steps = [() => attachment.unpin(), () => attachment.detach(), () => buffer.close()];

    const failures = steps.flatMap((step) => {
      try {
        step();
        return [];
      } catch (error) {
        return [error];
      }
    });

    expect(failures).toEqual([expect.objectContaining({ code: "DRIVER_BROKEN" })]);
    expect(framework.handles()).toMatchObject(NOTHING_OUT);
  });

  it("while it copies for an importer's own memory: the addresses of that memory are given back", () => {
    const { platform, framework, buffer, importer } = scene({ copy: fail });
    const attachment = buffer.attach(importer({ take: () => substitute(OWN, RESET) }));

    expect(thrownBy(() => attachment.map("to-device")).code).toBe("DRIVER_BROKEN");

    expect(platform.mapped.size).toBe(0);
    expectClean(framework, buffer);
  });

  it("at anything while the framework closes: all others are closed, and the failure is the cause", () => {
    const { platform, framework, exporter, buffer, importer } = scene({
      unmapped: fail,
      detach: fail,
      release: fail,
    });
    const other = exporter.allocate(PAGE, { name: "other" });
    buffer.attach(importer()).map("to-device");
    other.attach(importer({}, "nic1")).map("to-device");
    let completed = false;
    framework.events.subscribe({
      complete: () => {
        completed = true;
      },
    });

    const leak = thrownBy(() => framework.close());

    expect(leak).toMatchObject({
      code: "HANDLE_LEAKED",
      message: expect.stringMatching(/"other".*"weights"/),
      cause: { code: "DRIVER_BROKEN" },
    });
    expect(framework.handles()).toEqual({ drivers: 0, ...NOTHING_OUT });
    expect([platform.mapped.size, completed]).toEqual([0, true]);
  });
});

describe("an importer that throws when it is told", () => {
  it("keeps nobody else from being told", async () => {
    const told: string[] = [];
    const { buffer, control, importer } = scene();
    const listener = (device: string) =>
      importer({ invalidateMappings: ({ client }) => void told.push(client.id) }, device);
    buffer.attach(listener("nic0"));
    buffer.attach(importer({ invalidateMappings: fail }, "nic1"));

    await expect(control.revoke(RESET)).rejects.toMatchObject({ code: "DRIVER_BROKEN" });

    expect(told).toEqual(["nic0"]);
  });

  it("a revocation waits for everyone before it says so", async () => {
    const { buffer, control, importer, platform } = scene();
    const good = buffer.attach(importer(movable, "nic0")).map("to-device");
    buffer.attach(importer({ invalidateMappings: fail }, "nic1"));
    let over = false;
    const revocation = control.revoke(RESET).catch(({ code }) => {
      over = true;
      return code;
    });
    await new Promise(setImmediate);

    expect([good.isStale, over, platform.mapped.size]).toEqual([true, false, 0]);
    good.unmap();
    expect(await revocation).toBe("DRIVER_BROKEN");
  });

  it("an answer that is none is the driver's fault, and leaves nothing mapped", () => {
    const { platform, buffer, importer } = scene();
    const nothing = (() => undefined) as unknown as NonNullable<Importer["take"]>;
    const attachment = buffer.attach(importer({ take: nothing }));

    expect(thrownBy(() => attachment.map("to-device")).code).toBe("DRIVER_BROKEN");

    expect(platform.mapped.size).toBe(0);
  });
});

describe("a callback in the middle of a map", () => {
  it("that revokes the buffer: no mapping comes of it", () => {
    const { platform, buffer, control, importer } = scene();
    const attachment = buffer.attach(
      importer({
        ...movable,
        take: () => {
          void control.revoke(RESET);
          return TAKE;
        },
      }),
    );

    expect(thrownBy(() => attachment.map("to-device")).code).toBe("DEVICE_GONE");

    expect([attachment.mappingCount, platform.mapped.size]).toEqual([0, 0]);
  });

  it("that moves the buffer: the mapping is of the new place", () => {
    let place: "device" | "system" = "device";
    const { platform, gpu, buffer, control, importer, newFence } = scene({
      place: () => (place === "device" ? inDevice(gpu, PAGE) : inSystem(PAGE)),
    });
    const copy = newFence();
    const attachment = buffer.attach(
      importer({
        ...movable,
        take: ({ target }) => {
          if (target === "device") {
            control.move(EVICTED, () => {
              place = "system";
              return copy;
            });
          }
          return TAKE;
        },
      }),
    );

    const mapping = attachment.map("to-device");

    expect([mapping.target, mapping.ready, platform.mapped.size]).toEqual(["system", copy, 1]);
  });

  it("that detaches is refused", () => {
    const { buffer, importer } = scene();
    const refusals: string[] = [];
    const attachment = buffer.attach(
      importer({
        take: () => {
          refusals.push(thrownBy(() => attachment.detach()).code);
          return TAKE;
        },
      }),
    );

    attachment.map("to-device").unmap();

    expect(refusals).toEqual(["WRONG_ORDER"]);
    attachment.detach();
  });

  it("and one that closes the buffer while somebody attaches is refused", () => {
    const { framework, buffer, importer } = scene();
    const refusals: string[] = [];
    buffer.attach(
      importer({
        offer: () => {
          refusals.push(thrownBy(() => buffer.close()).code);
          return { answer: "offer", types: [{ type: DMA }] };
        },
      }),
    );

    expect(refusals).toEqual(["BUFFER_BUSY"]);
    expectClean(framework, buffer);
  });
});

describe("a callback in the middle of a move", () => {
  it("`start` cannot map: the bytes are nowhere yet", () => {
    const { buffer, control, importer, newFence } = scene();
    const attachment = buffer.attach(importer(movable));
    const copy = newFence();

    control.move(EVICTED, () => {
      expect(thrownBy(() => attachment.map("to-device")).code).toBe("WRONG_ORDER");
      expect(thrownBy(() => control.move(EVICTED, () => copy)).code).toBe("WRONG_ORDER");
      return copy;
    });
  });

  it("an importer that detaches is not told afterwards", () => {
    const told: string[] = [];
    const { buffer, control, importer, newFence } = scene();
    const older = buffer.attach(
      importer({ invalidateMappings: () => void told.push("older") }, "nic0"),
    );
    buffer.attach(importer({ invalidateMappings: () => older.detach() }, "nic1"));

    control.move(EVICTED, () => newFence());

    expect(told).toEqual([]);
  });

  it("the buffer cannot be closed, even by the last one who leaves", () => {
    const { buffer, control, importer, newFence } = scene();
    const codes: string[] = [];
    const attachment = buffer.attach(
      importer({
        invalidateMappings: () => {
          attachment.detach();
          codes.push(thrownBy(() => buffer.close()).code);
        },
      }),
    );

    control.move(EVICTED, () => newFence());

    expect(codes).toEqual(["BUFFER_BUSY"]);
    buffer.close();
  });

  it("a copy of several fences is waited for as a whole", () => {
    const { platform, buffer, control, importer, newFence } = scene();
    const attachment = buffer.attach(importer(movable));
    const domain = new FenceDomain(platform.clock);
    const other = domain.createContext({ driverName: "engine", timelineName: "second" });
    const [one, two] = [newFence(), new SoftwareFence(other, 1)];

    control.move(EVICTED, () => mergeFences(domain, [one, two]));

    const { ready } = attachment.map("to-device");
    one.signal();
    expect(ready?.poll()).toBe(false);
    two.signal();
    expect(ready?.poll()).toBe(true);
  });
});

describe("a closed buffer", () => {
  it("that moves while it waits for work is released when the copy is over too", () => {
    let released = false;
    const { buffer, control, newFence } = scene({
      release: () => {
        released = true;
      },
    });
    const [work, copy] = [newFence(), newFence()];
    buffer.addFence(work, "read");
    buffer.close();
    control.move(EVICTED, () => copy);

    work.signal();
    expect(released).toBe(false);
    copy.signal();
    expect(released).toBe(true);
  });

  it("whose work ends with its driver is no leak", () => {
    const platform = benchPlatform();
    const framework = createFramework({ platform, judge: judgeOf("bus-addr") });
    const context = new FenceDomain(platform.clock).createContext({
      driverName: "engine",
      timelineName: "work",
    });
    const work = new SoftwareFence(context, 1);
    const driver = memoryDriver(platform.device("gpu0"));
    const { allocate } = framework.openExporter(
      {
        ...driver,
        open: (services, options) => ({
          ...driver.open(services, options),
          close: () => void work.signal(),
        }),
      },
      "gpu0",
      undefined,
    );
    const buffer = allocate(PAGE);
    buffer.addFence(work, "write");
    buffer.close();

    framework.close();

    expect(framework.handles()).toMatchObject(NOTHING_OUT);
  });
});

describe("an exporter", () => {
  it("that was closed allocates nothing more", () => {
    const { exporter, buffer } = scene();
    buffer.close();
    exporter.close();

    expect(thrownBy(() => exporter.allocate(PAGE)).code).toBe("HANDLE_CLOSED");
  });

  it("that said yes to an attachment which does not come to be is told to detach", () => {
    const log: string[] = [];
    const { buffer, importer } = scene({
      attach: () => {
        log.push("attach");
        return narrow([P2P, DMA], RESET);
      },
      detach: () => void log.push("detach"),
    });

    expect(thrownBy(() => buffer.attach(importer())).code).toBe("NO_COMMON_TYPE");

    expect(log).toEqual(["attach", "detach"]);
  });

  it("that lists more types than there may be is told, on either side", () => {
    const many = Array.from({ length: 17 }, (_, index) => ({
      type: interconnect(`link-${index}`),
    }));
    const few = scene();
    const broken = scene({ types: many });
    const offer = () => ({ answer: "offer", types: many }) as const;

    for (const attach of [
      () => few.buffer.attach(few.importer({ offer })),
      () => broken.buffer.attach(broken.importer()),
    ]) {
      expect(thrownBy(attach)).toMatchObject({
        code: "DRIVER_BROKEN",
        message: expect.stringContaining("17 mapping types, at most 16"),
      });
    }
  });

  it.each<[Partial<DmaLimits>, string]>([
    [{ segmentBytesMax: 0 }, "segmentBytesMax is 0, not a whole number from 1 to 2^53 - 1"],
    [{ addressMax: Number.NaN }, "addressMax is NaN, not a whole number from 1 to 2^53 - 1"],
    [{ boundaryBytes: 12 }, "boundaryBytes is 12, neither 0 nor a power of two"],
    [{ alignmentBytes: 0 }, "alignmentBytes is 0, no power of two"],
    [{ alignmentBytes: 2 ** 53 - 1 }, "alignmentBytes is 9007199254740991, no power of two"],
  ])("whose importer states limits that no engine has is not asked: %j", (wrong, problem) => {
    const { buffer, importer } = scene();
    const limits = { ...UNLIMITED, ...wrong };

    const attach = () =>
      buffer.attach(
        importer({ offer: () => ({ answer: "offer", types: [{ type: DMA }], limits }) }),
      );

    expect(thrownBy(attach)).toMatchObject({
      code: "DRIVER_BROKEN",
      message: expect.stringContaining(`states limits that no engine has: ${problem}`),
    });
  });

  it("that lists a type twice is heard once", () => {
    const { buffer, importer } = scene({ types: [{ type: DMA }, { type: P2P }, { type: DMA }] });

    expect(buffer.attach(importer()).kept.map(({ type }) => type.name)).toEqual(["dma", "p2p"]);
  });
});

describe("a choice among the kept types", () => {
  it("is forgotten at a move by importers that are not told of it, too", () => {
    const asked: string[] = [];
    const { gpu, buffer, control, importer, newFence } = scene({
      place: ({ pair }) => {
        asked.push(pair.type.name);
        return pair.type === P2P && asked.length === 1
          ? { answer: "decline", reason: EVICTED }
          : pair.type === P2P
            ? inDevice(gpu, PAGE)
            : inSystem(PAGE);
      },
    });
    const attachment = buffer.attach(importer());
    attachment.map("to-device").unmap();
    expect(asked).toEqual(["p2p", "dma"]);

    control.move(EVICTED, () => {
      const copy = newFence();
      copy.signal();
      return copy;
    });
    attachment.map("to-device").unmap();

    expect(asked.at(-1)).toBe("p2p");
  });
});

describe("a copy back", () => {
  const copies = (log: string[], newFence: () => SoftwareFence): Partial<Storage> => ({
    copy: (_target, way) => {
      log.push(way);
      return newFence();
    },
  });

  it("does not start while somebody else holds the reservation: the unmap is refused and changes nothing", () => {
    const log: string[] = [];
    let fence: () => SoftwareFence = fail;
    const { buffer, importer, newFence } = scene(copies(log, () => fence()));
    fence = newFence;
    const attachment = buffer.attach(importer({ take: () => substitute(OWN, RESET) }));
    const mapping = attachment.map("from-device");
    const user = new LockOwner("a job of two buffers");
    buffer.reservation.tryLock(user);

    expect(thrownBy(() => mapping.unmap()).code).toBe("BUFFER_BUSY");

    expect([log, attachment.mappingCount]).toEqual([[], 1]);
    buffer.reservation.unlock(user);
    mapping.unmap();
    expect(log).toEqual(["back"]);
  });

  it("of a revoked buffer has nowhere to go: the record says so", async () => {
    const log: string[] = [];
    let fence: () => SoftwareFence = fail;
    const { buffer, control, importer, newFence } = scene(copies(log, () => fence()));
    fence = newFence;
    const attachment = buffer.attach(importer({ take: () => substitute(OWN, RESET), ...movable }));
    const mapping = attachment.map("from-device");
    const revocation = control.revoke(RESET);

    expect(mapping.unmap()).toBeUndefined();

    await revocation;
    expect(log).toEqual([]);
    expect(attachment.decisions.at(-1)).toMatchObject({
      party: "framework",
      stage: "unmap",
      verdict: "decline",
      reason: { code: "NOT_COPIED_BACK" },
    });
  });
});

describe("CPU access", () => {
  it("whose begin the exporter fails is the exporter's fault by name", async () => {
    const { buffer } = scene({ read: async () => {}, beginCpuAccess: async () => fail() });

    await expect(buffer.beginCpuAccess("read")).rejects.toMatchObject({
      code: "DRIVER_BROKEN",
      message: expect.stringContaining("memory@gpu0"),
    });
    buffer.close();
  });
});
