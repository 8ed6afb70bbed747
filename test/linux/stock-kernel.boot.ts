/**
 * The real ABI on Debian's stock kernel: every test below `abi/`, run in a guest.
 *
 * Needs qemu and a kernel package; without them it is skipped, with the command that installs what is missing.
 */
import { expect, it } from "vitest";
import { debianKernelOrReason } from "./guest/debian-kernel.ts";
import { makeInitramfs } from "./guest/initramfs.ts";
import { x86Machine } from "./guest/machine.ts";
import { boot } from "./guest/qemu.ts";
import { CACHE, GUEST_LIMIT_MS, TREE, vitestIn } from "./guest/run.ts";
import { missingTools } from "./guest/tools.ts";

const machine = x86Machine();
const tools = missingTools(machine.emulator);
const kernel = tools ?? debianKernelOrReason(CACHE);
const missing = typeof kernel === "string" ? kernel : undefined;
if (missing !== undefined) {
  console.warn(`the stock-kernel guest is skipped: ${missing}`);
}

it.skipIf(missing !== undefined)("everything in abi/ holds on Debian's stock kernel", async () => {
  if (typeof kernel === "string") {
    return;
  }
  // Two cameras: one with all of a picture in one plane, one that may spread it over several.
  const vivid = "vivid n_devs=2 multiplanar=1,2";
  const modules = ["vgem", vivid, "virtio-gpu", "nvme", "dummy", "crc32_generic", "rdma_rxe"];
  const initramfs = makeInitramfs(CACHE, kernel, {
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
