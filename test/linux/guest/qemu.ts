/**
 * QEMU: boots a kernel under emulation, shows its console, and waits for how it ended.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Machine } from "./machine.ts";

export interface Boot {
  readonly machine: Machine;
  readonly image: string;
  readonly initramfs: string;
  /** Shared read-only with the guest as `tree`; the machine's root is shared as `host`. */
  readonly tree: string;
  /** More arguments for QEMU, e.g. devices. */
  readonly devices?: readonly string[];
  /** Wall time after which the guest is ended. */
  readonly limitMs: number;
  /** Told every line of the console. */
  readonly onLine: (line: string) => void;
}

const EXIT_LINE = /PEERBUF-GUEST-EXIT (\d+)/;

/** The command's exit status; throws when the guest died or took too long without saying one. */
export async function boot({
  machine,
  image,
  initramfs,
  tree,
  devices = [],
  limitMs,
  onLine,
}: Boot): Promise<number> {
  const { root, nodeHome, nodeModules } = machine;
  const guest = spawn(machine.emulator, [
    ...machine.emulatorArguments,
    ...["-smp", "2", "-m", "3G", "-nographic", "-no-reboot", "-nic", "none"],
    ...["-kernel", image, "-initrd", initramfs],
    ...["-append", `${machine.kernelArguments} quiet panic=-1 mitigations=off`],
    ...share(root, "host"),
    ...share(tree, "tree"),
    ...(nodeModules === undefined ? share(nodeHome, "node") : share(nodeModules, "modules")),
    ...devices,
  ]);
  const timer = setTimeout(() => guest.kill("SIGKILL"), limitMs);
  let status: number | undefined;
  try {
    guest.stderr.on("data", (bytes: Buffer) => onLine(`qemu: ${bytes.toString().trim()}`));
    for await (const line of createInterface({ input: guest.stdout })) {
      onLine(line);
      status ??= statusIn(line);
    }
  } finally {
    clearTimeout(timer);
    guest.kill("SIGKILL");
  }
  if (status === undefined) {
    throw new Error(`the guest ended without a word within ${limitMs} ms: it crashed or hung`);
  }
  return status;
}

const statusIn = (line: string): number | undefined => {
  const found = EXIT_LINE.exec(line)?.[1];
  return found === undefined ? undefined : Number(found);
};

const share = (path: string, tag: string): string[] => [
  "-virtfs",
  `local,path=${path.replaceAll(",", ",,")},mount_tag=${tag},security_model=none,readonly=on,multidevs=remap`,
];
