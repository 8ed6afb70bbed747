import { join } from "node:path";
import { explainShape } from "peerbuf";
import { describe, expect, it } from "vitest";
import { FIXTURES, peerbuf } from "./console.ts";

describe("explain", () => {
  it("walks the path hop by hop, with the root complex in the middle", async () => {
    const { code, stdout, stderr } = await peerbuf(["explain", "13:00.0", "17:00.0"]);

    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain("verdict   host-bridge, distance 6 (linux-6.12)");
    const path = stdout.slice(stdout.indexOf("\npath\n"), stdout.indexOf("\nwhy\n"));
    expect([...path.matchAll(/^ {2}(0000:\S+|root complex)/gm)].map(([, at]) => at)).toEqual([
      "0000:13:00.0",
      "0000:12:00.0",
      "0000:11:00.0",
      "0000:10:02.0",
      "root complex",
      "0000:10:08.0",
      "0000:17:00.0",
    ]);
  });

  it("below one switch there is no root complex on the way and nothing to change", async () => {
    const { code, stdout } = await peerbuf(["explain", "13:00.0", "16:00.0"]);

    expect(code).toBe(0);
    expect(stdout).toContain("verdict   bus-addr, distance 4");
    expect(stdout).not.toContain("root complex ");
    expect(stdout).not.toContain("what would have to change");
  });

  it("answers 1 where P2P is not possible, and says what would have to change", async () => {
    const { code, stdout } = await peerbuf(["explain", "gpu0", "3e:00.0"]);

    expect(code).toBe(1);
    expect(stdout).toContain("verdict   unsupported, distance 8");
    expect(stdout).toMatch(/^ {2}0000:38:00\.0 {2}Host bridge 0000:38 is 8086:3c01/m);
    expect(stdout).toMatch(/^ {3}(fix|try) +(Move|Put) 0000:\S+/m);
  });

  it.each([
    ["13:00.0", "16:00.0"],
    ["13:00.0", "17:00.0"],
    ["0000:13:00.0", "3e:00.0"],
    ["13:00.0", "13:00.0"],
  ])("--json of %s and %s keeps its shape", async (provider, client) => {
    const { stdout, stderr } = await peerbuf(["explain", provider, client, "--json"]);

    expect(stderr).toBe("");
    const answer = JSON.parse(stdout);
    expect(explainShape.safeParse(answer).error).toBeUndefined();
    expect(answer.provider).toEqual({ bdf: "0000:13:00.0", label: "Display controller 1002:740c" });
  });

  it("gives the text to type, what it changes by the model, and what it costs", async () => {
    const argv = ["explain", "gpu0", "nvme0", "--capture", join(FIXTURES, "server-01")];

    const { stdout } = await peerbuf(argv);

    expect(stdout).toMatch(/ACS .*: redirects$/m);
    expect(stdout).toMatch(/^ {3}fix +\S/m);
    expect(stdout).toContain("disable_acs_redir=");
    expect(stdout).toMatch(
      /result +.* to bus-addr, [^)]*\(computed by judging the\s+changed machine\)/,
    );
    expect(stdout).toMatch(/^ {3}cost /m);
  });

  it("says which directions the root complex is known to carry, and how fast the way could be", async () => {
    const { stdout } = await peerbuf(["explain", "gpu0", "17:00.0"]);

    expect(stdout).toMatch(/^class {5}PHB /m);
    expect(stdout).toMatch(/^reads {5}carried: /m);
    expect(stdout).toMatch(/^writes {4}carried: /m);
    expect(stdout).toMatch(/^bound {5}0\.25 GB\/s: /m);
  });

  it("blames a redirect only where it matters to this pair", async () => {
    const { stdout } = await peerbuf(["explain", "gpu0", "3e:00.0"]);

    expect(stdout).toMatch(/10:02\.0 .*ACS SV RR CR UF \(no matter here\)$/m);
    expect(stdout).not.toContain(": redirects");
  });

  it("names the fact on which an unknown verdict hangs, with the answers either way", async () => {
    const tar = join(FIXTURES, "server-05", "sysfs.tar.gz");
    const { code, stdout } = await peerbuf(["explain", "gpu0", "3e:00.0", "--capture", tar]);

    expect(code).toBe(1);
    expect(stdout).toContain("verdict   unknown");
    expect(stdout).toMatch(/Open: if .*(host-bridge|unsupported)/);
  });

  it("reads the machine that --capture names", async () => {
    const argv = ["explain", "01:00.0", "02:00.0", "--capture", join(FIXTURES, "tiny-02")];

    const { stdout, stderr } = await peerbuf([...argv, "--json"]);

    expect(stderr).toBe("");
    expect(JSON.parse(stdout).provider.bdf).toBe("0000:01:00.0");
  });

  it("calls drives what the captured system called them", async () => {
    const drive = await peerbuf(["explain", "gpu0", "nvme1", "--json"]);

    expect(JSON.parse(drive.stdout).client.bdf).toBe("0000:3e:00.0");
  });

  it("an unknown function is refused with those near it", async () => {
    const { code, stdout, stderr } = await peerbuf(["explain", "13:00.1", "16:00.0"]);

    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(
      /^peerbuf: 13:00\.1: there is no such PCI function in the embedded capture server-05\. Near: 0000:13:00\.0, /,
    );
  });
});
