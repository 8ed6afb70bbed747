/**
 * Machine: which processor a guest has, how QEMU is asked for it, and whose files it sees.
 *
 * An x86-64 guest takes the host's own files, read-only. One of another processor has a root of its own.
 */
import { dirname } from "node:path";
import { pathOf } from "./tools.ts";

export interface Machine {
  readonly emulator: string;
  readonly emulatorArguments: readonly string[];
  /** Told to the kernel: above all, the first serial port by its name. */
  readonly kernelArguments: string;
  /** Statically linked, for the guest's processor. */
  readonly busybox: string;
  /** The folder that the guest sees as its root. */
  readonly root: string;
  /** The folder with the guest's Node, as `bin/node`: a path in the guest. */
  readonly nodeHome: string;
  /** Packages for the guest's processor, where those of the repository are for another one. */
  readonly nodeModules?: string;
}

/** As this machine is. No KVM is asked for: the run is the same everywhere, only slow. */
export const x86Machine = (): Machine => ({
  emulator: "qemu-system-x86_64",
  emulatorArguments: ["-accel", "tcg,thread=multi", "-machine", "q35", "-cpu", "max"],
  // On a busy host the kernel's look at the timer fails now and then, and it hangs at boot.
  kernelArguments: "console=ttyS0 no_timer_check",
  busybox: pathOf("busybox") ?? "busybox",
  root: "/",
  nodeHome: dirname(dirname(process.execPath)),
});

/** Pointer authentication as ARM defines it would take half of the time under emulation. */
export const armMachine = (root: string, nodeModules: string): Machine => ({
  emulator: "qemu-system-aarch64",
  emulatorArguments: [
    ...["-accel", "tcg,thread=multi", "-machine", "virt"],
    ...["-cpu", "max,pauth-impdef=on,sve=off,sme=off"],
  ],
  kernelArguments: "console=ttyAMA0",
  busybox: `${root}/bin/busybox`,
  root,
  nodeHome: "/usr/local",
  nodeModules,
});
