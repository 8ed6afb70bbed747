/**
 * Damaged lspci text: whatever happened to it on its way, the answer is an InputError, or a topology that
 * claims nothing the text does not show.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { InputError } from "@peerbuf/core";
import {
  FUNCTION_COUNT_MAX,
  judgePair,
  readCapture,
  rulesForKernel,
  TEXT_BYTES_MAX,
  Topology,
  topologyFromLspci,
} from "@peerbuf/topology";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { formOf, fullText, HEX_ROW, textOf } from "./lspci-claims.ts";

const rules = rulesForKernel();
const RUNS = { numRuns: 120 };

const TEXTS: readonly (readonly [string, string])[] = [
  ["details with config space", fullText("tiny-01")],
  ["details", fullText("sriov-01").replace(HEX_ROW, "")],
  ["details of a server", fullText("server-05").replace(HEX_ROW, "")],
  ["list", textOf("server-05", "lspci-nn.txt")],
  ["tree", textOf("sriov-01", "lspci-tv.txt")],
  ["tree of two domains", formOf("two-domains", "t")],
  ["paths", formOf("two-domains", "PPvvvnn")],
  ["quoted words", formOf("server-05", "mmnn")],
  ["records", formOf("server-05", "vmmnn")],
];
const anyText = fc.constantFrom(...TEXTS.map(([, text]) => text));

function read(text: string): Topology | InputError {
  try {
    return topologyFromLspci("damaged", text);
  } catch (error) {
    if (error instanceof InputError) {
      return error;
    }
    throw error;
  }
}

/** Anything goes but a claim without support: every function named stands in the text. */
function expectAnswer(answer: Topology | InputError, text: string): void {
  if (answer instanceof InputError) {
    const { source, cause, remedy } = answer.problem;
    expect([source, cause, remedy].every((part) => part.length > 0)).toBe(true);
    return;
  }
  expect(answer).toBeInstanceOf(Topology);
  const lower = text.toLowerCase();
  for (const bdf of answer.table.bdf) {
    expect(lower).toContain(bdf.slice(bdf.length - 4));
  }
  const rows = answer.endpoints.subarray(0, 12);
  for (const provider of rows) {
    for (const client of rows) {
      const { type } = judgePair(answer, rules, provider, client);
      expect(["bus-addr", "host-bridge", "unsupported", "unknown"]).toContain(type);
    }
  }
}

describe("a damaged lspci text", () => {
  it("cut anywhere is refused, or shows no more than it did", () => {
    fc.assert(
      fc.property(anyText, fc.double({ min: 0, max: 1, noNaN: true }), (text, part) => {
        const whole = topologyFromLspci("whole", text);
        const cut = text.slice(0, Math.floor(text.length * part));

        const answer = read(cut);

        expectAnswer(answer, cut);
        if (answer instanceof Topology) {
          expect(answer.count).toBeLessThanOrEqual(whole.count);
          for (const { bdf, acs } of answer.records()) {
            // What the cut took away is unknown, not absent.
            const before = whole.acsOf(whole.require(bdf));
            expect(acs === "absent" && before !== "absent").toBe(false);
          }
        }
      }),
      RUNS,
    );
  });

  it("with changed characters is refused or read", () => {
    const changes = fc.array(
      fc.tuple(fc.nat(), fc.string({ unit: "binary", minLength: 1, maxLength: 1 })),
      { minLength: 1, maxLength: 20 },
    );
    fc.assert(
      fc.property(anyText, changes, (text, list) => {
        const characters = Array.from(text);
        for (const [at, character] of list) {
          characters[at % characters.length] = character;
        }

        expectAnswer(read(characters.join("")), characters.join(""));
      }),
      RUNS,
    );
  });

  it("with lines deleted, doubled, moved, cut or from another file is refused or read", () => {
    const step = fc.record({
      what: fc.constantFrom("delete", "double", "move", "cut", "foreign", "swap"),
      at: fc.nat(),
      to: fc.nat(),
    });
    fc.assert(
      fc.property(
        anyText,
        anyText,
        fc.array(step, { minLength: 1, maxLength: 40 }),
        (text, other, steps) => {
          const lines = text.split("\n");
          const foreign = other.split("\n");
          for (const { what, at, to } of steps) {
            const from = at % lines.length;
            const line = lines[from] ?? "";
            const target = to % lines.length;
            if (what === "delete" || what === "move") {
              lines.splice(from, lines.length > 1 ? 1 : 0);
            }
            if (what === "double" || what === "move") {
              lines.splice(target, 0, line);
            }
            if (what === "cut") {
              lines[from] = line.slice(0, to % (line.length + 1));
            }
            if (what === "foreign") {
              lines.splice(target, 0, foreign[at % foreign.length] ?? "");
            }
            if (what === "swap") {
              lines[from] = lines[target] ?? "";
              lines[target] = line;
            }
          }

          expectAnswer(read(lines.join("\n")), lines.join("\n"));
        },
      ),
      RUNS,
    );
  });

  it("of blocks in any number and order is refused or read", () => {
    fc.assert(
      fc.property(anyText, fc.array(fc.nat(), { maxLength: 60 }), (text, order) => {
        const blocks = text.split("\n\n");
        const shuffled = order.map((at) => blocks[at % blocks.length]).join("\n\n");

        expectAnswer(read(shuffled), shuffled);
      }),
      RUNS,
    );
  });

  it("made of words of lspci in no order is refused or read", () => {
    const words = [
      ..."00:00.0 10000:ff:1f.7 |  +- \\- -[0000:00]- -[01-02]- -- PCI bridge [0604]: Bus: primary=00, secondary=01, subordinate=ff,".split(
        " ",
      ),
      "\tCapabilities: [160 v1] Single Root I/O Virtualization (SR-IOV)\n",
      "\tCapabilities: <access denied>\n",
      "\t\tVF offset: 1, stride: 0, Device ID: 1\n",
      "\t\tInitial VFs: 9, Total VFs: 9, Number of VFs: 65535, X\n",
      "\tRegion 0: Memory at ffffffffffffffff (64-bit, prefetchable) [size=9999999999999E]\n",
      "\tMemory behind bridge: 00000000-ffffffffffffffff [size=1]\n",
      "00: ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff\n",
      "Slot:\t00:00.0\n",
      "\n",
      " ",
    ];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...words), { maxLength: 80 }), (parts) => {
        expectAnswer(read(parts.join("")), parts.join(""));
      }),
      { numRuns: 400 },
    );
  });
});

describe("a text beyond the limits", () => {
  const folder = mkdtempSync(join(tmpdir(), "peerbuf-lspci-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const refusal = async (content: Uint8Array): Promise<string> => {
    const path = join(folder, "lspci.txt.gz");
    writeFileSync(path, content);
    return readCapture(path).then(
      () => "read",
      (error: unknown) => (error instanceof InputError ? error.problem.cause : String(error)),
    );
  };

  it("is refused for a line that no lspci prints", () => {
    const answer = read(`00:00.0 Host bridge: A\n${"x".repeat(10_000)}`);

    expect(answer).toMatchObject({ problem: { cause: expect.stringMatching(/8192 characters/) } });
  });

  it.each([
    ["blanks", "00:00.0 PCI bridge: A", " ", "x"],
    ["brackets", "00:00.0 PCI bridge [0604]: A", " [8086:1234] x", ""],
    ["sizes without an end", "\tRegion 0: Memory at 0 (64-bit, prefetchable) ", "[size=", ""],
    ["revisions", "00:00.0 PCI bridge: A", " (rev (a)", ""],
  ])("takes no more time for a line than its length: one full of %s", (_, head, body, tail) => {
    const line = head + body.repeat(8000 / body.length - head.length) + tail;

    expectAnswer(read(`00:01.0 Host bridge: A\n${`${line}\n`.repeat(500)}`), `${line}00:01.0`);
  });

  it("is refused for more functions than a machine can have", () => {
    const lines = Array.from({ length: FUNCTION_COUNT_MAX + 1 }, (_, index) => {
      const bus = ((index >> 8) & 0xff).toString(16).padStart(2, "0");
      const device = ((index >> 3) & 0x1f).toString(16).padStart(2, "0");
      const domain = (index >> 16).toString(16).padStart(4, "0");
      return `${domain}:${bus}:${device}.${index & 7} 0200: 8086:1572`;
    });

    expect(read(lines.join("\n"))).toMatchObject({
      problem: { cause: `there are more than ${FUNCTION_COUNT_MAX} functions` },
    });
  });

  it("is refused when it unpacks to more than the most that is read", async () => {
    const line = `${"x".repeat(8000)}\n`;
    const text = `00:00.0 Host bridge: A\n${line.repeat(Math.ceil(TEXT_BYTES_MAX / line.length) + 1)}`;

    expect(await refusal(gzipSync(text, { level: 1 }))).toMatch(/longer than 268435456 bytes/);
  });

  it("is refused when its gzip data is cut short", async () => {
    const packed = gzipSync(fullText("tiny-01"));

    expect(await refusal(packed.subarray(0, packed.length - 200))).toMatch(
      /cannot be read|damaged/,
    );
  });
});
