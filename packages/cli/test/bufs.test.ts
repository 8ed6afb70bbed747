/** `peerbuf bufs`, on folders that hold the /proc and /sys of a machine, and on this machine. */
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bufsShape, main } from "peerbuf";
import { describe, expect, it, onTestFinished } from "vitest";
import { emptyFolder, peerbuf } from "./console.ts";

/** Printed by Linux 6.12.117 of one process with five buffers, one of them with a hostile name. */
const TEXTS = fileURLToPath(new URL("../../linux/test/fixtures/dma-buf-6.12", import.meta.url));

function machine({ hasDebugfs = true, hasBuffers = true } = {}): string {
  const root = emptyFolder();
  const process = join(root, "proc/180");
  mkdirSync(join(process, "fd"), { recursive: true });
  mkdirSync(join(process, "fdinfo"));
  symlinkSync("180", join(root, "proc/self"));
  writeFileSync(join(process, "comm"), "node\n");
  if (hasBuffers) {
    cpSync(join(TEXTS, "maps"), join(process, "maps"));
    for (const name of readdirSync(TEXTS).filter((each) => each.startsWith("fdinfo-"))) {
      const number = name.slice("fdinfo-".length);
      cpSync(join(TEXTS, name), join(process, "fdinfo", number));
      symlinkSync("/dmabuf:", join(process, "fd", number));
    }
  }
  if (hasDebugfs) {
    mkdirSync(join(root, "sys/kernel/debug/dma_buf"), { recursive: true });
    const text = join(root, "sys/kernel/debug/dma_buf/bufinfo");
    if (hasBuffers) {
      cpSync(join(TEXTS, "bufinfo"), text);
    } else {
      writeFileSync(text, "\nDma-buf Objects:\n\nTotal 0 objects, 0 bytes\n");
    }
  }
  return root;
}

describe("bufs", () => {
  it("shows who holds which buffer, devices, pending fences and totals, exit code 0", async () => {
    const { code, stdout, stderr } = await peerbuf(["bufs", "--root", machine()]);

    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^5 dma-bufs, 1\.1 MiB, held by 1 process, 3 with pending fences\n/);
    expect(stdout).toMatch(
      /1 MiB +system +weights +1 +vgem +read vgem +node\[180\] fd 19, mapped; 3 in the kernel or unseen\n/,
    );
    expect(stdout).toMatch(/process +node\[180\] +5 buffers +1\.1 MiB\n/);
    expect(stdout).not.toContain("Not seen");
  });

  it("shows hostile names so that a terminal obeys nothing in them", async () => {
    const { stdout } = await peerbuf(["bufs", "--root", machine()]);

    expect(stdout).toContain("new\\nline (deleted)");
    expect(stdout).toContain("a b\\tc");
  });

  it("without debugfs says what it could not see and how to see it", async () => {
    const { code, stdout } = await peerbuf(["bufs", "--root", machine({ hasDebugfs: false })]);

    expect(code).toBe(0);
    expect(stdout).toMatch(/64 KiB +udmabuf +a b\\tc +3 +\? +\? +node\[180\] fd 22\n/);
    expect(stdout).toMatch(/Not seen: attached devices.*To see it: mount -t debugfs/s);
  });

  it("says so where there are none, exit code 0", async () => {
    const { code, stdout } = await peerbuf(["bufs", "--root", machine({ hasBuffers: false })]);

    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: "There are no dma-bufs on this machine.\n",
    });
  });

  it("prints JSON of the documented shape, with null for what could not be seen", async () => {
    for (const hasDebugfs of [true, false]) {
      const ran = await peerbuf(["bufs", "--json", "--root", machine({ hasDebugfs })]);
      const answer = JSON.parse(ran.stdout);

      expect(bufsShape.safeParse(answer).error).toBeUndefined();
      expect(answer.buffers.length).toBe(5);
      expect(answer.buffers[0].devices).toEqual(hasDebugfs ? ["vgem"] : null);
    }
  });

  it.skipIf(process.platform !== "linux")(
    "works on this machine (skipped where it is not Linux)",
    async () => {
      const { code, stdout } = await peerbuf(["bufs", "--json"]);

      expect(code).toBe(0);
      expect(bufsShape.safeParse(JSON.parse(stdout)).error).toBeUndefined();
    },
  );

  it("away from Linux is wrong usage, in one sentence", async () => {
    const platform = Object.getOwnPropertyDescriptor(process, "platform") as PropertyDescriptor;
    onTestFinished(() => {
      Object.defineProperty(process, "platform", platform);
    });
    Object.defineProperty(process, "platform", { ...platform, value: "darwin" });

    const { code, stdout, stderr } = await peerbuf(["bufs"]);

    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toBe(
      "peerbuf: this machine: dma-bufs are a thing of Linux, and this is darwin. Run it on a Linux machine.\n",
    );
  });

  it.each([
    [["--root", "/nowhere"], "/nowhere: there is no proc folder with processes in it"],
    [["--watch", "soon"], '"soon" is no number of seconds'],
    [["--watch", "0"], '"0" is no number of seconds'],
  ])("%j is wrong usage", async (options, message) => {
    const { code, stdout, stderr } = await peerbuf(["bufs", ...options]);

    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(message);
  });
});

const BUILT = fileURLToPath(new URL("../dist/index.js", import.meta.url));

describe.skipIf(process.platform !== "linux" || !existsSync(BUILT))(
  "native code (skipped where it is not Linux, or before npm run build)",
  () => {
    it("is loaded by bufs, and by no command that does not need it", () => {
      const program = `
        import { readFileSync } from "node:fs";
        import { main } from ${JSON.stringify(BUILT)};
        const output = { isTerminal: false, columns: 100, write: async () => undefined };
        const io = { stdout: output, stderr: output, cwd: process.cwd(), env: {} };
        const isLoaded = () => /koffi.*\\.node$/m.test(readFileSync("/proc/self/maps", "utf8"));
        const seen = [];
        for (const argv of [["--help"], ["matrix"], ["run", "--print-scenario"], ["bufs"]]) {
          await main(argv, io);
          seen.push(isLoaded());
        }
        console.log(JSON.stringify(seen));`;
      const argv = ["--input-type=module", "--eval", program];
      const seen = execFileSync(process.execPath, argv, { encoding: "utf8" });

      expect(JSON.parse(seen)).toEqual([false, false, false, true]);
    });
  },
);

describe("bufs --watch", () => {
  /** Runs until it has written so many times, then presses ctrl-C. */
  async function watched(
    argv: readonly string[],
    options: {
      readonly isTerminal: boolean;
      readonly writesMax: number;
      readonly rows?: number;
      readonly onFirst?: () => void;
    },
  ): Promise<{ readonly code: number; readonly writes: readonly string[] }> {
    const controller = new AbortController();
    const writes: string[] = [];
    const write = async (text: string | Uint8Array): Promise<void> => {
      writes.push(String(text));
      if (writes.length === 1) {
        options.onFirst?.();
      }
      if (writes.length === options.writesMax) {
        controller.abort();
      }
    };
    const { isTerminal, rows } = options;
    const stdout = { isTerminal, columns: 200, rows, write };
    const code = await main(["bufs", "--watch", "0.1", ...argv], {
      stdout,
      stderr: stdout,
      cwd: process.cwd(),
      env: { NO_COLOR: "1" },
      interrupted: () => controller.signal,
    });
    return { code, writes };
  }

  it("draws over what it drew and leaves the terminal as it was; ctrl-C ends with 0", async () => {
    const { code, writes } = await watched(["--root", machine()], {
      isTerminal: true,
      writesMax: 3,
      rows: 6,
    });

    expect(code).toBe(0);
    expect([writes[0], writes.at(-1)]).toEqual([
      "\u001b[?1049h\u001b[?7l",
      "\u001b[?7h\u001b[?1049l",
    ]);
    expect(writes[1]?.startsWith("\u001b[H5 dma-bufs")).toBe(true);
    expect(writes[1]?.split("\n").length).toBe(5);
    expect(writes[1]).toContain("9 more lines; every 0.1 s, ctrl-C ends");
  });

  it("with --json prints a line of the same shape each time", async () => {
    const { code, writes } = await watched(["--json", "--root", machine()], {
      isTerminal: false,
      writesMax: 3,
    });

    expect(code).toBe(0);
    expect(writes.length).toBe(3);
    for (const line of writes) {
      expect(line.indexOf("\n")).toBe(line.length - 1);
      expect(bufsShape.safeParse(JSON.parse(line)).error).toBeUndefined();
    }
  });

  it("says what came and went since the first look", async () => {
    const root = machine({ hasDebugfs: false });
    const { writes } = await watched(["--root", root], {
      isTerminal: false,
      writesMax: 2,
      onFirst: () => hold(root, 181),
    });

    expect(writes[0]).not.toContain("first look");
    expect(writes[1]).toContain("(+1 and +8 KiB since the first look)");
  });
});

/** Another process appears with a buffer of 8 KiB. */
function hold(root: string, pid: number): void {
  const folder = join(root, "proc", String(pid));
  mkdirSync(join(folder, "fdinfo"), { recursive: true });
  mkdirSync(join(folder, "fd"));
  symlinkSync("/dmabuf:", join(folder, "fd/3"));
  const info =
    "pos:\t0\nflags:\t02\nmnt_id:\t1\nino:\t9\nsize:\t8192\ncount:\t1\nexp_name:\tsystem\n";
  writeFileSync(join(folder, "fdinfo/3"), info);
}
