/** `peerbuf run --live` with a drive: peer to peer where the kernel allows it, and the drive is left as it was. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { BlockDevice, sharedMemory } from "@peerbuf/linux";
import { describe, expect, it } from "vitest";

const COMMAND = fileURLToPath(new URL("../../../packages/cli/bin/peerbuf.js", import.meta.url));
const isBuilt = existsSync(fileURLToPath(new URL("../../../packages/cli/dist", import.meta.url)));
const BYTES = 4 * 2 ** 20;
/** The whole command starts once a test, in emulation. */
const LIMIT_MS = 300_000;

interface Answer {
  readonly transfers: readonly {
    readonly state: string;
    readonly target: string;
    readonly sha256: { readonly source: string; readonly destination: string };
    readonly decisions: readonly { readonly reason: string }[];
  }[];
}

function runLive(...more: readonly string[]): Answer {
  const argv = [COMMAND, "run", "--live", "--json", ...more];
  return JSON.parse(execFileSync(process.execPath, argv, { encoding: "utf8" }));
}

/** Puts bytes on the drive that are its own, and says their hash. */
async function fill(path: string): Promise<string> {
  const drive = await BlockDevice.open(path);
  using memory = sharedMemory(BYTES);
  memory.withBytesSync("write", (bytes) =>
    bytes.forEach((_, at) => {
      bytes[at] = at * 7 + (at >> 12);
    }),
  );
  await drive.write(memory, { position: 0 });
  await drive.close();
  return memory.withBytesSync("read", hash);
}

async function contents(path: string): Promise<string> {
  const drive = await BlockDevice.open(path);
  using memory = sharedMemory(BYTES);
  await drive.read(memory, { position: 0 });
  await drive.close();
  return memory.withBytesSync("read", hash);
}

const hash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** The serial number says which drive it is: names come in any order. */
function driveBySerial(serial: string): string {
  const name = ["nvme0", "nvme1", "nvme2"].find(
    (each) => readFileSync(`/sys/class/nvme/${each}/serial`, "utf8").trim() === serial,
  );
  return `/dev/${name}n1`;
}

describe.skipIf(!isBuilt)("run --live --drive (skipped before npm run build)", () => {
  it.each([
    ["below the provider's switch goes peer to peer", "s1", "device", false],
    ["on another root port falls back to system memory, on the record", "s2", "system", true],
  ] as const)(
    "%s",
    async (_, serial, target, isRefused) => {
      const path = driveBySerial(serial);
      const before = await fill(path);

      const transfer = runLive("--drive", path, "--may-overwrite").transfers.at(-1);

      expect(transfer).toMatchObject({ state: "arrived", target });
      expect(transfer?.sha256.destination).toBe(transfer?.sha256.source);
      const codes = transfer?.decisions.map(({ reason }) => reason);
      expect(codes?.includes("KERNEL_EREMOTEIO")).toBe(isRefused);
      expect(await contents(path)).toBe(before);
    },
    LIMIT_MS,
  );
});
