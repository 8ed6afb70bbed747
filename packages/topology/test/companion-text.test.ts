/**
 * Companion texts: small outputs that complete a capture, and the ways in which captures are given.
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  buildTopology,
  factsNamed,
  functionsOfMatrix,
  mergeCaptures,
  PIPE_BYTES_MAX,
  readCapture,
  readCaptures,
} from "@peerbuf/topology";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { sysfsJson } from "./captures.ts";

/** Of coreutils; Node has no call for it. */
const MAKE_PIPE = "/usr/bin/mkfifo";
const ENDLESS = "/dev/zero";
const BUILT = new URL("../dist/index.js", import.meta.url).href;

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "peerbuf-companion-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const CARD = { bdf: "01:00.0", vendor: 0x10de, device: 0x2230, classCode: 0x030000 };

describe("texts that complete a capture", () => {
  const CPUINFO =
    "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 1\nflags\t\t: fpu hypervisor\n";
  const files: readonly [string, string][] = [
    ["cpuinfo", CPUINFO],
    ["cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/sda1 quiet iommu=pt\n"],
    ["uname", "Linux gpu7 6.12.117 #1 SMP PREEMPT_DYNAMIC x86_64 GNU/Linux\n"],
    [
      "config",
      "#\n# Automatically generated file; DO NOT EDIT.\n#\nCONFIG_PCI_P2PDMA=y\n# CONFIG_ZONE_DEVICE is not set\n",
    ],
    [
      "groups",
      "/sys/kernel/iommu_groups/0/type:identity\n/sys/kernel/iommu_groups/12/type:DMA-FQ\n",
    ],
    [
      "numa",
      "available: 2 nodes (0-1)\nnode 0 cpus: 0 1 2 8\nnode 0 size: 5 MB\nnode 1 cpus: 4\nnode distances:\nnode   0   1\n  0:  10  21\n  1:  21  10\n",
    ],
  ];
  const write = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };

  it.each([
    ["grep P2P", "CONFIG_PCI_P2PDMA=y\nCONFIG_HSA_AMD_P2P=y\n", ["y", "y"]],
    ["grep IOMMU", "CONFIG_IOMMU_API=y\nCONFIG_INTEL_IOMMU=y\n", [undefined, undefined]],
    [
      "all of it",
      "#\n# Automatically generated file; DO NOT EDIT.\n#\nCONFIG_PCI=y\nCONFIG_HSA_AMD_P2P=y\n",
      ["n", "y"],
    ],
  ])("a configuration says of an option what %s of it shows", async (_, text, settings) => {
    const list = write("list", "01:00.0 Display controller [0380]: AMD [1002:740f]\n");

    const { facts } = await readCaptures([list, write("config", text)]);

    expect(
      ["CONFIG_PCI_P2PDMA", "CONFIG_HSA_AMD_P2P"].map((option) => facts.kernelConfig?.get(option)),
    ).toEqual(settings);
  });

  it("supply what a drawing of the machine lacks", async () => {
    const xml = write(
      "topo.xml",
      '<system version="1"><cpu numaid="0"><pci busid="0000:01:00.0" class="0x030200"/></cpu></system>',
    );

    const { facts } = await readCaptures([xml, ...files.map(([name, text]) => write(name, text))]);

    expect(facts.cpu).toEqual({ vendor: "AuthenticAMD", family: 25, model: 1 });
    expect(facts.isVirtualMachine).toBe(true);
    expect(facts.commandLine).toBe("BOOT_IMAGE=/vmlinuz root=/dev/sda1 quiet iommu=pt");
    expect(facts.kernelRelease).toBe("6.12.117");
    expect([...(facts.kernelConfig ?? [])]).toEqual([
      ["CONFIG_PCI_P2PDMA", "y"],
      ["CONFIG_HSA_AMD_P2P", "n"],
      ["CONFIG_ZONE_DEVICE", "n"],
    ]);
    expect([...facts.iommuGroupTypes]).toEqual([
      [0, "identity"],
      [12, "DMA-FQ"],
    ]);
    expect(facts.numaNodes).toEqual([
      { id: 0, cpuList: "0-2,8", distances: [10, 21] },
      { id: 1, cpuList: "4", distances: [21, 10] },
    ]);
    const missing = facts.missing.map(({ fact }) => fact);
    expect(missing).toContain("acs");
    for (const supplied of ["cpu", "kernel", "command-line", "kernel-config", "iommu-mode"]) {
      expect(missing).not.toContain(supplied);
    }
  });

  it.each(files)("%s alone is no capture, and says so", async (name, text) => {
    await expect(readCapture(write(name, text))).rejects.toThrow(
      /completes a capture and is none itself/,
    );
  });
});

describe("the matrix of nvidia-smi topo -m", () => {
  const MATRIX = `\u001b[4mGPU0\tGPU1\tmlx5_0\tCPU Affinity\tNUMA Affinity\u001b[0m
GPU0\t X \tNV12\tPIX\t0-15\t0
GPU1\tNV12\t X \tSOC\t16-31\t1
mlx5_0\tPIX\tSOC\t X

Legend:

  X    = Self
  SOC  = Connection traversing PCIe as well as the SMP link between CPU sockets
`;

  it("alone tells classes by name, with escapes and the words of older tools", async () => {
    writeFileSync(join(folder, "topo.txt"), `\n${MATRIX}`);

    const { facts, count } = await readCapture(join(folder, "topo.txt"));

    expect(count).toBe(0);
    expect(facts.pathClasses?.names).toEqual(["GPU0", "GPU1", "mlx5_0"]);
    expect(facts.pathClasses?.classes).toEqual([
      ["X", "NV12", "PIX"],
      ["NV12", "X", "SYS"],
      ["PIX", "SYS", "X"],
    ]);
    expect([...(facts.pathClasses?.cpuLists ?? [])]).toEqual([
      ["GPU0", "0-15"],
      ["GPU1", "16-31"],
    ]);
    expect([...(facts.pathClasses?.numaNodes ?? [])]).toEqual([
      ["GPU0", 0],
      ["GPU1", 1],
    ]);
  });

  it("beside another capture names the functions it is about", async () => {
    writeFileSync(join(folder, "topo.txt"), MATRIX);
    const matrix = await readCapture(join(folder, "topo.txt"));
    const cards = [
      { ...CARD, bdf: "41:00.0" },
      { ...CARD, bdf: "c1:00.0" },
      { bdf: "42:00.0", vendor: 0x15b3, device: 0x1021, classCode: 0x020700 },
    ];

    const merged = mergeCaptures([
      buildTopology({ ...factsNamed("lspci"), tree: "none" }, cards),
      matrix,
    ]);

    expect([...functionsOfMatrix(merged)]).toEqual([
      ["GPU0", "0000:41:00.0"],
      ["GPU1", "0000:c1:00.0"],
      ["mlx5_0", "0000:42:00.0"],
    ]);
  });

  it.each([
    ["a class that does not exist", MATRIX.replace("PIX", "PIZ"), /line \d+: "PIZ" is no class/],
    ["no rows", "\tGPU0\tGPU1\nGPU0", /the matrix has no rows|format is not known/],
  ])("is refused for %s", async (_, text, message) => {
    writeFileSync(join(folder, "topo.txt"), text);

    await expect(readCapture(join(folder, "topo.txt"))).rejects.toThrow(message);
  });

  it("cut by a terminal keeps the cells that are there, and one half edited by hand is named", async () => {
    writeFileSync(join(folder, "topo.txt"), MATRIX.replace("NV12\tPIX\t0-15\t0", "NV4"));

    const { facts } = await readCapture(join(folder, "topo.txt"));

    expect(facts.pathClasses?.classes[0]).toEqual(["X", "NV4", undefined]);
    expect(facts.contradictions).toMatchObject([{ fact: "path class of GPU1 and GPU0" }]);
  });
});

describe("captures given in other ways", () => {
  it("in one folder without /sys are read together", async () => {
    const nccl = '<system version="1"><cpu numaid="0"><pci busid="0000:01:00.0"/></cpu></system>';
    writeFileSync(join(folder, "a.xml"), nccl);
    writeFileSync(join(folder, "cmdline.txt"), "root=/dev/sda1 quiet\n");
    writeFileSync(join(folder, "notes.md"), "what the operator wrote\n");
    writeFileSync(join(folder, "source.json"), "{}");

    const { facts } = await readCapture(folder);

    expect(facts.format).toBe("NCCL topology XML + /proc/cmdline");
    expect(facts.commandLine).toBe("root=/dev/sda1 quiet");
  });

  it("come through a pipe", async () => {
    const pipe = join(folder, "pipe");
    execFileSync(MAKE_PIPE, [pipe]);
    const capture = sysfsJson("tiny-01");

    const [topology] = await Promise.all([
      readCapture(pipe),
      writeFile(pipe, JSON.stringify(capture)),
    ]);

    expect(topology.count).toBe(Object.keys(capture.binary).length);
  });

  it.skipIf(!existsSync(ENDLESS))(
    "are not read for ever when a pipe never ends (needs /dev/zero)",
    async () => {
      const pipe = join(folder, "pipe");
      execFileSync(MAKE_PIPE, [pipe]);
      const writing = spawn("/bin/sh", ["-c", 'cat "$1" > "$2"', "sh", ENDLESS, pipe], {
        stdio: "ignore",
      });

      await expect(readCapture(pipe)).rejects.toThrow(
        new RegExp(`more than ${PIPE_BYTES_MAX} bytes`),
      );

      writing.kill();
    },
  );

  it.skipIf(!existsSync(new URL(BUILT)))("come through standard input (needs the build)", () => {
    const program = `const { readCapture } = await import(${JSON.stringify(BUILT)});
      console.log((await readCapture("-")).count);`;
    const input = JSON.stringify(sysfsJson("tiny-01"));

    const output = execFileSync(process.execPath, ["--input-type=module", "-e", program], {
      input,
    });

    expect(Number(output.toString())).toBe(Object.keys(sysfsJson("tiny-01").binary).length);
  });
});
