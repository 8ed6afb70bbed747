/**
 * QEMU: boots a kernel under emulation, shows its console, and waits for how it ended.
 *
 * No KVM is asked for: the run is the same everywhere, only slow.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { NODE_HOME } from "./run.ts";

export interface Boot {
  readonly image: string;
  readonly initramfs: string;
  /** Shared read-only with the guest as `tree`; the host's root is shared as `host`. */
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
  image,
  initramfs,
  tree,
  devices = [],
  limitMs,
  onLine,
}: Boot): Promise<number> {
  const guest = spawn("qemu-system-x86_64", [
    ...["-accel", "tcg,thread=multi", "-machine", "q35", "-cpu", "max", "-smp", "2", "-m", "3G"],
    ...["-nographic", "-no-reboot", "-nic", "none"],
    ...["-kernel", image, "-initrd", initramfs],
    ...["-append", "console=ttyS0 quiet panic=-1 mitigations=off"],
    ...share("/", "host"),
    ...share(tree, "tree"),
    ...share(NODE_HOME, "node"),
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
