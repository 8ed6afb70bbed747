import {
  type AttachmentView,
  DMA,
  interconnect,
  P2P,
  type PathType,
  rankPlaces,
  UNLIMITED,
} from "@peerbuf/core";
import { describe, expect, it } from "vitest";

interface Shape {
  path?: PathType;
  types?: ("p2p" | "dma" | "p2p-only")[];
  pinned?: boolean;
  distance?: number;
  gigabytesPerSecond?: number;
}

function attached(id: string, shape: Shape = {}): AttachmentView {
  const { path = "bus-addr", types = ["p2p", "dma"], pinned = false, distance = 4 } = shape;
  const speed = shape.gigabytesPerSecond;
  return {
    client: { id, label: id, bus: "pci", limits: UNLIMITED },
    importerName: `nic@${id}`,
    kept: types.map((type) => ({ type: type === "dma" ? DMA : P2P, require: type === "p2p-only" })),
    lifetime: pinned ? "pinned" : "movable",
    isPinned: pinned,
    mappingCount: 1,
    path: {
      reads: path,
      writes: path,
      distance,
      reasons: [],
      ...(speed === undefined ? {} : { bytesPerSecond: speed * 1e9 }),
    },
  };
}

const VRAM = { name: "vram", memory: "device" } as const;
const SYSTEM = { name: "system", memory: "system" } as const;
const namesOf = (ranked: readonly { place: { name: string } }[]) =>
  ranked.map(({ place }) => place.name);

describe("ranking places", () => {
  it("device memory wins where it serves everyone: nothing has to move", () => {
    expect(namesOf(rankPlaces([SYSTEM, VRAM], [attached("a"), attached("b")]))).toEqual([
      "vram",
      "system",
    ]);
  });

  it("system memory wins as soon as it serves more importers", () => {
    const mixed = [attached("a"), attached("b", { types: ["dma"] })];

    const [best, second] = rankPlaces([VRAM, SYSTEM], mixed);

    expect(best?.place.name).toBe("system");
    expect(second?.unserved.map(({ client }) => client.id)).toEqual(["b"]);
  });

  it("a private way to device memory is served there, whatever topology says of the path", () => {
    const linked: AttachmentView = {
      ...attached("a", { path: "unsupported", distance: -1, pinned: true }),
      kept: [{ type: interconnect("mesh"), require: false }],
    };

    const [best] = rankPlaces([SYSTEM, VRAM], [linked]);

    expect(best).toMatchObject({ place: VRAM, unserved: [], isExcluded: false, cost: 0 });
  });

  it("a place that does not serve somebody pinned is excluded, however many others it serves", () => {
    const crowd = [attached("a", { types: ["p2p-only"] }), attached("b", { types: ["p2p-only"] })];
    const pinned = attached("c", { types: ["dma"], pinned: true });

    const [best, second] = rankPlaces([VRAM, SYSTEM], [...crowd, pinned]);

    expect(best).toMatchObject({ place: SYSTEM, isExcluded: false });
    expect(second).toMatchObject({ place: VRAM, isExcluded: true });
  });

  it.each<PathType>(["unsupported", "unknown"])("a path that is %s serves nobody", (path) => {
    const [best] = rankPlaces([VRAM, SYSTEM], [attached("a", { path })]);

    expect(best?.place.name).toBe("system");
  });

  it("of two devices the nearer one wins", () => {
    const far = {
      name: "far",
      memory: "device",
      pathTo: () => attached("x", { distance: 8 }).path,
    } as const;

    expect(namesOf(rankPlaces([far, VRAM], [attached("a")]))).toEqual(["vram", "far"]);
  });

  it("of two equally near ones the faster link wins", () => {
    const slow = {
      ...VRAM,
      name: "slow",
      pathTo: () => attached("x", { gigabytesPerSecond: 4 }).path,
    } as const;
    const fast = {
      ...VRAM,
      name: "fast",
      pathTo: () => attached("x", { gigabytesPerSecond: 32 }).path,
    } as const;

    expect(namesOf(rankPlaces([slow, fast], [attached("a")]))).toEqual(["fast", "slow"]);
  });

  it("with nobody attached the exporter's own order stays among devices", () => {
    expect(namesOf(rankPlaces([VRAM, { ...VRAM, name: "other" }, SYSTEM], []))).toEqual([
      "vram",
      "other",
      "system",
    ]);
  });
});
