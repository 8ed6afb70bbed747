/**
 * DRM importer: a GPU that takes dma-bufs through its DRM node (PRIME).
 *
 * One buffer has one handle on a node, so a second mapping of it takes the same and the last one to go
 * closes it. Closing the node, or losing it, gives back all of them.
 */
import { type Device, UNLIMITED } from "@peerbuf/core";
import type { LinuxBuffer } from "../buffers/linux-buffer.ts";
import { DrmDevice } from "../drm/drm-device.ts";
import type { KernelAttachment, KernelImporter } from "./kernel-importer.ts";

export class DrmImporter implements KernelImporter {
  readonly device: Device;
  readonly drm: DrmDevice;
  readonly #useCount = new Map<number, number>();

  /** As `DrmDevice`: `PLATFORM_MISSING`, `SYSCALL_FAILED`. */
  constructor(path: string) {
    this.drm = new DrmDevice(path);
    const label = `${this.drm.driverName} (${path})`;
    this.device = { id: path, label, bus: "drm", limits: UNLIMITED };
  }

  attach(buffer: LinuxBuffer): KernelAttachment {
    const handle = this.drm.importBuffer(buffer);
    this.#useCount.set(handle, (this.#useCount.get(handle) ?? 0) + 1);
    let isAttached = true;
    return {
      handle,
      detach: () => {
        if (isAttached) {
          isAttached = false;
          this.#detach(handle);
        }
      },
    };
  }

  [Symbol.dispose](): void {
    this.drm[Symbol.dispose]();
  }

  #detach(handle: number): void {
    const left = (this.#useCount.get(handle) ?? 1) - 1;
    if (left > 0) {
      this.#useCount.set(handle, left);
      return;
    }
    this.#useCount.delete(handle);
    if (this.drm.isOpen) {
      this.drm.closeHandle(handle);
    }
  }
}
