/** Work of Node's thread pool that outlives the bytes it was given: no program ends by it. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { sharedMemory } from "@peerbuf/linux";
import { describe, expect, it } from "vitest";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const MIB = 2 ** 20;

/** Runs a program of its own, with limits if need be; what it printed, or how it died. */
function outcomeOf(code: string, limits = "true"): string {
  const program = `import { randomFill } from "node:crypto";
    import { sharedMemory } from "@peerbuf/linux"; ${code}`;
  const command = `${limits}; exec "$0" --no-warnings --input-type=module --eval "$1"`;
  const { stdout, stderr, signal, status } = spawnSync(
    "sh",
    ["-c", command, process.execPath, program],
    { cwd: HERE, encoding: "utf8" },
  );
  return signal === null && status === 0 ? `${stdout}${stderr}` : `${signal ?? status} ${stderr}`;
}

/** Lines of /proc/self/maps: the kernel keeps neighbours that are alike as one. */
const mappingCount = (): number => readFileSync("/proc/self/maps", "utf8").split("\n").length;

const virtualBytes = (): number =>
  Number(/^VmSize:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) * 1024;

describe.skipIf(process.platform !== "linux")("work of the thread pool", () => {
  it("that is underway when its buffer is closed, or unmapped for others, writes to nobody", () => {
    const closed = `const buffer = sharedMemory(${64 * MIB});
      const work = Array.from({ length: 8 }, () =>
        buffer.withBytesSync("write", (bytes) => ({ done: new Promise((end) => randomFill(bytes, end)) })));
      buffer.close();
      await Promise.all(work.map(({ done }) => done));
      console.log("well");`;
    expect(outcomeOf(closed)).toBe("well\n");
    const evicted = `const make = () => sharedMemory(${256 * MIB});
      const [first, ...others] = Array.from({ length: 8 }, make);
      const work = first.withBytesSync("write", (bytes) => ({ done: new Promise((end) => randomFill(bytes, end)) }));
      for (const each of others) each.withBytesSync("read", (bytes) => bytes[0]);
      await work.done;
      for (const each of [first, ...others]) each.close();
      console.log("well");`;
    expect(outcomeOf(evicted)).toBe("well\n");
  });
});

describe.skipIf(process.platform !== "linux")("addresses of closed buffers", () => {
  const useAndClose = (sizeBytes: number): void => {
    using buffer = sharedMemory(sizeBytes, "buried");
    buffer.withBytesSync("write", (bytes) => {
      bytes[0] = 1;
    });
  };

  it("are kept for a while, within limits", () => {
    const [mappings, bytes] = [mappingCount(), virtualBytes()];
    // Between others: neighbours that are blank would count as one.
    const others = Array.from({ length: 2000 }, () => {
      const other = sharedMemory(4096, "kept apart");
      other.withBytesSync("read", (first) => first[0]);
      useAndClose(4096);
      return other;
    });
    expect(mappingCount() - mappings).toBeLessThan(others.length + 1100);
    for (const other of others) {
      other.close();
    }
    for (let count = 0; count < 8; count++) {
      useAndClose(1024 * MIB);
    }
    expect(virtualBytes() - bytes).toBeLessThan(6 * 1024 * MIB);
  });

  it("are given back at once where there is no room for others", () => {
    const code = `for (let count = 0; count < 8; count++) {
        const buffer = sharedMemory(${1024 * MIB});
        buffer.withBytesSync("write", (bytes) => { bytes[0] = 1; });
        buffer.close();
      }
      console.log("well");`;
    expect(outcomeOf(code, "ulimit -v 4000000")).toBe("well\n");
  });
});
