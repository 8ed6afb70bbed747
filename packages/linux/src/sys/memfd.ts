/**
 * memfd: anonymous memory with a descriptor.
 *
 * Made so that it can become a udmabuf: sealing allowed, and sealed against shrinking before anybody maps
 * it, because touching a mapped page that was cut off ends the process (SIGBUS).
 */
import { PeerbufError } from "@peerbuf/core";
import { Descriptor } from "./descriptor.ts";
import { checked } from "./errno.ts";
import { libc } from "./libc.ts";

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
const F_GET_SEALS = 1034;

/** Bits of F_ADD_SEALS (include/uapi/linux/fcntl.h). */
export const SEAL = { SEAL: 1, SHRINK: 2, GROW: 4, WRITE: 8, FUTURE_WRITE: 16 } as const;

/** memfd_create(2): NAME_MAX without "memfd:". */
const NAME_BYTES_MAX = 249;

/** `sizeBytes` of zeros, sealed against shrinking and growing. `ARGUMENT_INVALID` for what is no name. */
export function createMemfd(name: string, sizeBytes: number): Descriptor {
  checkName(name);
  const memfd = new Descriptor(
    checked(
      () => libc().memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING),
      () => `make memfd "${name}"`,
    ),
    `memfd "${name}"`,
  );
  try {
    checked(
      () => libc().ftruncate(memfd.number, sizeBytes),
      () => `give ${memfd.what} ${sizeBytes} bytes`,
    );
    addSeals(memfd, SEAL.SHRINK | SEAL.GROW);
    return memfd;
  } catch (error) {
    memfd.close();
    throw error;
  }
}

function checkName(name: string): void {
  const isName = typeof name === "string" && !name.includes("\0");
  if (!isName || Buffer.byteLength(name) > NAME_BYTES_MAX) {
    throw new PeerbufError(
      "ARGUMENT_INVALID",
      `"${String(name)}" is no name: text of at most ${NAME_BYTES_MAX} bytes is one`,
    );
  }
}

/** EPERM when the file was sealed for good, EBUSY for WRITE while it is mapped or pinned. */
export function addSeals(memfd: Descriptor, seals: number): void {
  checked(
    () => libc().fcntl(memfd.number, F_ADD_SEALS, seals),
    () => `seal ${memfd.what}`,
  );
}

/** Bits of `SEAL`; undefined for a file that cannot be sealed. */
export function sealsOf(descriptor: Descriptor): number | undefined {
  const seals = libc().fcntl(descriptor.number, F_GET_SEALS, 0);
  return seals < 0 ? undefined : seals;
}
