/**
 * Figures: what was published, and the workload that makes the model say its own.
 *
 * A figure that sets a default is predicted by nothing; the others are predicted from link facts (PCIe base
 * specification), from what the publication says of the machine, and from the figures that set.
 */
import { createModelledPlatform, createNvmeController, type Machine } from "@peerbuf/machine";
import {
  AMD,
  belowRootPorts,
  belowSwitch,
  devicesOf,
  GEN4_X16,
  GEN5_X4,
  GEN5_X8,
  GEN5_X16,
  INTEL,
  type LinkSpec,
  largeBar,
  machineOf,
} from "./machines.ts";
import { PIECE_BYTES, type Step, streamGBs } from "./measure.ts";
import { Mover } from "./mover.ts";
import { NvmeHost } from "./nvme-host.ts";
import { doubleBuffered, oneAfterTheOther } from "./staging.ts";

export interface Figure {
  readonly what: string;
  readonly unit: "GB/s" | "M IOPS";
  readonly published: number;
  readonly source: string;
  /** It sets a default; predicting it shows only that the default does what it should. */
  readonly sets?: string;
  /** What the model says, in the same unit. */
  modelled(): number;
}

const AISIO = "xnvme/aisio, docs/src/experiments";
const CLUB = "noonghunna/club-3090, PCIe P2P guide";
const FARM = "gds-bench.farmgpu.net";
const PUGET = "luigifcruz/stelline, puget-threadripper-pro-wrx90.md";
const GIB_PER_S = 2 ** 30 / 1e9;

/** A pair of movers, the second the target. */
function pair(machine: Machine): readonly [Mover, Mover] {
  const movers = [new Mover(), new Mover()] as const;
  devicesOf(machine.topology).forEach((bdf, index) => {
    machine.place(bdf, movers[index] as Mover);
  });
  return movers;
}

function pushed(machine: Machine, directions: 1 | 2 = 1): number {
  const [one, other] = pair(machine);
  const there: Step = (done) => one.push(largeBar(1), PIECE_BYTES, done);
  const back: Step = (done) => other.push(largeBar(0), PIECE_BYTES, done);
  return streamGBs(machine, directions === 1 ? [there] : [there, back], PIECE_BYTES);
}

/** Reads of another device's memory. */
function pulled(machine: Machine): number {
  const [one] = pair(machine);
  return streamGBs(machine, [(done) => one.pull(largeBar(1), PIECE_BYTES, done)], PIECE_BYTES);
}

/** Reads of RAM, as a copy from the host to a device does. */
function fromHost(link: LinkSpec, cpu: typeof INTEL): number {
  const machine = machineOf(belowRootPorts([link, link], cpu));
  const [gpu] = pair(machine);
  const ram = machine.memory.allocate(PIECE_BYTES, { contiguous: true }).ranges.start(0);
  return streamGBs(machine, [(done) => gpu.pull(ram, PIECE_BYTES, done)], PIECE_BYTES);
}

/** Samsung PM1753: rated 14.5 GB/s; 3,857,938 commands a second are those of one drive alone. */
const PM1753 = { readBytesPerNs: 14.5, commandsPerNs: 0.003_857_938, readNs: 10_000 };
const QUEUE_DEPTH = 128;

interface DriveRates {
  readonly payload: number;
  /** Everything on the target's link. */
  readonly wire: number;
  readonly commands: number;
}

/** Drives read into the memory of a device beside them, each at its own place; bytes a nanosecond. */
function driveReads(drives: number, lengthBytes: number): DriveRates {
  const links = [GEN5_X16, ...Array.from({ length: drives }, () => GEN5_X4)];
  const machine = machineOf(belowRootPorts(links, INTEL));
  const platform = createModelledPlatform(machine, { guard: false });
  const [target, ...others] = devicesOf(machine.topology) as [string, ...string[]];
  machine.place(target, new Mover());
  const hosts = others.map((bdf) => {
    machine.place(bdf, createNvmeController({ pace: PM1753 }));
    return new NvmeHost(platform, bdf);
  });
  const stopAt = 20 * QUEUE_DEPTH;
  const total = (): number => hosts.reduce((sum, { completed }) => sum + completed, 0);
  const stop = (): boolean => hosts.some(({ completed }) => completed >= stopAt);
  const place = largeBar(0);
  const window = Math.floor((64 * 2 ** 20) / drives);
  hosts.forEach((host, index) => {
    host.keepReading(place + index * window, lengthBytes, QUEUE_DEPTH, stop);
  });
  // The first queue-full fills the pipes and does not count.
  while (hosts.some(({ completed }) => completed < 2 * QUEUE_DEPTH)) {
    machine.clock.runUntil(machine.clock.nowNs + 500);
  }
  const before = { ns: machine.clock.nowNs, commands: total(), wire: wireInto(machine) };
  while (!stop()) {
    machine.clock.runUntil(machine.clock.nowNs + 500);
  }
  const ns = machine.clock.nowNs - before.ns;
  const commands = (total() - before.commands) / ns;
  const wire = (wireInto(machine) - before.wire) / ns;
  machine.clock.run();
  platform.close();
  return { payload: commands * lengthBytes, wire, commands };
}

/** Bytes that went down the first port's link. */
const wireInto = (machine: Machine): number =>
  machine.links
    .usage()
    .find(({ name, direction }) => name === "0000:00:01.0" && direction === "down")?.carried ?? 0;

/** Devices of some speed push into one or several targets below root ports. */
function pushInto(targets: number, sourceLinks: readonly LinkSpec[], bytesPerNs: number): number {
  const links = [...Array.from({ length: targets }, () => GEN4_X16), ...sourceLinks];
  const machine = machineOf(belowRootPorts(links, AMD));
  const movers = links.map((_, index) => new Mover(index < targets ? undefined : bytesPerNs));
  devicesOf(machine.topology).forEach((bdf, index) => {
    machine.place(bdf, movers[index] as Mover);
  });
  const steps = movers.slice(targets).flatMap((mover) =>
    Array.from(
      { length: targets },
      (_, at): Step =>
        (done) =>
          mover.push(largeBar(at), PIECE_BYTES, done),
    ),
  );
  return streamGBs(machine, steps, PIECE_BYTES);
}

/**
 * RoCE v2 at 400 Gb/s with packets of 4,096 bytes: each has preamble and gap 20, Ethernet 18, IPv4 20, UDP 8, BTH 12,
 * RETH 16 (counted for each), ICRC 4 (InfiniBand architecture annex A17; IEEE 802.3).
 */
const ROCE_BYTES_PER_NS = (400 / 8) * (4096 / (4096 + 98));

export const FIGURES: readonly Figure[] = [
  {
    what: "Host memory to GPU, Gen5 x16",
    unit: "GB/s",
    published: 53.3,
    source: `nvbandwidth, H100: ${AISIO}/pcie_saturation.md`,
    sets: "completions of memory carry 128 bytes",
    modelled: () => fromHost(GEN5_X16, INTEL),
  },
  {
    what: "One drive, 512 B reads",
    unit: "M IOPS",
    published: 3.858,
    source: `PM1753: ${AISIO}/cpu_initiated.md`,
    sets: "the drive's command rate",
    modelled: () => driveReads(1, 512).commands * 1000,
  },
  {
    what: "Gen4 x16 pair staged in host memory, halves overlapping",
    unit: "GB/s",
    published: 22.23,
    source: `RTX 6000 Ada, P2P off: ${PUGET}`,
    sets: "pieces of 1 MiB in staging (the hand-over of 14.2 µs is set by club-3090's latencies, 15.23 and 1.01 µs)",
    modelled: () => doubleBuffered(machineOf(belowRootPorts([GEN4_X16, GEN4_X16], AMD))),
  },
  {
    what: "P2P below one Gen5 x16 switch",
    unit: "GB/s",
    published: 56.1,
    source: `p2pBandwidthLatencyTest: ${AISIO}/pcie_saturation.md, an earlier edition`,
    modelled: () => pushed(machineOf(belowSwitch([GEN5_X16, GEN5_X16]))),
  },
  {
    what: "The same, eight GPUs below switches, average pair",
    unit: "GB/s",
    published: 54.3,
    source: "lukealonso/p2pmark, README",
    modelled: () => pushed(machineOf(belowSwitch([GEN5_X16, GEN5_X16]))),
  },
  {
    what: "Gen5 x8 pair, P2P",
    unit: "GB/s",
    published: 28,
    source: "RTX 5090: aikitoria/open-gpu-kernel-modules, as reported December 2025",
    modelled: () => pushed(machineOf(belowRootPorts([GEN5_X8, GEN5_X8], AMD))),
  },
  ...[
    { lengthBytes: 512, payload: 7.9, wire: 10.1 },
    { lengthBytes: 4096, payload: 45.2, wire: 57.8 },
    { lengthBytes: 8192, payload: 45.2, wire: 57.8 },
  ].flatMap(({ lengthBytes, payload, wire }): Figure[] => [
    {
      what: `Four drives to one Gen5 x16 GPU, ${lengthBytes} B reads: payload`,
      unit: "GB/s",
      published: payload,
      source: `${AISIO}/pcie_saturation.md`,
      modelled: () => driveReads(4, lengthBytes).payload,
    },
    {
      what: `The same, ${lengthBytes} B: all traffic into the GPU`,
      unit: "GB/s",
      published: wire,
      source: "the same, DCGM field 1010",
      modelled: () => driveReads(4, lengthBytes).wire,
    },
  ]),
  {
    what: "Sixteen drives to one Gen5 x16 GPU, 512 B reads",
    unit: "M IOPS",
    published: 61.7,
    source: `${AISIO}/device_initiated_qdepth.md`,
    modelled: () => driveReads(16, 512).commands * 1000,
  },
  {
    what: "Gen5 x16 pair staged in host memory, halves overlapping",
    unit: "GB/s",
    published: 42.47,
    source: "RTX 5090, P2P off: aikitoria/open-gpu-kernel-modules#9",
    modelled: () => doubleBuffered(machineOf(belowRootPorts([GEN5_X16, GEN5_X16], AMD))),
  },
  {
    what: "Gen4 x16 pair, P2P",
    unit: "GB/s",
    published: 27.12,
    source: `RTX 3090: ${CLUB}`,
    modelled: () => pushed(machineOf(belowRootPorts([GEN4_X16, GEN4_X16], AMD))),
  },
  {
    what: "Gen4 x16 pair, P2P, both directions",
    unit: "GB/s",
    published: 54.21,
    source: `RTX 3090: ${CLUB}`,
    modelled: () => pushed(machineOf(belowRootPorts([GEN4_X16, GEN4_X16], AMD)), 2),
  },
  {
    what: "Gen4 x16 pair, P2P",
    unit: "GB/s",
    published: 26.32,
    source: `RTX 6000 Ada: ${PUGET}`,
    modelled: () => pushed(machineOf(belowRootPorts([GEN4_X16, GEN4_X16], AMD))),
  },
  {
    what: "Gen4 x16 pair, P2P, both directions",
    unit: "GB/s",
    published: 52.11,
    source: `RTX 6000 Ada: ${PUGET}`,
    modelled: () => pushed(machineOf(belowRootPorts([GEN4_X16, GEN4_X16], AMD)), 2),
  },
  {
    what: "Eight drives on one Gen4 x16 card read a Gen4 x16 GPU's memory",
    unit: "GB/s",
    published: 25.11 * GIB_PER_S,
    source: `gdsio, 25.1 GiB/s written: ${PUGET}`,
    modelled: () => pulled(machineOf(belowRootPorts([GEN4_X16, GEN4_X16], AMD))),
  },
  {
    what: "Gen4 x16 pair below one switch, P2P",
    unit: "GB/s",
    published: 28,
    source: "Arc Pro B70: intel/compute-runtime#935",
    modelled: () => pushed(machineOf(belowSwitch([GEN4_X16, GEN4_X16]))),
  },
  {
    what: "Gen4 x16 pair staged in host memory, one half after the other",
    unit: "GB/s",
    published: 11.28,
    source: `RTX 3090, P2P off: ${CLUB}`,
    modelled: () => oneAfterTheOther(machineOf(belowRootPorts([GEN4_X16, GEN4_X16], AMD))),
  },
  {
    what: "Host memory to GPU, Gen4 x16",
    unit: "GB/s",
    published: 26.3,
    source: `bandwidthTest, RTX 6000 Ada: ${PUGET}`,
    modelled: () => fromHost(GEN4_X16, AMD),
  },
  {
    what: "Four Gen5 x4 drives of 14.5 GB/s into one Gen4 x16 GPU",
    unit: "GB/s",
    published: 24.3 * GIB_PER_S,
    source: `D7-PS1010 into L40S, 24.3 GiB/s: ${FARM}`,
    modelled: () => pushInto(1, [GEN5_X4, GEN5_X4, GEN5_X4, GEN5_X4], 14.5),
  },
  {
    what: "The same four drives into four GPUs",
    unit: "GB/s",
    published: 53.0 * GIB_PER_S,
    source: `53.0 GiB/s: ${FARM}`,
    modelled: () => pushInto(4, [GEN5_X4, GEN5_X4, GEN5_X4, GEN5_X4], 14.5),
  },
  {
    what: "400 Gb/s NIC into one Gen4 x16 GPU",
    unit: "GB/s",
    published: 26.4 * GIB_PER_S,
    source: `ConnectX-7 into L40S, 26.4 GiB/s: ${FARM}`,
    modelled: () => pushInto(1, [GEN5_X16], ROCE_BYTES_PER_NS),
  },
  {
    what: "400 Gb/s NIC into four GPUs",
    unit: "GB/s",
    published: 43.4 * GIB_PER_S,
    source: `43.4 GiB/s: ${FARM}`,
    modelled: () => pushInto(4, [GEN5_X16], ROCE_BYTES_PER_NS),
  },
];
