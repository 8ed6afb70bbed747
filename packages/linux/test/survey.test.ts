/** The survey of this machine's dma-bufs: what the kernel's texts say, and how their sides are joined. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Survey, type SurveyedBuffer, surveyBuffers } from "@peerbuf/linux";
import fc from "fast-check";
import { describe, expect, it, onTestFinished } from "vitest";
import { openDescriptorCount } from "./open-descriptors.ts";

/** Printed by Linux 6.12.117 of one process with five buffers, one of them with a hostile name. */
const KERNEL_TEXTS = fileURLToPath(new URL("fixtures/dma-buf-6.12", import.meta.url));
const kernelText = (name: string): string => readFileSync(join(KERNEL_TEXTS, name), "utf8");

/** A folder with a /proc and a /sys as a machine has them. */
class Machine {
  readonly root: string = mkdtempSync(join(tmpdir(), "peerbuf-survey-"));

  constructor() {
    onTestFinished(() => rmSync(this.root, { recursive: true }));
    this.link("proc/self", "180");
    this.link("proc/self/ns/pid", "pid:[4026531836]");
  }

  write(path: string, text: string): this {
    mkdirSync(dirname(join(this.root, path)), { recursive: true });
    writeFileSync(join(this.root, path), text);
    return this;
  }

  link(path: string, target: string): this {
    if (path === "proc/self") {
      mkdirSync(join(this.root, "proc", target), { recursive: true });
    }
    mkdirSync(dirname(join(this.root, path)), { recursive: true });
    symlinkSync(target, join(this.root, path));
    return this;
  }

  /** A descriptor of a process, with its fdinfo. */
  descriptor(pid: number, number: number, info: string, link = "/dmabuf:"): this {
    return this.write(`proc/${pid}/fdinfo/${number}`, info).link(`proc/${pid}/fd/${number}`, link);
  }

  debugfs(bufinfo: string): this {
    return this.write("sys/kernel/debug/dma_buf/bufinfo", bufinfo);
  }

  survey(): Survey {
    return surveyBuffers({ root: this.root });
  }
}

/** The machine on which the kernel's texts were printed. */
function capturedMachine(): Machine {
  const machine = new Machine();
  for (const number of [19, 20, 21, 22, 24]) {
    machine.descriptor(180, number, kernelText(`fdinfo-${number}`));
  }
  return machine.write("proc/180/maps", kernelText("maps")).write("proc/180/comm", "node\n");
}

const named = ({ buffers }: Survey, name: string): SurveyedBuffer =>
  buffers.find((buffer) => buffer.name === name) ?? expect.fail(`no buffer "${name}"`);

const fdInfo = (inode: number, sizeBytes: number, count = 1, name = ""): string =>
  `pos:\t0\nflags:\t02000002\nmnt_id:\t12\nino:\t${inode}\nsize:\t${sizeBytes}\ncount:\t${count}\nexp_name:\tsystem\n${name === "" ? "" : `name:\t${name}\n`}`;

describe("buffers, as a 6.12 kernel shows them", () => {
  it("have size, exporter, name, devices, pending fences and holders", () => {
    const survey = capturedMachine().debugfs(kernelText("bufinfo")).survey();

    expect(named(survey, "weights")).toEqual({
      inode: 1,
      sizeBytes: 1 << 20,
      exporter: "system",
      name: "weights",
      holders: [
        { pid: 180, command: "node", descriptors: [19], mappingCount: 1, mappedBytes: 1 << 20 },
      ],
      devices: ["vgem"],
      fences: [{ use: "read", driver: "vgem", timeline: "unbound", sequence: 1 }],
      referenceCount: 5,
      otherReferenceCount: 3,
    });
    expect(named(survey, "frame").fences?.map(({ use }) => use)).toEqual(["write"]);
    expect(survey.buffers.map(({ inode }) => inode)).toEqual([1, 3, 5, 4, 2]);
    expect(survey.blindSpots).toEqual([]);
  });

  it("may have names with line ends, tabs and lies in them", () => {
    const survey = capturedMachine().debugfs(kernelText("bufinfo")).survey();

    expect(named(survey, "new\nline (deleted)").holders[0]?.mappedBytes).toBe(8192);
    expect(named(survey, "a b\tc").fences?.length).toBe(1);
  });

  it("come to totals by process and by exporter, each buffer counted once for all", () => {
    const survey = capturedMachine().debugfs(kernelText("bufinfo")).survey();

    expect(survey.totalBytes).toBe(1_142_784);
    expect(survey.processes).toEqual([
      { pid: 180, command: "node", bufferCount: 5, bytes: 1_142_784 },
    ]);
    expect(survey.exporters.map(({ exporter, bytes }) => [exporter, bytes])).toEqual([
      ["system", (1 << 20) + 4096 + 8192],
      ["udmabuf", 65_536],
      ["drm", 16_384],
    ]);
  });

  it("without debugfs have no devices and fences, and the survey says so", () => {
    const survey = capturedMachine().survey();

    expect(survey.buffers.length).toBe(5);
    expect(named(survey, "weights")).toMatchObject({ devices: undefined, fences: undefined });
    expect(named(survey, "weights").otherReferenceCount).toBe(3);
    expect(survey.blindSpots.map(({ cause }) => cause)).toEqual(["debugfs is not mounted here"]);
  });

  it("that nobody visible holds are seen in debugfs", () => {
    const survey = new Machine().debugfs(kernelText("bufinfo")).survey();

    expect(survey.buffers.map(({ holders }) => holders)).toEqual([[], [], [], [], []]);
    expect(named(survey, "weights").otherReferenceCount).toBe(5);
  });
});

describe("a buffer that is only mapped", () => {
  it("is seen with its holder; its size and exporter are not made up", () => {
    const machine = new Machine().write("proc/180/maps", kernelText("maps"));

    const buffer = named(machine.survey(), "weights");

    expect(buffer).toMatchObject({ inode: 1, sizeBytes: undefined, exporter: undefined });
    expect(buffer.holders).toEqual([
      { pid: 180, command: "", descriptors: [], mappingCount: 1, mappedBytes: 1 << 20 },
    ]);
  });

  it("has size and exporter where the kernel keeps statistics", () => {
    const stats = "sys/kernel/dmabuf/buffers/1";
    const machine = new Machine()
      .write("proc/180/maps", kernelText("maps"))
      .write(`${stats}/size`, "1048576\n")
      .write(`${stats}/exporter_name`, "system\n");

    expect(named(machine.survey(), "weights")).toMatchObject({
      sizeBytes: 1 << 20,
      exporter: "system",
    });
  });
});

describe("what only looks like a dma-buf", () => {
  it("is none: a file of such a path, by descriptor and by mapping", () => {
    const machine = new Machine()
      .descriptor(180, 3, "pos:\t0\nflags:\t0100000\nmnt_id:\t28\nino:\t7\n", "/dmabuf:fake")
      .write("proc/180/maps", "7f00-8f00 rw-s 00000000 08:01 7      /dmabuf:fake\n");

    expect(machine.survey().buffers).toEqual([]);
  });
});

describe("processes", () => {
  it("that share a buffer are its holders, by number, and each counts it in full", () => {
    const machine = new Machine()
      .descriptor(20, 9, fdInfo(7, 4096, 4))
      .descriptor(20, 8, fdInfo(7, 4096, 4))
      .descriptor(3, 5, fdInfo(7, 4096, 4));

    const survey = machine.survey();

    expect(survey.buffers[0]?.holders.map(({ pid, descriptors }) => [pid, descriptors])).toEqual([
      [3, [5]],
      [20, [8, 9]],
    ]);
    expect(survey.buffers[0]?.otherReferenceCount).toBe(1);
    expect(survey.totalBytes).toBe(4096);
    expect(survey.processes.map(({ bytes }) => bytes)).toEqual([4096, 4096]);
  });

  it("that end while they are read are left out", () => {
    const machine = new Machine().link("proc/99/fd/4", "/dmabuf:gone");

    expect(machine.survey()).toMatchObject({ buffers: [], processes: [] });
  });

  it("outside of a container are a blind spot", () => {
    const machine = new Machine().debugfs("");
    rmSync(join(machine.root, "proc/self/ns/pid"));
    machine.link("proc/self/ns/pid", "pid:[4026532229]");

    expect(machine.survey().blindSpots.map(({ what }) => what)).toEqual([
      "processes outside of this container",
    ]);
  });
});

describe("this machine", () => {
  it("is surveyed without an error, and no descriptor stays open", () => {
    const before = openDescriptorCount();
    for (let round = 0; round < 3; round++) {
      expect(surveyBuffers().totalBytes).toBeGreaterThanOrEqual(0);
    }
    expect(openDescriptorCount()).toBe(before);
  });

  it("may start and end processes meanwhile", async () => {
    const script = "i=0; while [ $i -lt 300 ]; do sleep 0 & i=$((i+1)); done; wait";
    const shell = spawn("sh", ["-c", script], { stdio: "ignore" });
    let isOver = false;
    const over = once(shell, "close").then(() => {
      isOver = true;
    });
    while (!isOver) {
      expect(surveyBuffers().processes).toBeDefined();
      await setImmediate();
    }
    await over;
  });

  it("is refused where there is no /proc", () => {
    expect(() => surveyBuffers({ root: "/nowhere" })).toThrow(/shows no processes/);
  });
});

/** Pieces of which an enemy would make names. */
const lure = fc.constantFrom(
  "\n",
  "\t",
  "\n\tAttached Devices:",
  "\nTotal 9 devices attached",
  "\n\tread fence:",
  " seq 1 unsignalled",
  " signalled",
  "\nname:\t",
  "\nexp_name:\t",
  "\nsize:\t1",
  "\nino:\t1",
  "<none>",
  "00000001\t",
);
const hostileName = fc
  .array(fc.oneof(lure, fc.string({ maxLength: 4 })), { minLength: 1, maxLength: 4 })
  .map((parts) => parts.join("").replaceAll("\0", ""))
  .map((name) => Buffer.from(name).subarray(0, 31).toString("latin1"))
  .filter((name) => name !== "" && name !== "<none>");
const word = fc.stringMatching(/^[a-z][a-z0-9_.-]{0,9}$/);
const fence = fc.record({
  use: fc.constantFrom("kernel", "write", "read", "bookkeep"),
  driver: word,
  timeline: word,
  sequence: fc.nat(),
});
const buffer = fc.record({
  sizeBytes: fc.integer({ min: 1, max: 2 ** 40 }),
  referenceCount: fc.integer({ min: 1, max: 10 ** 6 }),
  exporter: word,
  name: hostileName,
  devices: fc.array(word, { maxLength: 3 }),
  fences: fc.array(fence, { maxLength: 3 }),
});
type Made = typeof buffer extends fc.Arbitrary<infer T> ? T : never;

const padded = (number: number): string => String(number).padStart(8, "0");

/** As dma_buf_debug_show prints it; signaled fences between the pending ones. */
function printed(buffers: readonly Made[], form: "6.12" | "6.17"): string {
  const blocks = buffers.map((made, index) => {
    const head = `${padded(made.sizeBytes)}\t00000002\t00080007\t${padded(made.referenceCount)}\t${made.exporter}\t${padded(index + 1)}\t${made.name}\n`;
    const fences = made.fences.map(({ use, driver, timeline, sequence }) =>
      form === "6.12"
        ? `\t${use} fence:${driver} ${timeline} seq ${sequence} unsignalled\n\t${use} fence:${driver} ${timeline} seq 0 signalled\n`
        : `\t${use} fence:5:${sequence} ${timeline} ${driver} unsignalled\n\t${use} fence:5:0   signalled\n`,
    );
    const devices = made.devices.map((device) => `\t${device}\n`);
    return `${head}${fences.join("")}\tAttached Devices:\n${devices.join("")}Total ${devices.length} devices attached\n\n`;
  });
  return `\nDma-buf Objects:\n${blocks.join("")}\nTotal ${buffers.length} objects, 0 bytes\n`;
}

describe("whatever a buffer is called", () => {
  it.each(["6.12", "6.17"] as const)(
    "nothing else of it or of others changes (bufinfo as of %s)",
    (form) => {
      const machine = new Machine();
      fc.assert(
        fc.property(fc.array(buffer, { maxLength: 4 }), (made) => {
          const { buffers } = machine.debugfs(printed(made, form)).survey();
          const byInode = buffers.toSorted((one, other) => one.inode - other.inode);
          expect(byInode.map(({ name, ...rest }) => rest)).toEqual(
            made.map(({ name, ...rest }, index) => ({
              ...rest,
              inode: index + 1,
              holders: [],
              otherReferenceCount: rest.referenceCount,
            })),
          );
          for (const [index, { name }] of made.entries()) {
            const seen = byInode[index]?.name ?? "";
            expect(name.includes(" fence:") ? name.startsWith(seen) : name === seen).toBe(true);
          }
        }),
        { numRuns: 120 },
      );
    },
  );

  it("fdinfo gives its number, size and name", () => {
    const machine = new Machine();
    mkdirSync(join(machine.root, "proc/5/fdinfo"), { recursive: true });
    machine.link("proc/5/fd/3", "/dmabuf:");
    fc.assert(
      fc.property(hostileName, fc.nat(), fc.nat(), (name, inode, sizeBytes) => {
        machine.write("proc/5/fdinfo/3", fdInfo(inode, sizeBytes, 1, name));
        expect(machine.survey().buffers).toMatchObject([{ inode, sizeBytes, name }]);
      }),
      { numRuns: 120 },
    );
  });

  it("maps give its number and length", () => {
    const machine = new Machine();
    fc.assert(
      fc.property(
        hostileName,
        fc.nat(),
        fc.integer({ min: 1, max: 2 ** 30 }),
        (name, inode, pages) => {
          const start = 0x7fad_d9a0_5000n;
          const end = start + BigInt(pages) * 4096n;
          const path = `/dmabuf:${name.replaceAll("\n", "\\012")}`;
          const line = `${start.toString(16)}-${end.toString(16)} rw-s 00000000 00:0b ${inode} `;
          machine.write("proc/180/maps", `${line.padEnd(73)}${path}\n`);

          const [buffer] = machine.survey().buffers;

          expect(buffer).toMatchObject({ inode, name });
          expect(buffer?.holders[0]?.mappedBytes).toBe(pages * 4096);
        },
      ),
      { numRuns: 120 },
    );
  });

  it("text that is nothing of the kind has no buffers", () => {
    const machine = new Machine();
    fc.assert(
      fc.property(fc.string(), fc.string(), (bufinfo, maps) => {
        machine.debugfs(bufinfo).write("proc/180/maps", maps);
        expect(machine.survey().buffers).toEqual([]);
      }),
    );
  });
});
