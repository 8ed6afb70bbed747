/**
 * Damaged captures: whatever happened to a file on its way, the answer is a topology or an InputError.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InputError } from "@peerbuf/core";
import { readCapture, Topology, topologyFromSysfs, treeFromJson } from "@peerbuf/topology";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { CAPTURES, captureFolder, type SysfsJson, sysfsJson, sysfsText } from "./captures.ts";

const folder = mkdtempSync(join(tmpdir(), "peerbuf-damaged-"));
afterAll(() => rmSync(folder, { recursive: true }));

const SMALL = ["tiny-01", "tiny-06", "removed-01", "sriov-01", "i440fx-05"] as const;
const RUNS = { numRuns: 150 };

/** Runs a reader on damaged input: a topology or an InputError is fine, anything else is rethrown. */
function openText(text: string): Topology | InputError {
  try {
    return topologyFromSysfs(treeFromJson("damaged", text));
  } catch (error) {
    if (error instanceof InputError) {
      return error;
    }
    throw error;
  }
}

async function openFile(bytes: Uint8Array): Promise<Topology | InputError> {
  const path = join(folder, "capture");
  writeFileSync(path, bytes);
  try {
    return await readCapture(path);
  } catch (error) {
    if (error instanceof InputError) {
      return error;
    }
    throw error;
  }
}

const expectAnswer = (answer: Topology | InputError): void => {
  expect(answer instanceof Topology || answer instanceof InputError).toBe(true);
  if (answer instanceof InputError) {
    const { source, cause, remedy } = answer.problem;
    expect([source, cause, remedy].every((part) => part.length > 0)).toBe(true);
  }
};

const capture = fc.constantFrom(...SMALL);
type Group = keyof SysfsJson;

describe("a damaged sysfs.json", () => {
  it("is refused when it was cut short", () => {
    fc.assert(
      fc.property(capture, fc.double({ min: 0, max: 0.99, noNaN: true }), (name, part) => {
        const text = sysfsText(name);

        expect(openText(text.slice(0, Math.floor(text.length * part)))).toBeInstanceOf(InputError);
      }),
      RUNS,
    );
  });

  it("gives a topology or an InputError when bytes were changed", () => {
    fc.assert(
      fc.property(
        capture,
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 32, max: 126 })), {
          minLength: 1,
          maxLength: 20,
        }),
        (name, changes) => {
          const bytes = Buffer.from(sysfsText(name));
          for (const [at, value] of changes) {
            bytes[at % bytes.length] = value;
          }

          expectAnswer(openText(bytes.toString()));
        },
      ),
      RUNS,
    );
  });

  it("gives a topology or an InputError when entries were deleted, doubled, moved or retyped", () => {
    const step = fc.record({
      group: fc.constantFrom<Group>("files", "links", "binary"),
      at: fc.nat(),
      from: fc.nat(),
      what: fc.constantFrom("delete", "copy", "move", "retype", "empty"),
      value: fc.oneof(
        fc.integer(),
        fc.constant(null),
        fc.string(),
        fc.constant([]),
        fc.constant({}),
      ),
    });
    fc.assert(
      fc.property(capture, fc.array(step, { minLength: 1, maxLength: 40 }), (name, steps) => {
        const damaged = sysfsJson(name) as unknown as Record<Group, Record<string, unknown>>;
        for (const { group, at, from, what, value } of steps) {
          const entries = damaged[group];
          const paths = Object.keys(entries);
          const path = paths[at % paths.length] ?? "";
          const other = paths[from % paths.length] ?? "";
          if (what === "copy" || what === "retype") {
            entries[path] = what === "copy" ? entries[other] : value;
          } else {
            const content = entries[path];
            delete entries[path];
            const target = what === "move" ? path.replace(/0000:0\d/, "0000:02") : path;
            if (what !== "delete") {
              entries[target] = what === "move" ? content : "";
            }
          }
        }

        expectAnswer(openText(JSON.stringify(damaged)));
      }),
      RUNS,
    );
  });

  it.each<[string, unknown, RegExp]>([
    ["a list", [], /no object "files"/],
    ["a number", 7, /no object "files"/],
    ["some other object", { name: "tiny-01" }, /no object "files"/],
    ["no PCI functions", { files: {} }, /no PCI functions/],
    [
      "files that are no texts",
      { files: { "proc/cmdline": 1 } },
      /files\["proc\/cmdline"\]: expected text/,
    ],
    ["links that are a list", { files: {}, links: [] }, /links: expected an object/],
    [
      "hex that is none",
      { files: {}, binary: { a: { length: 2, hex: "zz" } } },
      /binary\["a"\]: hex/,
    ],
    ["more hex than length", { files: {}, binary: { a: { length: 1, hex: "0000" } } }, /hex/],
    [
      "a huge length",
      { files: {}, binary: { a: { length: 1e15, hex: "" } } },
      /length is 1000000000000000/,
    ],
    [
      "a length that is none",
      { files: {}, binary: { a: { length: "4", hex: "" } } },
      /expected \{"length"/,
    ],
  ])("is refused when it holds %s", (_, content, message) => {
    expect(() => topologyFromSysfs(treeFromJson("file", JSON.stringify(content)))).toThrow(message);
  });
});

describe("a capture that contradicts itself", () => {
  const port = "sys/devices/pci0000:00/0000:00:03.0";
  const files = { [`${port}/class`]: "0x060400\n", [`${port}/secondary_bus_number`]: "1\n" };
  const gpu = `${port}/0000:01:00.0`;
  const openFiles = (added: object, links: object = {}, binary: object = {}): Topology =>
    topologyFromSysfs(
      treeFromJson("file", JSON.stringify({ files: { ...files, ...added }, links, binary })),
    );

  it("is read when it does not", () => {
    const topology = openFiles({ [`${gpu}/class`]: "0x030000" });

    expect(topology.parentOf(topology.require("01:00.0"))).toBe(topology.require("00:03.0"));
  });

  it.each([
    ["another bus", 0x02, false],
    ["its own bus, a loop", 0x07, false],
    ["nothing yet", 0x00, true],
    ["that it does not answer", 0xff, true],
    ["the same", 0x01, true],
  ])("by a bridge whose config space says %s of the bus below", (_, secondary, isFine) => {
    const config = new Uint8Array(64);
    config.set([0x86, 0x80], 0);
    config[0x0e] = 1;
    config[0x19] = secondary;
    const hex = Buffer.from(config).toString("hex");
    const open = () => openFiles({}, {}, { [`${port}/config`]: { length: 64, hex } });

    if (isFine) {
      expect(open().count).toBe(1);
    } else {
      expect(open).toThrow(/secondary_bus_number: it says 1, the bridge's config space says/);
    }
  });

  it.each<[string, object, object, object, RegExp]>([
    [
      "by one function in two places",
      { [`${gpu}/class`]: "0x030000", "sys/devices/pci0000:00/0000:01:00.0/class": "0x030000" },
      {},
      {},
      /0000:01:00\.0 is also at/,
    ],
    [
      "by a child below a function that is no bridge",
      { [`${gpu}/class`]: "0x030000", [`${port}/class`]: "0x030000" },
      {},
      {},
      /sits below 0000:00:03\.0, which is not a bridge/,
    ],
    [
      "by a child on another bus than its bridge's",
      { [`${port}/0000:02:00.0/class`]: "0x030000" },
      {},
      {},
      /it is on bus 0000:02, but bridge 0000:00:03\.0 above it has bus 0000:01 below/,
    ],
    [
      "by config space of an odd length",
      {},
      {},
      { [`${port}/config`]: { length: 100, hex: "" } },
      /0000:00:03\.0\/config: it has 100 bytes, expected 64, 128, 256 or 4096/,
    ],
    [
      "by a function of which nothing was captured",
      { [`${gpu}/numa_node`]: "0" },
      {},
      {},
      /nothing was captured of this function/,
    ],
    [
      "by a link that leads elsewhere",
      {},
      { "sys/bus/pci/devices/0000:01:00.0": "../../../devices/pci0000:00/0000:00:03.0" },
      {},
      /which is not the folder of 0000:01:00\.0/,
    ],
    [
      "by a link that leaves the capture",
      {},
      { "sys/bus/pci/devices/0000:01:00.0": "../../../../../../../etc" },
      {},
      /which is not the folder of/,
    ],
    [
      "by a virtual function of a missing function",
      { [`${gpu}/class`]: "0x030000" },
      { [`${gpu}/physfn`]: "../0000:01:00.7" },
      {},
      /virtual function of 0000:01:00\.7, which is not there/,
    ],
    [
      "by an id that is no number",
      { [`${port}/vendor`]: "intel\u001b[31m" },
      {},
      {},
      /vendor: "intel\\u001b\[31m" is not a number/,
    ],
    [
      "by a resource row that is none",
      { [`${port}/resource`]: "0x0 0x0\n" },
      {},
      {},
      /resource:1: "0x0 0x0" is not/,
    ],
    [
      "by an address beyond exact numbers",
      { [`${port}/resource`]: "0xfffffffffffff000 0xffffffffffffffff 0x200" },
      {},
      {},
      /beyond 2\^53 - 1/,
    ],
  ])("is refused: %s", (_, added, links, binary, message) => {
    expect(() => openFiles(added, links, binary)).toThrow(message);
    expect(() => openFiles(added, links, binary)).toThrow(InputError);
  });
});

describe("a damaged tar", () => {
  const packed = readFileSync(join(captureFolder("tiny-02"), "sysfs.tar.gz"));

  it("is refused wherever it was cut short", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: packed.length - 1 }), async (length) => {
        expect(await openFile(packed.subarray(0, length))).toBeInstanceOf(InputError);
      }),
      { numRuns: 30 },
    );
  });

  it("gives a topology or an InputError when bytes were changed", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(packed.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        async (changes) => {
          const bytes = Uint8Array.from(packed);
          for (const [at, value] of changes) {
            bytes[at] = value;
          }

          expectAnswer(await openFile(bytes));
        },
      ),
      { numRuns: 30 },
    );
  });
});

describe("a file that is no capture", () => {
  it("is refused, whatever bytes it holds", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 3000 }), async (bytes) => {
        expect(await openFile(bytes)).toBeInstanceOf(InputError);
      }),
      { numRuns: 60 },
    );
  });

  it.each<[string, number[], RegExp]>([
    ["nothing", [], /the file is empty/],
    ["zstd", [0x28, 0xb5, 0x2f, 0xfd], /packed with zstd.*unzstd/],
    ["bzip2 of nothing", [0x42, 0x5a, 0x68, 0x39], /the file is empty/],
    ["bzip2 that is cut", [0x42, 0x5a, 0x68, 0x39, 0x31, 0x41], /the bzip2 data is damaged/],
    ["text", [0x68, 0x69], /the format is not known: expected sysfs\.json, a tar/],
  ])("is refused with what to do, when it holds %s", async (_, bytes, message) => {
    expect(await openFile(Uint8Array.from(bytes))).toHaveProperty(
      "message",
      expect.stringMatching(message),
    );
  });

  it("is refused when it does not exist", async () => {
    await expect(readCapture(join(folder, "missing"))).rejects.toThrow(/no such file or folder/);
    await expect(readCapture("/dev/null")).rejects.toThrow(/neither a file nor a folder/);
  });

  it("is refused when it is some other folder, with what was looked for", async () => {
    await expect(readCapture(folder)).rejects.toThrow(/looked for a sysfs\.json, a copy of \/sys/);
  });

  it("leaves every real capture readable", async () => {
    for (const name of CAPTURES) {
      expect((await readCapture(captureFolder(name))).count).toBeGreaterThan(0);
    }
  });
});
