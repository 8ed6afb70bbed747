/**
 * The real ABI on arm64: the tests below `abi/` that need no x86, on Debian's kernel for arm64 with a Node for
 * arm64, under emulation.
 *
 * Run by `npm run test:linux -- arm64` only: it takes minutes and fetches 150 MB the first time.
 */
import { expect, it } from "vitest";
import { armGuestOrReason } from "./guest/arm-files.ts";
import { makeInitramfs } from "./guest/initramfs.ts";
import { boot } from "./guest/qemu.ts";
import { CACHE, GUEST_LIMIT_MS, TREE, vitestIn } from "./guest/run.ts";
import { missingTools } from "./guest/tools.ts";

const isAskedFor = process.env["PEERBUF_ARM64"] === "1";
const tools = isAskedFor
  ? missingTools("qemu-system-aarch64")
  : "it is slow: npm run test:linux -- arm64";
const guest = tools ?? armGuestOrReason(CACHE);
const missing = typeof guest === "string" ? guest : undefined;
if (missing !== undefined) {
  console.warn(`the arm64 guest is skipped: ${missing}`);
}

it.skipIf(missing !== undefined)("everything in abi/ holds on Debian's arm64 kernel", async () => {
  if (typeof guest === "string") {
    return;
  }
  const { machine, kernel } = guest;
  const vivid = "vivid n_devs=2 multiplanar=1,2";
  const modules = ["vgem", vivid, "virtio-gpu", "nvme", "dummy", "crc32_generic", "rdma_rxe"];
  const initramfs = makeInitramfs(`${CACHE}/arm64-boot`, kernel, {
    machine,
    tree: TREE,
    command: vitestIn("test/linux/abi"),
    modules,
  });
  const status = await boot({
    machine,
    image: kernel.image,
    initramfs,
    tree: TREE,
    devices: ["-device", "virtio-gpu-pci"],
    limitMs: GUEST_LIMIT_MS,
    onLine: (line) => console.log(line),
  });

  expect(status).toBe(0);
});
