/**
 * The real ABI on arm64: the tests below `abi/`, and those of large pages below `pages/`, on Debian's kernels for
 * arm64 with a Node for arm64, under emulation.
 *
 * Run by `npm run test:linux -- arm64` only: it takes minutes and fetches some 300 MB the first time.
 */
import { describe, expect, it } from "vitest";
import { armGuestOrReason } from "./guest/arm-files.ts";
import { makeInitramfs } from "./guest/initramfs.ts";
import { boot } from "./guest/qemu.ts";
import { CACHE, GUEST_LIMIT_MS, TREE, vitestIn } from "./guest/run.ts";
import { missingTools } from "./guest/tools.ts";

const isAskedFor = process.env["PEERBUF_ARM64"] === "1";
const tools = isAskedFor
  ? missingTools("qemu-system-aarch64")
  : "it is slow: npm run test:linux -- arm64";

/** Boots and runs the tests of a folder; the exit status. */
async function run(
  folder: string,
  { machine, kernel }: Exclude<ReturnType<typeof armGuestOrReason>, string>,
): Promise<number> {
  const vivid = "vivid n_devs=2 multiplanar=1,2";
  const modules = ["vgem", vivid, "virtio-gpu", "nvme", "dummy", "crc32_generic", "rdma_rxe"];
  const command = vitestIn(folder);
  const place = `${CACHE}/arm64-boot`;
  return boot({
    machine,
    image: kernel.image,
    initramfs: makeInitramfs(place, kernel, { machine, tree: TREE, command, modules }),
    tree: TREE,
    devices: ["-device", "virtio-gpu-pci"],
    limitMs: GUEST_LIMIT_MS,
    onLine: (line) => console.log(line),
  });
}

const KERNELS = [
  ["4k", "test/linux/abi"],
  ["16k", "test/linux/pages"],
] as const;

describe.each(KERNELS)("Debian's arm64 kernel with pages of %s", (pages, folder) => {
  const guest = tools ?? armGuestOrReason(CACHE, pages);
  const missing = typeof guest === "string" ? guest : undefined;
  if (missing !== undefined) {
    console.warn(`the arm64 guest with pages of ${pages} is skipped: ${missing}`);
  }

  it.skipIf(missing !== undefined)(`keeps everything in ${folder}`, async () => {
    expect(typeof guest === "string" ? guest : await run(folder, guest)).toBe(0);
  });
});
