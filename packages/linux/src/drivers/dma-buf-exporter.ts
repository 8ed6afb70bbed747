/**
 * dma-buf exporter: brings buffers of the kernel, whoever made them, into peerbuf's negotiation.
 *
 * A buffer comes by its descriptor (`allocate(size, { fd })`), which stays the caller's: the driver keeps a
 * duplicate. The kernel's exporter decides where the bytes are; for us they are system memory.
 */
import {
  type AllocateOptions,
  DMA,
  defineExporter,
  type ExporterDriver,
  FENCES,
  PeerbufError,
} from "@peerbuf/core";
import { fromFd } from "../buffers/from-fd.ts";
import type { LinuxBuffer } from "../buffers/linux-buffer.ts";
import { startCpuCopy } from "../platform/cpu-copy.ts";
import { KERNEL_BUFFERS } from "../platform/kernel-buffers.ts";

export const dmaBufExporter: ExporterDriver = defineExporter({
  name: "dma-buf",
  needsDevice: false,

  open(services) {
    const buffers = services.get(KERNEL_BUFFERS);
    const fences = services.get(FENCES);

    return {
      api: {},
      allocate(sizeBytes, wishes) {
        const buffer = bufferOf(wishes, sizeBytes);
        const ranges = buffers.adopt(buffer);
        return {
          types: [{ type: DMA }],
          place: () => ({ target: "system", ranges }),
          read: async (offset, target) =>
            buffer.withBytesSync("read", (bytes) =>
              target.set(bytes.subarray(offset, offset + target.length)),
            ),
          write: async (offset, source) =>
            buffer.withBytesSync("write", (bytes) => bytes.set(source, offset)),
          copy(target, way) {
            const { buffer: other } = buffers.find(target.start(0), sizeBytes);
            return way === "out"
              ? startCpuCopy(fences, buffer, other)
              : startCpuCopy(fences, other, buffer);
          },
          release() {
            buffers.forget(buffer);
            buffer.close();
          },
        };
      },
    };
  },
});

function bufferOf({ fd, ...others }: AllocateOptions, sizeBytes: number): LinuxBuffer {
  const unknown = Object.keys(others)[0];
  if (unknown !== undefined || typeof fd !== "number") {
    const what = unknown === undefined ? "needs the option fd" : `knows no option "${unknown}"`;
    throw new PeerbufError("ARGUMENT_INVALID", `dma-buf ${what}: { fd: number }`);
  }
  const buffer = fromFd(fd);
  if (buffer.sizeBytes !== sizeBytes) {
    const message = `descriptor ${fd} is a buffer of ${buffer.sizeBytes} bytes, not ${sizeBytes}`;
    buffer.close();
    throw new PeerbufError("SIZE_INVALID", message);
  }
  return buffer;
}
