import {
  askSystem,
  type BufferControl,
  createFramework,
  type Decision,
  DMA,
  type DmaBuf,
  decline,
  defineMappingType,
  FenceDomain,
  type Importer,
  type Judge,
  type MappingOffer,
  NEGOTIATION_ROUNDS_MAX,
  NegotiationError,
  narrow,
  P2P,
  PHYSICAL,
  PhysicalRanges,
  physicalAddress,
  reason,
  redirect,
  SoftwareFence,
  type Storage,
  stubFence,
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

const BOTH = [{ type: P2P }, { type: DMA }];

/** A buffer of two pages from `gpu0`, and an importer on `nic0`. */
function scene(
  setup: {
    judge?: Judge;
    storage?: (sizeBytes: number) => Partial<Storage>;
    importer?: Partial<Importer>;
    types?: readonly MappingOffer[];
    peerToPeer?: boolean;
    onAllocate?: (control: BufferControl) => void;
  } = {},
) {
  const platform = benchPlatform({ peerToPeer: setup.peerToPeer ?? true });
  const judge = setup.judge ?? judgeOf("bus-addr");
  const framework = createFramework({ platform, judge });
  const gpu = platform.device("gpu0");
  const driver = memoryDriver(gpu, setup.storage, setup.onAllocate);
  const buffer: DmaBuf = framework
    .openExporter(driver, "gpu0", undefined)
    .allocate(2 * PAGE, { name: "weights" });
  const importer = importerOn(platform.device("nic0"), setup.types ?? BOTH, setup.importer);
  return { platform, framework, gpu, buffer, importer };
}

const spoken = (decisions: readonly Decision[]): string[] =>
  decisions.map(
    ({ party, stage, verdict, reason: { code } }) => `${party} ${stage} ${verdict} ${code}`,
  );

const NO = reason("NO", "for a reason of its own");

describe("a negotiation that all agree to", () => {
  it("records every stage in order, with who spoke", () => {
    const { buffer, importer } = scene();

    using attachment = buffer.attach(importer);
    using _mapping = attachment.map("to-device");

    expect(spoken(attachment.decisions)).toEqual([
      "importer attach offer OFFERED",
      "topology attach bus-addr TOLD",
      "exporter attach accept NO_OBJECTION",
      "framework attach accept KEPT",
      "exporter map accept PLACED",
      "dma map accept BUS_ADDRESS",
      "importer map accept TAKEN",
    ]);
    expect(attachment.decisions.map(({ by }) => by)).toEqual([
      "reader@nic0",
      "bench-rules",
      "memory@gpu0",
      "framework",
      "memory@gpu0",
      "bench-dma",
      "reader@nic0",
    ]);
  });

  it("gives the importer bus addresses below a common bridge", () => {
    const { buffer, importer } = scene({ judge: judgeOf("bus-addr") });

    using attachment = buffer.attach(importer);
    using mapping = attachment.map("bidirectional");

    expect(mapping).toMatchObject({
      target: "device",
      route: "bus-addr",
      type: P2P,
      copied: false,
    });
    expect(mapping.segments.isBusAddress(0)).toBe(true);
  });

  it("goes through the host bridge where topology says so", () => {
    const { buffer, importer } = scene({ judge: judgeOf("host-bridge") });

    using attachment = buffer.attach(importer);
    using mapping = attachment.map("bidirectional");

    expect(mapping.route).toBe("host-bridge");
    expect(mapping.segments.isBusAddress(0)).toBe(false);
  });

  it("keeps every common type, in the exporter's order", () => {
    const order = [{ type: DMA }, { type: PHYSICAL }, { type: P2P }];
    const { buffer, importer } = scene({ types: order });

    using attachment = buffer.attach(importer);

    expect(attachment.kept.map(({ type }) => type.name)).toEqual(["p2p", "dma"]);
  });

  it("gives an importer with its own translation the physical ranges, and makes no addresses", () => {
    const { buffer, importer, platform } = scene({
      types: [{ type: PHYSICAL }],
      storage: (size) => ({ types: [{ type: PHYSICAL }], place: () => inSystem(size) }),
    });

    using attachment = buffer.attach(importer);
    using mapping = attachment.map("bidirectional");

    expect(mapping.segments.address(0)).toBe(0x4000_0000);
    expect(platform.mapped.size).toBe(0);
    expect(spoken(attachment.decisions)).toContain("framework map accept UNTRANSLATED");
  });

  it("lets a driver package add a type of its own, compared by identity", () => {
    const link = defineMappingType("link", "untranslated", "any");
    const namesake = defineMappingType("link", "untranslated", "any");
    const { buffer, importer, gpu } = scene({
      types: [{ type: link }],
      storage: (size) => ({ types: [{ type: link }], place: () => inDevice(gpu, size) }),
    });

    using attachment = buffer.attach(importer);
    using mapping = attachment.map("to-device");

    expect(mapping.type).toBe(link);
    expect(mapping.segments.address(0)).toBe(0x10_0000_0000);
    expect(() =>
      buffer.attach({
        ...importer,
        offer: () => ({ answer: "offer", types: [{ type: namesake }] }),
      }),
    ).toThrow(expect.objectContaining({ code: "NO_COMMON_TYPE" }));
  });
});

describe("declining P2P", () => {
  it("topology strikes it and the buffer goes to system memory, on the record", () => {
    const { buffer, importer } = scene({ judge: judgeOf("unsupported") });

    using attachment = buffer.attach(importer);
    using mapping = attachment.map("to-device");

    expect(mapping).toMatchObject({ target: "system", route: "system", type: DMA });
    expect(attachment.decisions[1]).toMatchObject({
      party: "topology",
      verdict: "unsupported",
      left: ["dma"],
    });
  });

  it("an unknown path is not tried: the product never guesses", () => {
    const { buffer, importer } = scene({ judge: judgeOf("unknown") });

    using attachment = buffer.attach(importer);

    expect(attachment.kept.map(({ type }) => type.name)).toEqual(["dma"]);
    expect(attachment.decisions[1]).toMatchObject({ party: "topology", verdict: "unknown" });
  });

  it("an importer that does not offer it is recorded with its reason", () => {
    const { buffer, importer } = scene({
      importer: { offer: () => ({ answer: "offer", types: [{ type: DMA }], reason: NO }) },
    });

    using attachment = buffer.attach(importer);

    expect(attachment.decisions[0]).toMatchObject({ verdict: "offer", reason: NO, left: ["dma"] });
  });

  it("an exporter strikes it at attach", () => {
    const { buffer, importer } = scene({ storage: () => ({ attach: () => narrow([P2P], NO) }) });

    using attachment = buffer.attach(importer);
    using mapping = attachment.map("to-device");

    expect(mapping.target).toBe("system");
    expect(spoken(attachment.decisions)).toContain("exporter attach narrow NO");
  });

  it("an exporter keeps its device memory to itself at attach", () => {
    const { buffer, importer } = scene({ storage: () => ({ attach: () => redirect(NO) }) });

    using attachment = buffer.attach(importer);

    expect(attachment.kept.map(({ type }) => type.name)).toEqual(["dma"]);
    expect(spoken(attachment.decisions)).toContain("exporter attach redirect NO");
  });

  it("an exporter puts the bytes elsewhere at map", () => {
    const { buffer, importer } = scene({
      storage: (size) => ({ place: () => ({ ...inSystem(size), reason: NO }) }),
    });

    using attachment = buffer.attach(importer);
    using mapping = attachment.map("to-device");

    expect(mapping).toMatchObject({ target: "system", route: "system" });
    expect(spoken(attachment.decisions)).toContain("exporter map redirect NO");
  });

  it("an exporter declines one type at map and is asked for the next", () => {
    const { buffer, importer } = scene({
      storage: (size) => ({
        place: ({ pair }) => (pair.type === P2P ? decline("NO", "not today") : inSystem(size)),
      }),
    });

    using attachment = buffer.attach(importer);
    using mapping = attachment.map("to-device");

    expect(mapping.type).toBe(DMA);
    expect(attachment.decisions.map(({ round }) => round)).toEqual([0, 0, 0, 0, 1, 2, 2, 2]);
  });

  it("the DMA layer refuses peers and system memory is mapped instead", () => {
    const { buffer, importer, platform } = scene({ peerToPeer: false });

    using attachment = buffer.attach(importer);
    using mapping = attachment.map("to-device");

    expect(mapping.target).toBe("system");
    expect(spoken(attachment.decisions)).toContain("dma map decline NO_PEERS");
    expect(platform.mapped.size).toBe(1);
  });

  it("an importer asks for system memory at map, and the proposal is given back", () => {
    const { buffer, importer, platform } = scene({
      importer: { take: ({ target }) => (target === "device" ? askSystem(NO) : TAKE) },
    });

    using attachment = buffer.attach(importer);
    using mapping = attachment.map("to-device");

    expect(mapping.target).toBe("system");
    expect(spoken(attachment.decisions)).toContain("importer map redirect NO");
    expect(platform.mapped.size).toBe(1);
  });

  it("reads and writes are judged apart: a path for writes serves from-device only", () => {
    const { buffer, importer } = scene({ judge: judgeOf("unsupported", "host-bridge") });

    using attachment = buffer.attach(importer);
    using writes = attachment.map("from-device");
    using reads = attachment.map("to-device");
    using both = attachment.map("bidirectional");

    expect([writes.route, reads.route, both.route]).toEqual(["host-bridge", "system", "system"]);
  });
});

describe("declining altogether", () => {
  it("an importer declines at attach: a typed error with its reason", () => {
    const { buffer, importer } = scene({
      importer: { offer: () => decline("FULL", "its table is full") },
    });

    expect(() => buffer.attach(importer)).toThrow(
      expect.objectContaining({
        code: "NO_COMMON_TYPE",
        message: expect.stringContaining("its table is full"),
      }),
    );
    expect(buffer.attachments).toHaveLength(0);
  });

  it("an exporter declines at attach, and is not asked to detach", () => {
    let detached = 0;
    const { buffer, importer } = scene({
      storage: () => ({
        attach: () => decline("ASLEEP", "powered down"),
        detach: () => void detached++,
      }),
    });

    expect(() => buffer.attach(importer)).toThrow(NegotiationError);
    expect(detached).toBe(0);
  });

  it("nothing in common names each party's reason", () => {
    const { buffer, importer } = scene({
      judge: judgeOf("unsupported"),
      types: [{ type: P2P }],
    });

    expect(() => buffer.attach(importer)).toThrow(
      /bench-rules unsupported .* no mapping type is acceptable/s,
    );
  });

  it("whoever requires P2P is not given system memory behind its back", () => {
    const { buffer, importer } = scene({
      types: [{ type: P2P, require: true }],
      storage: (size) => ({ place: () => inSystem(size) }),
    });

    using attachment = buffer.attach(importer);

    expect(() => attachment.map("to-device")).toThrow(/only device memory will do/);
  });

  it("an importer declines at map: the error carries the record, nothing stays mapped", () => {
    const { buffer, importer, platform } = scene({
      importer: { take: () => decline("BROKEN", "its engine is stopped") },
    });

    using attachment = buffer.attach(importer);

    expect(() => attachment.map("to-device")).toThrow(
      expect.objectContaining({ code: "MAP_DECLINED", decisions: expect.arrayContaining([]) }),
    );
    expect(platform.mapped.size).toBe(0);
    expect(attachment.mappingCount).toBe(0);
  });

  it("an error of the DMA layer reaches the caller with the errno Linux gives", () => {
    const { buffer, importer } = scene({ peerToPeer: false, types: [{ type: P2P }] });

    using attachment = buffer.attach(importer);

    expect(() => attachment.map("to-device")).toThrow(
      expect.objectContaining({ code: "MAP_DECLINED", errno: "EREMOTEIO" }),
    );
  });

  it("limits that the memory cannot meet are named with their numbers", () => {
    const limits = { ...UNLIMITED, addressMax: 0xffff_ffff };
    const { buffer, importer } = scene({
      storage: (size) => ({
        place: () => ({
          ...inSystem(size),
          ranges: PhysicalRanges.of(physicalAddress(0x1_0000_0000), size),
        }),
      }),
      importer: { offer: () => ({ answer: "offer", types: [{ type: DMA }], limits }) },
    });

    using attachment = buffer.attach(importer);

    expect(() => attachment.map("to-device")).toThrow(
      /reaches 0x100001fff, the device addresses up to 0xffffffff/,
    );
  });
});

describe("a target of the importer's own", () => {
  const own = PhysicalRanges.of(physicalAddress(0x2000_0000), 2 * PAGE);

  function copies() {
    const made: string[] = [];
    const done = stubFence(new FenceDomain(benchPlatform().clock));
    const storage = (): Partial<Storage> => ({
      copy(target, way) {
        made.push(`${way} ${target.start(0).toString(16)}`);
        return done;
      },
    });
    return { made, storage };
  }

  it("brought at map: the exporter's engine copies out before and back after", () => {
    const { made, storage } = copies();
    const { buffer, importer } = scene({ storage, importer: { take: () => substitute(own, NO) } });

    using attachment = buffer.attach(importer);
    using mapping = attachment.map("bidirectional");

    expect(mapping).toMatchObject({ target: "system", route: "system", copied: true });
    expect(mapping.segments.address(0)).toBe(0x2000_0000);
    expect(mapping.ready).toBeDefined();
    mapping.unmap();
    expect(made).toEqual(["out 20000000", "back 20000000"]);
  });

  it("brought at attach: the exporter is not asked to place anything", () => {
    const { made, storage } = copies();
    const { buffer, importer } = scene({
      storage,
      importer: { offer: () => ({ answer: "offer", types: BOTH, target: own, reason: NO }) },
    });

    using attachment = buffer.attach(importer);
    using _mapping = attachment.map("to-device");

    expect(spoken(attachment.decisions)).not.toContain("exporter map accept PLACED");
    expect(spoken(attachment.decisions)).toContain("importer map substitute NO");
    expect(made).toEqual(["out 20000000"]);
  });

  it("needs an engine: without one the next kept pair is tried", () => {
    const { buffer, importer } = scene({
      importer: { take: ({ target }) => (target === "device" ? substitute(own, NO) : TAKE) },
    });

    using attachment = buffer.attach(importer);
    using mapping = attachment.map("to-device");

    expect(mapping).toMatchObject({ target: "system", copied: false });
    expect(spoken(attachment.decisions)).toContain("exporter map decline NO_COPY_ENGINE");
  });

  it("of the wrong size is refused with both sizes", () => {
    const { storage } = copies();
    const small = PhysicalRanges.of(physicalAddress(0x2000_0000), PAGE);
    const { buffer, importer } = scene({
      storage,
      types: [{ type: P2P }],
      importer: { take: () => substitute(small, NO) },
    });

    using attachment = buffer.attach(importer);

    expect(() => attachment.map("to-device")).toThrow(/brought 4096 bytes for a buffer of 8192/);
  });

  it("keeps the buffer's memory until the copy back is over", () => {
    const fences = new FenceDomain(benchPlatform().clock);
    const context = fences.createContext({ driverName: "memory", timelineName: "copies" });
    const running = new SoftwareFence(context, 1);
    let released = false;
    const { buffer, importer } = scene({
      storage: () => ({
        copy: () => running,
        release() {
          released = true;
        },
      }),
      importer: { take: () => substitute(own, NO) },
    });
    const attachment = buffer.attach(importer);
    const mapping = attachment.map("from-device");

    expect(mapping.unmap()).toBe(running);
    attachment.detach();
    buffer.close();
    expect(released).toBe(false);

    running.signal();
    expect(released).toBe(true);
  });
});

describe("the choice among the kept types", () => {
  /** Declines P2P at the first map only. */
  const fickle = () => {
    let asked = 0;
    return (sizeBytes: number): Partial<Storage> => ({
      place: ({ pair }) =>
        pair.type === P2P && asked++ === 0
          ? decline("BUSY", "VRAM is being cleared")
          : inSystem(sizeBytes),
    });
  };

  it("made at the first map, is tried first until the buffer moves", () => {
    let control: BufferControl | undefined;
    const { buffer, importer } = scene({
      storage: fickle(),
      importer: { invalidateMappings() {} },
      onAllocate: (given) => {
        control = given;
      },
    });
    using attachment = buffer.attach(importer);

    attachment.map("to-device").unmap();
    const second = attachment.map("to-device");
    expect(second.type).toBe(DMA);
    second.unmap();

    control?.move(NO, () => stubFence(control?.reservation.domain as FenceDomain));
    const third = attachment.map("to-device");
    expect(third.type).toBe(P2P);
    third.unmap();
  });

  it("made by a pin, is what the mappings under it use", () => {
    const { buffer, importer } = scene({
      storage: (sizeBytes) => ({
        pin: ({ pair }) =>
          pair.type === P2P ? decline("NOT_IN_VRAM", "not for long") : inSystem(sizeBytes),
        unpin() {},
        place: () => inSystem(sizeBytes),
      }),
      importer: { invalidateMappings() {} },
    });
    using attachment = buffer.attach(importer);

    attachment.pin();
    using mapping = attachment.map("to-device");

    expect(mapping.type).toBe(DMA);
    mapping.unmap();
    attachment.unpin();
  });

  it("an exporter that requires P2P leaves an importer that only accepts it no way back", () => {
    const { buffer, importer } = scene({
      storage: (sizeBytes) => ({
        types: [{ type: P2P, require: true }],
        place: () => inSystem(sizeBytes),
      }),
    });
    using attachment = buffer.attach(importer);

    expect(attachment.kept).toEqual([{ type: P2P, require: true }]);
    expect(() => attachment.map("to-device")).toThrow(/DEVICE_MEMORY_REQUIRED/);
  });
});

describe("the bound on rounds", () => {
  it("stops two drivers that answer each other's answers for ever, and shows the rounds", () => {
    const { buffer, importer, framework } = scene();
    const arguing: Importer = {
      ...importer,
      // Each look at a proposal asks for another one, which the exporter is glad to make.
      take: () => {
        const [attachment] = buffer.attachments;
        attachment?.map("to-device");
        return TAKE;
      },
    };

    using attachment = buffer.attach(arguing);

    expect(() => attachment.map("to-device")).toThrow(
      expect.objectContaining({ code: "NEGOTIATION_ENDLESS", errno: "ELOOP" }),
    );
    const rounds = attachment.decisions.map(({ round }) => round);
    expect(Math.max(...rounds)).toBe(NEGOTIATION_ROUNDS_MAX);
    expect(framework.handles().mappings).toBe(0);
  });
});
