/**
 * vgem fences: fences that a program attaches and signals itself, on the kernel's virtual GEM device.
 *
 * For tests: the only real fences that need no hardware on a stock kernel. One that nobody signals ends by
 * itself after 10 s, without an error (drivers/gpu/drm/vgem/vgem_fence.c, 6.12).
 */
import { ioctl } from "../sys/ioctl.ts";
import { checkHandle, type DrmDevice } from "./drm-device.ts";
import { DRM_IOCTL_VGEM_FENCE_ATTACH, DRM_IOCTL_VGEM_FENCE_SIGNAL } from "./drm-requests.ts";

const WRITE = 1;

/** A pending fence on the buffer of `handle`. `SYSCALL_FAILED`: EBUSY while a conflicting one is pending. */
export function attachVgemFence(device: DrmDevice, handle: number, use: "read" | "write"): number {
  checkHandle(handle);
  const argument = new DataView(new ArrayBuffer(16));
  argument.setUint32(0, handle, true);
  argument.setUint32(4, use === "write" ? WRITE : 0, true);
  const bytes = new Uint8Array(argument.buffer);
  ioctl(device.node, DRM_IOCTL_VGEM_FENCE_ATTACH, bytes, `attach a ${use} fence`);
  return argument.getUint32(8, true);
}

/** `SYSCALL_FAILED`: ENOENT for one that is done with, ETIMEDOUT for one that has expired. */
export function signalVgemFence(device: DrmDevice, fence: number): void {
  checkHandle(fence);
  const argument = new DataView(new ArrayBuffer(8));
  argument.setUint32(0, fence, true);
  const bytes = new Uint8Array(argument.buffer);
  ioctl(device.node, DRM_IOCTL_VGEM_FENCE_SIGNAL, bytes, `signal fence ${fence}`);
}
