/**
 * Four cases from the field: each scenario of `docs/field-cases.md` does to the bytes what the page says.
 *
 * The page shows the files as they are. `UPDATE_DOCS=1` writes the files into the page.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { runShape } from "peerbuf";
import { beforeAll, describe, expect, it } from "vitest";
import { peerbuf } from "../packages/cli/test/console.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const FOLDER = `${ROOT}test/scenarios/`;
const PAGE = `${ROOT}docs/field-cases.md`;
/** SHA-256 of 64 KiB of 0xff. */
const ALL_ONES = "71189f7fb6aed638640078fba3a35fda6c39c8962e74dcc75935aac948da9063";

interface Transfer {
  readonly arrived: boolean;
  readonly target: string;
  readonly route: string;
  readonly remote?: { readonly route: string };
  readonly error?: { readonly code: string; readonly message: string };
  readonly sha256: { readonly source: string; readonly destination: string };
  readonly lostBytes: number;
  readonly losses: readonly {
    readonly kind: string;
    readonly reason: string;
    readonly at: string;
  }[];
  readonly busErrors: readonly unknown[];
  readonly decisions: readonly {
    readonly party: string;
    readonly verdict: string;
    readonly reason: string;
  }[];
}

interface Answer {
  readonly code: number;
  readonly transfers: readonly Transfer[];
}

const answers = new Map<string, Answer>();

/** What `peerbuf run --json` says of a scenario; each is run once. */
async function answerOf(name: string): Promise<Answer> {
  const known = answers.get(name);
  if (known !== undefined) {
    return known;
  }
  const { code, stdout, stderr } = await peerbuf(["run", `${FOLDER}${name}.yaml`, "--json"]);
  expect(stderr).toBe("");
  const answer = JSON.parse(stdout);
  expect(runShape.safeParse(answer).error).toBeUndefined();
  answers.set(name, { code, ...answer });
  return { code, ...answer };
}

const topologyReasons = ({ decisions }: Transfer): string[] =>
  decisions.filter(({ party }) => party === "topology").map(({ reason }) => reason);

describe("(a) a client root complex that carries peer writes only", () => {
  it("writes into GPU memory arrive, a read of it is lost, and no bus error is logged", async () => {
    const { code, transfers } = await answerOf("client-writes-only");

    const [written, read] = transfers as [Transfer, Transfer];
    expect(code).toBe(1);
    expect(written).toMatchObject({
      arrived: true,
      lostBytes: 0,
      remote: { route: "host-bridge" },
    });
    expect(read).toMatchObject({
      arrived: false,
      target: "device",
      lostBytes: 65_536,
      error: { code: "DEVICE_FAILED" },
    });
    expect([...written.busErrors, ...read.busErrors]).toEqual([]);
  });

  it("the rules do not map the two to each other, and both transfers arrive", async () => {
    const { code, transfers } = await answerOf("client-writes-only-asked");

    expect(code).toBe(0);
    for (const transfer of transfers) {
      expect(transfer).toMatchObject({ arrived: true, lostBytes: 0 });
      expect(topologyReasons(transfer)).toContain("NO_COMMON_BRIDGE");
    }
  });
});

describe("(b) ACS redirect with an IOMMU that does not map the peer's BAR", () => {
  it("faults at the IOMMU", async () => {
    const { code, transfers } = await answerOf("acs-redirect");

    expect(code).toBe(1);
    expect(transfers[0]).toMatchObject({
      arrived: false,
      route: "bus-addr",
      error: { code: "DEVICE_FAILED" },
      losses: [
        {
          kind: "read",
          reason: "IOMMU_NOT_PRESENT",
          at: "iommu",
          requester: "0000:16:00.0",
          mapping: 'nvme@0000:16:00.0 on "GPU to drive below one switch"',
        },
      ],
    });
  });

  it("arrives with iommu=pt and a root complex that forwards", async () => {
    const { code, transfers } = await answerOf("acs-redirect-pass-through");

    expect(code).toBe(0);
    expect(transfers[0]).toMatchObject({ arrived: true, route: "bus-addr", lostBytes: 0 });
  });

  it("the rules see the redirect and map the BAR for the drive", async () => {
    const { code, transfers } = await answerOf("acs-redirect-asked");

    expect(code).toBe(0);
    expect(transfers[0]).toMatchObject({ arrived: true, target: "device", route: "host-bridge" });
    const topology = transfers[0]?.decisions.find(({ party }) => party === "topology");
    expect(topology?.verdict).toBe("host-bridge");
  });
});

describe("(c) a copy that succeeds while the bytes are all ones", () => {
  it("nobody reports an error, and what was read is ones", async () => {
    const { code, transfers } = await answerOf("all-ones");

    const [read, written] = transfers as [Transfer, Transfer];
    expect(code).toBe(1);
    expect([read.error, written.error]).toEqual([undefined, undefined]);
    expect([read.arrived, written.arrived]).toEqual([false, false]);
    expect(read.sha256.destination).toBe(ALL_ONES);
    expect(written.sha256.destination).not.toBe(written.sha256.source);
    expect([...read.busErrors, ...written.busErrors]).toEqual([]);
  });

  it("the rules send the bytes by way of system memory, and they arrive", async () => {
    const { code, transfers } = await answerOf("all-ones-asked");

    expect(code).toBe(0);
    expect(transfers.map(({ route }) => route)).toEqual(["system", "system"]);
  });
});

describe("(d) ACS clear everywhere, data corrupt until pass-through", () => {
  it("no ACS control bit is set in the capture", () => {
    const facts = JSON.parse(
      readFileSync(`${ROOT}test/fixtures/captures/server-08/facts.json`, "utf8"),
    );
    const controls = facts.devices.map(({ acs_ctrl }: { acs_ctrl: number }) => acs_ctrl);

    expect(new Set(controls)).toEqual(new Set([0]));
  });

  it("the rules say yes, nothing is lost, and the run reports wrong bytes", async () => {
    const { code, transfers } = await answerOf("corrupted");

    expect(code).toBe(1);
    expect(transfers[0]).toMatchObject({ arrived: false, route: "host-bridge", lostBytes: 0 });
    expect(transfers[0]?.error).toBeUndefined();
  });

  it.each([
    ["corrupted-pass-through", "device"],
    ["corrupted-declined", "system"],
  ])("%s: the bytes are right, in %s memory", async (name, target) => {
    const { code, transfers } = await answerOf(name);

    expect(code).toBe(0);
    expect(transfers[0]).toMatchObject({ arrived: true, target });
  });
});

describe("docs/field-cases.md", () => {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith(".yaml"));
  const own = new Map(files.map((name) => [name, readFileSync(FOLDER + name, "utf8")]));
  const updated = (page: string): string =>
    page.replace(/^```yaml\n# (\S+\.yaml)\n[\s\S]*?^```$/gm, (block, name: string) =>
      own.has(name) ? `\`\`\`yaml\n${own.get(name)}\`\`\`` : block,
    );

  beforeAll(() => {
    if (process.env["UPDATE_DOCS"] === "1") {
      writeFileSync(PAGE, updated(readFileSync(PAGE, "utf8")));
    }
  });

  it("shows the scenario files as they are, each of the four cases' once", () => {
    const page = readFileSync(PAGE, "utf8");
    const shown = [...page.matchAll(/^```yaml\n# (\S+\.yaml)$/gm)].map(([, name]) => name);
    const cases = files.filter((name) => own.get(name)?.startsWith(`# ${name}\n# (`));

    expect(page).toBe(updated(page));
    expect(shown.toSorted()).toEqual(cases.toSorted());
    expect(cases).toHaveLength(10);
  });

  it("names the exit code of each", async () => {
    const page = readFileSync(PAGE, "utf8");
    const lines = [...page.matchAll(/^npx peerbuf run test\/scenarios\/(\S+)\.yaml(.*)$/gm)];

    expect(lines).toHaveLength(10);
    for (const [, name = "", comment = ""] of lines) {
      const wanted = /\bexit (\d+)\b/.exec(comment)?.[1] ?? "0";
      expect({ name, code: String((await answerOf(name)).code) }).toEqual({ name, code: wanted });
    }
  });
});
