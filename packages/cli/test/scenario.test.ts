import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { emptyFolder, peerbuf, type Ran } from "./console.ts";

const LINES = [
  "devices:", // 1
  '  "13:00.0": { model: gpu, vram: 64 MiB }', // 2
  '  "16:00.0": { model: nvme, namespace: 8 MiB }', // 3
  '  "15:00.0": { model: rdma }', // 4
  "transfers:", // 5
  "  - name: one", // 6
  '    exporter: "13:00.0"', // 7
  "    buffer:", // 8
  "      size: 64 KiB", // 9
  '    importer: "16:00.0"', // 10
  "    operation: nvme-write", // 11
];

async function runText(text: string): Promise<Ran> {
  const cwd = emptyFolder();
  writeFileSync(join(cwd, "s.yaml"), text);
  return peerbuf(["run", "s.yaml"], { cwd });
}

/** The scenario with one line (from 1) replaced; `undefined` leaves it out. */
const withLine = (number: number, text: string | undefined): string =>
  LINES.flatMap((line, index) =>
    index + 1 === number ? (text === undefined ? [] : [text]) : [line],
  ).join("\n");

describe("a scenario", () => {
  it("that is right runs", async () => {
    expect((await runText(LINES.join("\n"))).code).toBe(0);
  });

  it("may be JSON", async () => {
    const scenario = {
      devices: { "13:00.0": { model: "gpu" }, "16:00.0": { model: "nvme" } },
      transfers: [
        {
          name: "one",
          exporter: "13:00.0",
          buffer: { size: 4096 },
          importer: "16:00.0",
          operation: "nvme-write",
        },
      ],
    };

    expect((await runText(JSON.stringify(scenario, null, 2))).code).toBe(0);
  });
});

describe("a fault in a scenario is told with line, column and field", () => {
  it.each<[string, string, string]>([
    [
      "an unknown field",
      withLine(9, "      size: 64 KiB\n      siez: 1"),
      '10:7: transfers[0].buffer.siez: unknown field "siez", expected size, place, shareable, compressed',
    ],
    [
      "an unknown section",
      `${LINES.join("\n")}\ncolour: red`,
      '12:1: colour: unknown field "colour"',
    ],
    [
      "a missing field",
      withLine(11, undefined),
      "6:5: transfers[0].operation: the field is missing",
    ],
    ["a missing section", LINES.slice(0, 4).join("\n"), "1:1: transfers: the field is missing"],
    ["a wrong type", withLine(6, "  - name: 7"), "6:11: transfers[0].name: "],
    [
      "a size that is none",
      withLine(9, "      size: much"),
      '9:13: transfers[0].buffer.size: "much" is no size such as 64 KiB',
    ],
    [
      "a size that is no whole page",
      withLine(9, "      size: 100"),
      "9:13: transfers[0].buffer.size: 100 is not a multiple of 4 KiB from 4 KiB to 1 GiB",
    ],
    [
      "an unknown operation",
      withLine(11, "    operation: teleport"),
      "11:16: transfers[0].operation: expected one of ",
    ],
    [
      "an unknown model",
      withLine(2, '  "13:00.0": { model: toaster }'),
      '2:23: devices["13:00.0"].model: expected a model: gpu, nvme or rdma',
    ],
    [
      "a field of another model",
      withLine(4, '  "15:00.0": { model: rdma, vram: 1 MiB }'),
      '4:29: devices["15:00.0"].vram: unknown field "vram"',
    ],
    [
      "a kernel that is a number",
      `kernel: 6.10\n${LINES.join("\n")}`,
      "1:9: kernel: expected a kernel version in quotes",
    ],
    [
      "a kernel nobody knows",
      `kernel: "1.0"\n${LINES.join("\n")}`,
      '1:9: kernel: kernel "1.0": the P2PDMA rules of this kernel are not known. Known: ',
    ],
    [
      "a capture that is not there",
      `capture: nowhere\n${LINES.join("\n")}`,
      "1:10: capture: nowhere: there is neither",
    ],
    [
      "an unknown root complex",
      `machine: { rootComplex: wormhole }\n${LINES.join("\n")}`,
      "1:25: machine.rootComplex: ",
    ],
    [
      "memory that is too small",
      `machine: { memory: { perNode: 4 KiB } }\n${LINES.join("\n")}`,
      "1:31: machine.memory.perNode: expected a size in whole MiB up to 1 TiB",
    ],
    [
      "two scenarios in one file",
      `${LINES.join("\n")}\n---\n${LINES.join("\n")}`,
      "12:1: this is not one scenario but several",
    ],
    [
      "an unknown root bus",
      `machine: { busOffset: { "0000:99": 4096 } }\n${LINES.join("\n")}`,
      "1:1: machine: busOffset 0000:99: there is no such root bus",
    ],
    [
      "a link that PCIe does not know",
      `machine: { links: { byFunction: { "13:00.0": Gen4 x3 } } }\n${LINES.join("\n")}`,
      '1:46: machine.links.byFunction["13:00.0"]: "Gen4 x3" is no PCIe link such as Gen4 x16 or 16 GT/s x16',
    ],
    [
      "a link of a function that is not there",
      `machine: { links: { byFunction: { "99:00.0": Gen4 x16 } } }\n${LINES.join("\n")}`,
      '1:46: machine.links.byFunction["99:00.0"]: 99:00.0: there is no such PCI function',
    ],
    [
      "packets of no size of PCIe",
      `machine: { links: { payloadBytes: 100 } }\n${LINES.join("\n")}`,
      "1:35: machine.links.payloadBytes: expected one of 128, 256, 512, 1024, 2048, 4096 bytes",
    ],
    [
      "a rate that is none",
      `machine: { links: { socketBytesPerNs: 0 } }\n${LINES.join("\n")}`,
      "1:39: machine.links.socketBytesPerNs: expected a rate above 0 bytes a nanosecond",
    ],
    [
      "an unknown function",
      withLine(4, '  "15:00.1": { model: rdma }'),
      '4:3: devices["15:00.1"]: 15:00.1: there is no such PCI function',
    ],
    [
      "a function named twice",
      withLine(4, '  "0000:16:00.0": { model: rdma }'),
      '4:3: devices["0000:16:00.0"]: 0000:16:00.0 has a model already',
    ],
    [
      "a bridge",
      withLine(4, '  "12:00.0": { model: rdma }'),
      '4:3: devices["12:00.0"]: 0000:12:00.0 is a bridge',
    ],
    [
      "an exporter that is no GPU",
      withLine(7, '    exporter: "16:00.0"'),
      "7:15: transfers[0].exporter: 0000:16:00.0 has the model nvme, a gpu is needed here",
    ],
    [
      "an importer of the wrong kind",
      withLine(10, '    importer: "15:00.0"'),
      "10:15: transfers[0].importer: 0000:15:00.0 has the model rdma, a nvme is needed here",
    ],
    [
      "an importer without a model",
      withLine(10, '    importer: "17:00.0"'),
      "10:15: transfers[0].importer: 0000:17:00.0 is not among the devices",
    ],
    [
      "a far end where there is none",
      `${LINES.join("\n")}\n    remote: { importer: "15:00.0", exporter: system-heap }`,
      "12:5: transfers[0].remote: nvme-write has no other end",
    ],
    [
      "a wish the heap cannot meet",
      withLine(7, "    exporter: system-heap").replace(
        "size: 64 KiB",
        "size: 64 KiB\n      place: hidden",
      ),
      "10:14: transfers[0].buffer.place: only a GPU's buffers have it",
    ],
    [
      "a buffer larger than the drive",
      withLine(9, "      size: 16 MiB"),
      "9:13: transfers[0].buffer.size: 16777216 bytes are more than the drive's namespace",
    ],
    [
      "a model that does not fit its function",
      withLine(4, '  "00:1f.0": { model: rdma }'),
      '4:3: devices["00:1f.0"]: ',
    ],
    [
      "no transfers",
      `${LINES.slice(0, 4).join("\n")}\ntransfers: []`,
      "5:12: transfers: expected at least one transfer",
    ],
    [
      "the same name twice",
      `${LINES.join("\n")}\n${LINES.slice(5).join("\n")}`,
      '12:11: transfers[1].name: another transfer is called "one"',
    ],
    [
      "a name that is more than one line",
      withLine(6, '  - name: "one\\nand \\e[2Jmore"'),
      "6:11: transfers[0].name: expected one line",
    ],
    ["a list instead of a scenario", "- 1\n- 2", "1:1: "],
    ["nothing at all", "", "1:1: "],
    ["a field twice", `${LINES.join("\n")}\ndevices: {}`, "12:1: this is not YAML: "],
    ["YAML that is not closed", "devices: { a: b", "this is not YAML: "],
  ])("%s", async (_, text, message) => {
    const { code, stdout, stderr } = await runText(text);

    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/^peerbuf: s\.yaml:\d+:\d+: /);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  });

  it("says how many more there are", async () => {
    const { stderr } = await runText(
      withLine(11, "    operation: teleport").replace("name: one", "name: 7"),
    );

    expect(stderr).toContain("(and 1 more)");
  });

  it("a file too large to be one is refused unread", async () => {
    const cwd = emptyFolder();
    writeFileSync(join(cwd, "big.yaml"), "x");
    truncateSync(join(cwd, "big.yaml"), 2 ** 33);

    const { code, stderr } = await peerbuf(["run", "big.yaml"], { cwd });

    expect(code).toBe(2);
    expect(stderr).toContain("a scenario at most 1048576");
  });

  it("aliases that multiply are refused", async () => {
    const layers = Array.from(
      { length: 9 },
      (_, n) => `a${n + 1}: &a${n + 1} [${Array(9).fill(`*a${n}`).join(", ")}]`,
    );

    const { code, stdout } = await runText(`a0: &a0 x\n${layers.join("\n")}\n`);

    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  });

  it("any text is run or refused, never a bug", async () => {
    const cut = fc
      .integer({ min: 0, max: LINES.length - 1 })
      .chain((line) =>
        fc.tuple(fc.constant(line + 1), fc.string({ unit: "grapheme-ascii", maxLength: 30 })),
      );
    await fc.assert(
      fc.asyncProperty(cut, async ([line, text]) => {
        const { code } = await runText(withLine(line, text));
        expect([0, 1, 2]).toContain(code);
      }),
      { numRuns: 60 },
    );
  });
});
