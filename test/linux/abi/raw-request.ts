/** Raw requests: what the kernel answers to a request as it is, without our care before it. */
import { DrmDevice, drmNodes } from "@peerbuf/linux";
import { errnoName } from "../../../packages/linux/src/sys/errno.ts";
import { lastErrno, libc, type Memory } from "../../../packages/linux/src/sys/libc.ts";

/** The errno's name of a failed call, else what it answered. */
const answered = (answer: number): string | number =>
  answer < 0 ? errnoName(lastErrno()) : answer;

/** An ioctl by its number in uapi headers, with 32-bit words as its argument. */
export function ask(
  fd: number,
  request: number,
  words: readonly number[] | Memory,
): string | number {
  const argument = Array.isArray(words)
    ? new Uint8Array(Int32Array.from(words, (word) => word | 0).buffer)
    : (words as Memory);
  return answered(libc().ioctl(fd, request, argument));
}

export const seek = (fd: number, offset: number, whence: number): string | number =>
  answered(libc().lseek(fd, offset, whence));

export const control = (fd: number, command: number, argument: number): string | number =>
  answered(libc().fcntl(fd, command, argument));

/** mmap and munmap at once: "mapped", or the errno. */
export function tryMap(
  fd: number,
  { lengthBytes = 4096, protection = 3, flags = 1, offset = 0 } = {},
): string {
  const address = libc().mmap(null, lengthBytes, protection, flags, fd, offset);
  if (address === null || BigInt.asUintN(64, address) === 2n ** 64n - 1n) {
    return errnoName(lastErrno());
  }
  libc().munmap(address, lengthBytes);
  return "mapped";
}

/** The DRM device of a kernel driver; the caller closes it. */
export function drmOf(driver: string): DrmDevice {
  for (const path of drmNodes()) {
    const device = new DrmDevice(path);
    if (device.driverName === driver) {
      return device;
    }
    device.close();
  }
  throw new Error(`no DRM node of ${driver}`);
}
