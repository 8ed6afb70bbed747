/**
 * Peer-to-peer on a kernel that has it: three NVMe drives, one with controller memory.
 *
 * Debian's kernel is built without CONFIG_PCI_P2PDMA, so this needs an image of one's own: see
 * docs/linux.md. It is looked for at `PEERBUF_P2PDMA_KERNEL` and beside the repository; without it this is
 * skipped, visibly.
 */
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { makeInitramfs } from "./guest/initramfs.ts";
import { x86Machine } from "./guest/machine.ts";
import { boot } from "./guest/qemu.ts";
import { CACHE, GUEST_LIMIT_MS, TREE, vitestIn } from "./guest/run.ts";
import { missingTools } from "./guest/tools.ts";

const BESIDE = join(TREE, "../shared/kernel");

function kernelImage(): string | undefined {
  const named = process.env["PEERBUF_P2PDMA_KERNEL"];
  if (named !== undefined) {
    return named;
  }
  const found = existsSync(BESIDE)
    ? readdirSync(BESIDE).find((name) => name.startsWith("bzImage-"))
    : undefined;
  return found === undefined ? undefined : join(BESIDE, found);
}

const machine = x86Machine();
const image = kernelImage();
const missing =
  missingTools(machine.emulator) ??
  (image === undefined ? "no P2PDMA kernel: see docs/linux.md" : undefined);
if (missing !== undefined) {
  console.warn(`the P2PDMA guest is skipped: ${missing}`);
}

const DRIVE_BYTES = 64 * 2 ** 20;

/** An NVMe drive on a bus, over an empty file of its own. */
function nvme(folder: string, number: number, bus: string, more = ""): string[] {
  const file = join(folder, `drive${number}.img`);
  closeSync(openSync(file, "w"));
  truncateSync(file, DRIVE_BYTES);
  return [
    ...["-drive", `file=${file},if=none,id=d${number},format=raw`],
    ...["-device", `nvme,serial=s${number},drive=d${number},bus=${bus}${more}`],
  ];
}

/** Two below one switch, the first with 16 MiB of controller memory; a third on a root port of its own. */
const drives = (folder: string): string[] => [
  ...["-device", "pcie-root-port,id=rp1,slot=1,chassis=1"],
  ...["-device", "x3130-upstream,id=up,bus=rp1"],
  ...["-device", "xio3130-downstream,id=dn1,bus=up,slot=2,chassis=2"],
  ...["-device", "xio3130-downstream,id=dn2,bus=up,slot=3,chassis=3"],
  ...["-device", "pcie-root-port,id=rp2,slot=4,chassis=4"],
  ...nvme(folder, 0, "dn1", ",cmb_size_mb=16"),
  ...nvme(folder, 1, "dn2"),
  ...nvme(folder, 2, "rp2"),
];

it.skipIf(missing !== undefined)(
  "everything in p2pdma/ holds on a kernel with PCI_P2PDMA",
  async () => {
    const folder = join(CACHE, "p2pdma");
    const modules = join(folder, "no-modules");
    mkdirSync(modules, { recursive: true });
    const kernel = { release: "p2pdma", image: image ?? "", modules };
    const command = vitestIn("test/linux/p2pdma");
    const initramfs = makeInitramfs(folder, kernel, { machine, tree: TREE, command, modules: [] });

    const status = await boot({
      machine,
      image: kernel.image,
      initramfs,
      tree: TREE,
      devices: drives(folder),
      limitMs: GUEST_LIMIT_MS,
      onLine: (line) => console.log(line),
    });

    expect(status).toBe(0);
  },
);
