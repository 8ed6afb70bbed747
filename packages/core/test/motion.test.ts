/** A buffer that moves, is pinned or is revoked while others use it (reference: dma-buf.md, sections 5 and 8). */
import {
  type BufferControl,
  type Clock,
  createFramework,
  DMA,
  FenceDomain,
  type Importer,
  LockOwner,
  type Mapping,
  P2P,
  reason,
  SoftwareFence,
  type Storage,
  stubFence,
  substitute,
  TAKE,
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
import { settleTasks, testDomain } from "./sync/virtual-clock.ts";

const EVICTED = reason("EVICTED", "its memory is needed elsewhere");

/** A buffer that lives in the device until it is moved to system memory, and three importers. */
function scene(storage: Partial<Storage> = {}, clock?: Clock) {
  const bench = benchPlatform();
  const platform = { ...bench, clock: clock ?? bench.clock };
  const fences = new FenceDomain(platform.clock);
  const engine = fences.createContext({ driverName: "engine", timelineName: "work" });
  const framework = createFramework({ platform, judge: judgeOf("bus-addr") });
  const gpu = platform.device("gpu0");
  let place: "device" | "system" = "device";
  let seqno = 0;
  const state = { control: undefined as unknown as BufferControl, released: false };
  const driver = memoryDriver(gpu, (sizeBytes) => ({
    place: () => (place === "device" ? inDevice(gpu, sizeBytes) : inSystem(sizeBytes)),
    release: () => {
      state.released = true;
    },
    ...storage,
  }));
  const open = driver.open;
  const exporter = framework.openExporter(
    {
      ...driver,
      open: (services, options) => {
        const opened = open(services, options);
        return {
          ...opened,
          allocate: (size, wishes, control) => {
            state.control = control;
            return opened.allocate(size, wishes, control);
          },
        };
      },
    },
    "gpu0",
    undefined,
  );
  const buffer = exporter.allocate(2 * PAGE, { name: "weights" });
  const newFence = () => new SoftwareFence(engine, ++seqno);
  /** Moves to system memory; the copy is under way until its fence is signaled. */
  const evict = () => {
    const copy = newFence();
    const moved = state.control.move(EVICTED, (after) => {
      place = "system";
      started.push(after.isSignaled);
      return copy;
    });
    return { copy, moved };
  };
  const started: boolean[] = [];
  const types = [{ type: P2P }, { type: DMA }];
  const importer = (device: string, more: Partial<Importer> = {}) =>
    importerOn(platform.device(device), types, more);
  return { platform, framework, buffer, state, newFence, evict, started, importer };
}

describe("a move", () => {
  it("tells movable importers, the newest attachment first", () => {
    const { buffer, evict, importer } = scene();
    const told: string[] = [];
    const listener = (device: string) =>
      importer(device, { invalidateMappings: ({ client }) => void told.push(client.id) });
    using _a = buffer.attach(listener("nic0"));
    using _b = buffer.attach(listener("nic1"));

    evict();

    expect(told).toEqual(["nic1", "nic0"]);
  });

  it("makes mappings stale: no new work starts on them", () => {
    const { buffer, evict, importer } = scene();
    using attachment = buffer.attach(importer("nic0", { invalidateMappings() {} }));
    using mapping = attachment.map("to-device");

    evict();

    expect(mapping.isStale).toBe(true);
    expect(() => mapping.segments).toThrow(
      expect.objectContaining({ code: "MAPPING_STALE", errno: "ESTALE" }),
    );
  });

  it("leaves old addresses usable until the importer's work is over, and not longer", () => {
    const { platform, buffer, newFence, evict, started, importer } = scene();
    const work = newFence();
    using attachment = buffer.attach(
      importer("nic0", { invalidateMappings: () => buffer.addFence(work, "read") }),
    );
    using _mapping = attachment.map("to-device");

    evict();
    expect(platform.mapped.size).toBe(1);
    expect(started).toEqual([false]);

    work.signal();
    expect(platform.mapped.size).toBe(0);
  });

  it("also waits for explicit-sync work that nobody else waits for", () => {
    const { platform, buffer, newFence, evict, importer } = scene();
    const work = newFence();
    using attachment = buffer.attach(importer("nic0", { invalidateMappings() {} }));
    using _mapping = attachment.map("to-device");
    buffer.addFence(work, "bookkeep");

    evict();

    expect(platform.mapped.size).toBe(1);
    work.signal();
    expect(platform.mapped.size).toBe(0);
  });

  it("new mappings see the new place and carry the fence of the copy", () => {
    const { buffer, evict, importer } = scene();
    using attachment = buffer.attach(importer("nic0", { invalidateMappings() {} }));
    using old = attachment.map("to-device");
    const { copy } = evict();

    using fresh = attachment.map("to-device");

    expect([old.target, fresh.target]).toEqual(["device", "system"]);
    expect(fresh.ready).toBe(copy);
    copy.signal();
    using later = attachment.map("to-device");
    expect(later.ready).toBeUndefined();
  });

  it("is on everyone's record, with the reason of whoever caused it", () => {
    const { buffer, evict, importer } = scene();
    using bystander = buffer.attach(importer("nic0", { invalidateMappings() {} }));

    evict();

    expect(bystander.decisions.at(-1)).toMatchObject({
      party: "exporter",
      stage: "move",
      verdict: "redirect",
      reason: EVICTED,
    });
  });

  it("refuses to map until invalidateMappings has returned, so two importers cannot chase each other", () => {
    const { buffer, evict, importer } = scene();
    let error: unknown;
    using attachment = buffer.attach(
      importer("nic0", {
        invalidateMappings(own) {
          try {
            own.map("to-device");
          } catch (thrown) {
            error = thrown;
          }
        },
      }),
    );
    using _mapping = attachment.map("to-device");

    evict();

    expect(error).toMatchObject({
      code: "WRONG_ORDER",
      message: expect.stringContaining("is moving"),
    });
  });

  it("lets an importer unmap inside of invalidateMappings", () => {
    const { platform, buffer, evict, importer } = scene();
    let mapping: Mapping | undefined;
    using attachment = buffer.attach(
      importer("nic0", { invalidateMappings: () => void mapping?.unmap() }),
    );
    mapping = attachment.map("to-device");

    evict();

    expect(attachment.mappingCount).toBe(0);
    expect(platform.mapped.size).toBe(0);
  });

  it("is refused while somebody holds the reservation, by name", async () => {
    const { buffer, evict, importer } = scene();
    using attachment = buffer.attach(importer("nic0", { invalidateMappings() {} }));
    using mapping = attachment.map("to-device");
    const submission = new LockOwner("a submission");
    await buffer.reservation.lock(submission);

    expect(() => evict()).toThrow(
      expect.objectContaining({
        code: "BUFFER_BUSY",
        message: expect.stringContaining("a submission"),
      }),
    );
    expect(mapping.isStale).toBe(false);
    buffer.reservation.unlock(submission);
  });

  it("an importer that throws when told stops the move and is named", () => {
    const { buffer, evict, started, importer } = scene();
    using _attachment = buffer.attach(
      importer("nic0", {
        invalidateMappings() {
          throw new Error("lost my table");
        },
      }),
    );

    expect(() => evict()).toThrow(expect.objectContaining({ code: "DRIVER_BROKEN" }));
    expect(started).toEqual([]);
    expect(buffer.reservation.isLocked).toBe(false);
  });
});

describe("a pin", () => {
  it("holds the memory: a move is refused and names the holder", () => {
    const { buffer, evict, importer } = scene();
    using attachment = buffer.attach(importer("nic0", { invalidateMappings() {} }));
    attachment.pin();

    expect(() => evict()).toThrow(
      expect.objectContaining({
        code: "BUFFER_PINNED",
        message: expect.stringContaining("reader@nic0"),
      }),
    );
    attachment.unpin();
    expect(() => evict()).not.toThrow();
  });

  it("comes with every mapping of an importer that cannot follow moves, and goes with it", () => {
    const pins = { now: 0, most: 0 };
    const { buffer, evict, importer } = scene({
      pin: () => {
        pins.now++;
        pins.most = Math.max(pins.most, pins.now);
        return inSystem(2 * PAGE);
      },
      unpin: () => void pins.now--,
    });
    using attachment = buffer.attach(importer("nic0"));

    const mapping = attachment.map("to-device");
    expect(attachment.isPinned).toBe(true);
    expect(() => evict()).toThrow(expect.objectContaining({ code: "BUFFER_PINNED" }));
    mapping.unmap();

    expect(pins).toEqual({ now: 0, most: 1 });
    expect(attachment.isPinned).toBe(false);
    expect(attachment.decisions.map(({ stage }) => stage)).toContain("pin");
  });

  it("is undone when the mapping does not come to be", () => {
    let pins = 0;
    const { buffer, importer } = scene({
      pin: () => {
        pins++;
        return inSystem(PAGE);
      },
      unpin: () => void pins--,
    });
    using attachment = buffer.attach(importer("nic0"));

    expect(() => attachment.map("to-device")).toThrow(/placed 4096 of 8192 bytes/);
    expect(pins).toBe(0);
  });

  it("that the exporter declines is a typed error with its reason", () => {
    const { buffer, importer } = scene({
      pin: () => ({ answer: "decline", reason: reason("SHARED_VRAM", "cannot stay in VRAM") }),
      unpin() {},
    });
    using attachment = buffer.attach(importer("nic0", { invalidateMappings() {} }));

    expect(() => attachment.pin()).toThrow(
      expect.objectContaining({
        code: "PIN_DECLINED",
        message: expect.stringContaining("SHARED_VRAM"),
      }),
    );
    expect(attachment.pinCount).toBe(0);
  });
});

describe("a revocation", () => {
  const RESET = reason("RESET", "the device is reset");

  it("fails attach, map and pin from the moment it begins", async () => {
    const { buffer, state, importer } = scene();
    using attachment = buffer.attach(importer("nic0", { invalidateMappings() {} }));

    await state.control.revoke(RESET);

    const gone = expect.objectContaining({ code: "DEVICE_GONE", errno: "ENODEV" });
    expect(() => buffer.attach(importer("nic1"))).toThrow(gone);
    expect(() => attachment.map("to-device")).toThrow(gone);
    expect(() => attachment.pin()).toThrow(gone);
  });

  it("is over when all work is over and everyone has unmapped, in this order", async () => {
    const { platform, buffer, state, newFence, importer } = scene();
    const work = newFence();
    using attachment = buffer.attach(
      importer("nic0", { pins: true, invalidateMappings: () => buffer.addFence(work, "read") }),
    );
    const mapping = attachment.map("to-device");
    let over = false;

    const revocation = state.control.revoke(RESET).then(() => {
      over = true;
    });
    expect(platform.mapped.size).toBe(1);
    work.signal();
    expect(platform.mapped.size).toBe(0);
    await Promise.resolve();
    expect(over).toBe(false);
    mapping.unmap();
    await revocation;

    expect(over).toBe(true);
  });

  it("tells revocable importers, and cannot stop a pinned one: it waits for its unmap", async () => {
    const { platform, buffer, state, importer } = scene();
    using pinned = buffer.attach(importer("nic0"));
    const mapping = pinned.map("to-device");

    const revocation = state.control.revoke(RESET);
    await Promise.resolve();

    expect(mapping.isStale).toBe(false);
    expect(platform.mapped.size).toBe(1);
    mapping.unmap();
    await revocation;
  });

  it("that nobody answers ends with its limit and names who still holds it", async () => {
    const { buffer, state, importer } = scene();
    using attachment = buffer.attach(importer("nic0"));
    using _mapping = attachment.map("to-device");

    await expect(state.control.revoke(RESET, { timeoutNs: 0 })).rejects.toMatchObject({
      code: "WAIT_TIMED_OUT",
      message: expect.stringContaining("reader@nic0"),
    });
  });

  it("has one limit for both waits: work that ends late leaves less for the unmaps", async () => {
    const { clock, domain } = testDomain();
    const { buffer, state, importer } = scene({}, clock);
    const context = domain.createContext({ driverName: "engine", timelineName: "late" });
    const work = new SoftwareFence(context, 1);
    using attachment = buffer.attach(importer("nic0"));
    using _mapping = attachment.map("to-device");
    buffer.addFence(work, "read");
    const endedNs = state.control.revoke(RESET, { timeoutNs: 100 }).catch(() => clock.nowNs);

    clock.advance(60);
    work.signal();
    await settleTasks();
    clock.advance(40);
    await settleTasks();
    clock.advance(1000);

    expect(await endedNs).toBe(100);
  });

  it("takes the bytes away from the CPU too, inside of an open bracket as well", async () => {
    const { buffer, state } = scene({
      read: async () => {},
      write: async () => {},
    });
    const access = await buffer.beginCpuAccess("read-write");

    await state.control.revoke(RESET);

    const gone = { code: "DEVICE_GONE", errno: "ENODEV" };
    await expect(access.read(0, 1)).rejects.toMatchObject(gone);
    await expect(access.write(0, Uint8Array.of(1))).rejects.toMatchObject(gone);
    await access.end();
    await expect(buffer.read(0, 1)).rejects.toMatchObject(gone);
    state.control.restore();
    await expect(buffer.read(0, 1)).resolves.toHaveLength(1);
  });

  it("can be taken back: attach and map work again", async () => {
    const { buffer, state, importer } = scene();
    await state.control.revoke(RESET);

    state.control.restore();

    using attachment = buffer.attach(importer("nic0"));
    using mapping = attachment.map("to-device");
    expect(mapping.isStale).toBe(false);
  });
});

describe("CPU access", () => {
  const bytes = new Uint8Array(2 * PAGE);
  const forTheCpu = (): Partial<Storage> & { log: string[] } => {
    const log: string[] = [];
    return {
      log,
      beginCpuAccess: async (use) => void log.push(`begin ${use}`),
      endCpuAccess: async (use) => void log.push(`end ${use}`),
      read: async (offset, target) => target.set(bytes.subarray(offset, offset + target.length)),
      write: async (offset, source) => bytes.set(source, offset),
    };
  };

  it("tells the exporter, then waits for writers if it reads", async () => {
    const storage = forTheCpu();
    const { buffer, newFence } = scene(storage);
    const writer = newFence();
    const reader = newFence();
    buffer.addFence(writer, "write");
    buffer.addFence(reader, "read");
    let begun = false;

    const opening = buffer.beginCpuAccess("read").then((access) => {
      begun = true;
      return access;
    });
    await Promise.resolve();
    expect([storage.log, begun]).toEqual([["begin read"], false]);
    writer.signal();
    await (await opening).end();

    expect(storage.log).toEqual(["begin read", "end read"]);
  });

  it("waits for readers too if it writes", async () => {
    const { buffer, newFence } = scene(forTheCpu());
    const reader = newFence();
    buffer.addFence(reader, "read");

    await expect(buffer.beginCpuAccess("write", { timeoutNs: 0 })).rejects.toMatchObject({
      code: "WAIT_TIMED_OUT",
    });
    reader.signal();
    await expect(buffer.write(0, Uint8Array.of(1, 2))).resolves.toBeUndefined();
    expect(bytes.slice(0, 2)).toEqual(Uint8Array.of(1, 2));
  });

  it("is over after end: the view is dead, and so are wrong uses of it", async () => {
    const { buffer } = scene(forTheCpu());
    const access = await buffer.beginCpuAccess("read");

    await expect(access.write(0, Uint8Array.of(1))).rejects.toMatchObject({ code: "ACCESS_FAULT" });
    await expect(access.read(2 * PAGE - 1, 2)).rejects.toMatchObject({ code: "ACCESS_FAULT" });
    await access.end();
    await expect(access.read(0, 1)).rejects.toMatchObject({
      code: "ACCESS_FAULT",
      errno: "EFAULT",
    });
    await expect(access.end()).rejects.toMatchObject({ code: "HANDLE_CLOSED" });
  });

  it("nests, and each bracket keeps the buffer alive until it is ended", async () => {
    const storage = forTheCpu();
    const { buffer } = scene(storage);
    const outer = await buffer.beginCpuAccess("read-write");
    const inner = await buffer.beginCpuAccess("read");

    expect(() => buffer.close()).toThrow(expect.objectContaining({ code: "BUFFER_BUSY" }));
    await inner.end();
    await outer.write(0, Uint8Array.of(9));
    await outer.end();

    expect(storage.log).toEqual(["begin read-write", "begin read", "end read", "end read-write"]);
    buffer.close();
  });

  it("is ended when what happens inside throws", async () => {
    const storage = forTheCpu();
    const { buffer } = scene(storage);

    const inside = async (): Promise<void> => {
      await using _access = await buffer.beginCpuAccess("read");
      throw new Error("in the middle");
    };

    await expect(inside()).rejects.toThrow("in the middle");
    expect(storage.log).toEqual(["begin read", "end read"]);
  });

  it("that is forgotten is named when the framework closes", async () => {
    const { framework, buffer } = scene(forTheCpu());
    await buffer.beginCpuAccess("read");

    expect(() => framework.close()).toThrow(/CPU access \(read\) to dma-buf "weights"/);
  });
});

describe("a copy policy", () => {
  const own = inSystem(2 * PAGE).ranges;
  const WANTS = reason("WANTS", "likes its own memory");

  it("`never` declines a target of the importer's own", () => {
    const { buffer, importer } = scene({
      copy: () => stubFence(new FenceDomain(benchPlatform().clock)),
    });
    const bringing = importer("nic0", {
      take: ({ target }) => (target === "device" ? substitute(own, WANTS) : TAKE),
    });

    using attachment = buffer.attach(bringing, { copy: "never" });

    expect(() => attachment.map("to-device")).toThrow(/COPY_FORBIDDEN/);
  });

  it("`required` takes nothing but a copy", () => {
    const { buffer, importer } = scene({
      copy: () => stubFence(new FenceDomain(benchPlatform().clock)),
    });

    using plain = buffer.attach(importer("nic0"), { copy: "required" });
    using bringing = buffer.attach(importer("nic1", { take: () => substitute(own, WANTS) }), {
      copy: "required",
    });

    expect(() => plain.map("to-device")).toThrow(/COPY_REQUIRED/);
    using mapping = bringing.map("to-device");
    expect(mapping.copied).toBe(true);
  });

  it("a copy is on the record with its bytes and its time", () => {
    const { buffer, importer } = scene({
      copy: () => stubFence(new FenceDomain(benchPlatform().clock)),
    });
    using attachment = buffer.attach(importer("nic0", { take: () => substitute(own, WANTS) }));
    attachment.map("bidirectional").unmap();

    const copies = attachment.decisions.filter(({ reason: { code } }) =>
      code.startsWith("COPIED_"),
    );
    expect(copies.map(({ reason: { code, numbers } }) => [code, numbers])).toEqual([
      ["COPIED_OUT", { bytes: 2 * PAGE, atNs: 0 }],
      ["COPIED_BACK", { bytes: 2 * PAGE, atNs: 0 }],
    ]);
  });
});
