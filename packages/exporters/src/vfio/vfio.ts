/**
 * VFIO: windows on the memory BARs of a function that was handed to user space (vfio-pci, Linux 6.19).
 *
 * Device memory only, as it lies: two buffers may overlap, and nothing is zeroed. What makes it
 * special is that the memory can go away at any time. Before the function is reset, its memory space
 * disabled or the device closed, every buffer is revoked, and that is over only when nobody holds a
 * mapping any more (7.1). So importers that cannot be stopped are refused.
 *
 * The layout: `bar-window` (which bytes of which BAR), `revocation` (taking away and giving back).
 */
import {
  ACCEPT,
  BARS,
  DEVICE,
  decline,
  defineExporter,
  type ExporterDriver,
  type MappingOffer,
  P2P,
  PHYSICAL,
  type Placement,
  reason,
  type Storage,
} from "@peerbuf/core";
import { barWindow } from "./bar-window.ts";
import { Revocation, type VfioFunction } from "./revocation.ts";

/**
 * Each call resolves when it is done. `WAIT_TIMED_OUT` names who still holds a mapping one second after
 * the revocation: the function was left alone, the buffers stay revoked, and the call may be repeated.
 * `DEVICE_GONE` once closed, `WRONG_ORDER` while another call runs.
 */
export interface Vfio {
  /** Revokes every buffer, resets the function, and lets everybody attach and map again. */
  reset(): Promise<void>;
  /** Revokes every buffer, then disables the memory space. Until it is enabled nothing can be allocated, attached or mapped. */
  disableMemory(): Promise<void>;
  enableMemory(): void;
  /** User space is gone: revokes every buffer for good. Buffers can only be closed after that. */
  closeDevice(): Promise<void>;
}

/** No pages behind it, so nobody can be served from anywhere else. */
const TYPES: readonly MappingOffer[] = [
  { type: PHYSICAL, require: true },
  { type: P2P, require: true },
];

/** Options of `allocate`: `bar`, index of a memory BAR (default: the largest); `offset`, bytes into it (whole pages, default 0). */
export const vfio: ExporterDriver<VfioFunction, Vfio> = defineExporter<VfioFunction, Vfio>({
  name: "vfio",
  needsDevice: true,

  open(services, handed) {
    const device = services.get(DEVICE);
    const { memory } = services.get(BARS);
    const revocation = new Revocation(device.id, handed);

    return {
      api: {
        reset: () => revocation.reset(),
        disableMemory: () => revocation.disableMemory(),
        enableMemory: () => revocation.enableMemory(),
        closeDevice: () => revocation.closeDevice(),
      },
      allocate(sizeBytes, wishes, control) {
        const ranges = barWindow(memory, sizeBytes, wishes);
        const forget = revocation.add(control);
        return storageOf({ target: "device", ranges, provider: device }, forget);
      },
    };
  },
});

/** Has no `pin`: the memory never moves, so whoever asks for that has it already. */
function storageOf(placement: Placement, release: () => void): Storage {
  return {
    types: TYPES,
    reason: DEVICE_MEMORY_ONLY,
    attach: ({ lifetime, importer }) =>
      lifetime === "pinned"
        ? decline(
            "NOT_REVOCABLE",
            `the memory may be taken away at any time, and ${importer} cannot be told to let go of it`,
          )
        : ACCEPT,
    place: () => placement,
    release,
  };
}

const DEVICE_MEMORY_ONLY = reason(
  "DEVICE_MEMORY_ONLY",
  "the function's memory is all there is: no pages behind it, and nothing that could copy it elsewhere",
);
