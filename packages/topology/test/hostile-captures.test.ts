/**
 * Hostile captures: files made to hurt, and real files in which bits, lines and numbers were changed.
 *
 * The answer is a topology whose pairs can be judged, or an InputError; never another exception, never
 * an expansion, and soon.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { InputError } from "@peerbuf/core";
import {
  captureMachine,
  judgeAllPairs,
  mergeCaptures,
  readCapture,
  rulesForKernel,
  Topology,
  treeFromJson,
} from "@peerbuf/topology";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { sysfsText } from "./captures.ts";
import { COLLECTION_MISSING, realFiles, realPath } from "./real-collection.ts";

const folder = mkdtempSync(join(tmpdir(), "peerbuf-hostile-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function answerTo(content: string | Uint8Array): Promise<Topology | InputError> {
  const path = join(folder, "capture");
  writeFileSync(path, content);
  try {
    return await readCapture(path);
  } catch (error) {
    if (error instanceof InputError) {
      return error;
    }
    throw error;
  }
}

/** Judges what was read: numbers that got past a reader must not break the rules either. */
function expectSound(answer: Topology | InputError): void {
  if (answer instanceof Topology) {
    const pairs = judgeAllPairs(answer, rulesForKernel());
    expect(pairs.count).toBe(answer.endpoints.length);
    expect(mergeCaptures([answer, answer]).count).toBe(answer.count);
  } else {
    expect(answer.message).toContain(answer.problem.remedy);
  }
}

const NCCL = (inside: string): string =>
  `<system version="1"><cpu numaid="0" vendor="GenuineIntel" familyid="6">${inside}</cpu></system>`;

describe("an XML file made to hurt", () => {
  const LAUGHS = `<?xml version="1.0"?><!DOCTYPE system [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
    <!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>${NCCL("&c;")}`;
  const OUTSIDE = `<?xml version="1.0"?><!DOCTYPE system [<!ENTITY x SYSTEM "file:///etc/hostname">]>${NCCL("&x;")}`;
  const PARAMETER = `<!DOCTYPE system [<!ENTITY % p SYSTEM "http://127.0.0.1/p.dtd"> %p;]>${NCCL("")}`;

  it.each([
    ["entities that multiply", LAUGHS, /declares entities of its own/],
    ["an entity from another file", OUTSIDE, /declares entities of its own/],
    ["a parameter entity from the net", PARAMETER, /declares entities of its own/],
    [
      "an entity nobody declared",
      NCCL("&nbsp;"),
      /not well-formed XML.*line 1|line 1: this is not well-formed/,
    ],
    ["elements without end", "<a>".repeat(10_000), /nested more than 512 deep/],
    [
      "bridges within bridges without end",
      NCCL('<pci busid="0000:01:00.0">'.repeat(2000)),
      /nested more than 512/,
    ],
    [
      "an attribute without end",
      `<system a="${"x".repeat(200_000)}"/>`,
      /not well-formed|no PCI functions/,
    ],
    [
      "attributes without end",
      `<system ${Array.from({ length: 5000 }, (_, index) => `a${index}=""`).join(" ")}/>`,
      /more than 256 attributes/,
    ],
    [
      "elements beside one another without end",
      NCCL("<x/>".repeat(400_000)),
      /more than 300000 elements/,
    ],
    ["a second document", `${NCCL("")}${NCCL("")}`, /not well-formed|second document/],
    ["another root", "<html><body/></html>", /neither a topology of NCCL/],
    ["NCCL's paths", "<graphs version='1'/>", /the paths NCCL chose/],
    [
      "half a file",
      NCCL('<pci busid="0000:01:00.0"/>').slice(0, -20),
      /not well-formed|not complete/,
    ],
    ["zero bytes", `<system>\0\0\0${"\0".repeat(100)}`, /not well-formed|not complete/],
    [
      "names of object members",
      '<system __proto__="1" constructor="2"><__proto__/></system>',
      /no PCI functions/,
    ],
  ])("is refused for %s", async (_, text, message) => {
    const answer = await answerTo(text);

    expect(answer).toBeInstanceOf(InputError);
    expect((answer as InputError).message).toMatch(message);
  });

  it("may name a document type that nobody opens", async () => {
    const text = `<?xml version="1.0"?><!DOCTYPE system SYSTEM "file:///nowhere/at/all.dtd">${NCCL('<pci busid="0000:01:00.0"/>')}`;

    expect(await answerTo(text)).toBeInstanceOf(Topology);
  });

  it("cannot hide behind compression", async () => {
    const bomb = gzipSync(`<system>${" ".repeat(80 * 2 ** 20)}</system>`);

    expect(bomb.length).toBeLessThan(200_000);
    expect((await answerTo(bomb)) as InputError).toHaveProperty(
      "message",
      expect.stringMatching(/more than 67108864 bytes/),
    );
  });
});

/** Small real and made files of every form that is read here. */
const SAMPLES: readonly (readonly [string, Uint8Array])[] = [
  [
    "an NCCL topology",
    Buffer.from(
      NCCL(
        '<pci busid="ffff:ff:01.0" class="0x060400" link_speed="16 GT/s" link_width="16"><pci busid="0000:21:00.0" class="0x060400"><pci busid="0000:23:00.0" class="0x030200"><gpu dev="0" gdr="1"><nvlink target="0000:1c:00.0" count="5"/></gpu></pci></pci></pci>',
      ),
    ),
  ],
  [
    "an hwloc topology",
    Buffer.from(
      '<?xml version="1.0"?>\n<topology version="2.0"><object type="Machine"><info name="OSRelease" value="6.12.1"/><object type="Package" os_index="0" nodeset="0x1"><object type="NUMANode" os_index="0" cpuset="0xf,,0x1"/><object type="Bridge" bridge_type="0-1" bridge_pci="0000:[00-05]"><object type="Bridge" bridge_type="1-1" bridge_pci="0000:[01-03]" pci_busid="0000:00:01.0" pci_type="0604 [8086:3c02] [0000:0000] 07"><object type="PCIDev" pci_busid="0000:01:00.0" pci_type="0300 [10de:2230] [10de:1459] a1"><object type="OSDev" name="cuda0"/></object></object></object></object></object><distances2 name="NUMALatency" indexing="os"><indexes>0 1</indexes><u64values>10 20 20 10</u64values></distances2></topology>',
    ),
  ],
  [
    "a matrix",
    Buffer.from(
      "\tGPU0\tGPU1\tNIC0\tCPU Affinity\nGPU0\t X \tNV4\tPIX\t0-3\t0\nGPU1\tNV4\t X \tSYS\nNIC0\tPIX\tSYS\t X\n\nNIC Legend:\n\n  NIC0: mlx5_0\n",
    ),
  ],
  [
    "a capture by peerbuf",
    gunzipSync(captureMachine(treeFromJson("tiny", sysfsText("tiny-06"))).bytes),
  ],
  [
    "numactl",
    Buffer.from(
      "available: 1 nodes (0)\nnode 0 cpus: 0 1 2\nnode distances:\nnode   0\n  0:  10\n",
    ),
  ],
];

/** Bytes changed, cut out, doubled, or swapped with others: what disks, mailers and editors do. */
const damage = fc.array(
  fc.record({
    what: fc.constantFrom("change", "cut", "double", "swap", "number"),
    at: fc.nat(),
    length: fc.integer({ min: 1, max: 400 }),
    value: fc.integer({ min: 0, max: 255 }),
  }),
  { minLength: 1, maxLength: 12 },
);
type Damage = typeof damage extends fc.Arbitrary<infer T> ? T : never;

function damaged(sample: Uint8Array, steps: Damage): Uint8Array {
  let bytes = Buffer.from(sample);
  for (const { what, at, length, value } of steps) {
    const start = bytes.length === 0 ? 0 : at % bytes.length;
    const piece = bytes.subarray(start, start + length);
    if (what === "change" && bytes.length > 0) {
      bytes[start] = value;
    } else if (what === "number") {
      const text = ["-1", "4294967296", "1e999", "0x", "ffff:ff:1f.7", "99999999999999999999"][
        value % 6
      ];
      bytes = Buffer.concat([
        bytes.subarray(0, start),
        Buffer.from(text ?? ""),
        bytes.subarray(start),
      ]);
    } else if (what === "double") {
      bytes = Buffer.concat([bytes.subarray(0, start), piece, bytes.subarray(start)]);
    } else {
      const rest = bytes.subarray(start + piece.length);
      const tail = what === "swap" ? [rest, piece] : [rest];
      bytes = Buffer.concat([bytes.subarray(0, start), ...tail]);
    }
  }
  return bytes;
}

describe("a damaged file", () => {
  it.each(SAMPLES)("(%s) is read or refused", async (_, sample) => {
    expect(await answerTo(sample)).toSatisfy(
      (answer) => answer instanceof Topology || /completes a capture/.test(String(answer)),
    );
    await fc.assert(
      fc.asyncProperty(damage, async (steps) =>
        expectSound(await answerTo(damaged(sample, steps))),
      ),
      { numRuns: 150 },
    );
  });
});

if (COLLECTION_MISSING !== "") {
  console.warn(`damaging real captures is skipped: ${COLLECTION_MISSING}`);
}

/** Real files this test can afford to read again and again. */
const real = realFiles(/\.(?:xml|bz2)$|nvidia-smi|cmdline|numactl/).filter(
  (path) => readFileSync(realPath(path)).length < 130_000,
);

describe.skipIf(COLLECTION_MISSING !== "")("a damaged real capture", () => {
  it.each(real.map((path) => [basename(path), path]))(
    "(%s) is read or refused",
    async (_, path) => {
      const sample = readFileSync(realPath(path));
      await fc.assert(
        fc.asyncProperty(damage, async (steps) =>
          expectSound(await answerTo(damaged(sample, steps))),
        ),
        { numRuns: path.endsWith(".bz2") ? 6 : 20 },
      );
    },
  );
});
