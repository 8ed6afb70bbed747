/**
 * GPU peer: a GPU that works on other devices' buffers with its own copy engine.
 *
 * The importer that moves do not bother: it may be told at any time that a buffer goes elsewhere, and
 * follows. What lies where in its VRAM is the caller's affair, as nothing here is exported.
 *
 * The layout: `imported-buffer` (one buffer, from attach to detach), `copy-engine` (jobs and fences).
 */
import { DEVICE, type DmaBuf, defineImporter, type ImporterDriver } from "@peerbuf/core";
import { CopyEngine } from "./copy-engine.ts";
import { type ImportedBuffer, LiveImportedBuffer } from "./imported-buffer.ts";

export interface GpuPeer {
  readonly vramBytes: number;
  /**
   * Attaches. What attach refuses, it refuses. Copies refuse what map does, `DEVICE_FAILED` when the
   * engine fails and `DEVICE_GONE` when the driver is closed, which lets go of what is imported.
   */
  import(buffer: DmaBuf): ImportedBuffer;
}

export const gpuPeer: ImporterDriver<undefined, GpuPeer> = defineImporter<undefined, GpuPeer>({
  name: "gpu-peer",
  needsDevice: true,

  open(services) {
    const device = services.get(DEVICE);
    const engine = new CopyEngine(services, `gpu-peer ${device.id}`);
    const imports = new Set<LiveImportedBuffer>();

    return {
      api: {
        vramBytes: engine.vramBytes,
        import(buffer) {
          const gone = (): void => void imports.delete(imported);
          const imported = new LiveImportedBuffer(engine, device, buffer, gone);
          imports.add(imported);
          return imported;
        },
      },
      close() {
        engine.close();
        for (const imported of imports) {
          imported.abandon();
        }
      },
    };
  },
});
