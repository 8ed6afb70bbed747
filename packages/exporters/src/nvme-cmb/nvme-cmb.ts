/**
 * NVMe CMB: buffers in a drive's controller memory buffer, which peers reach through its BAR.
 *
 * The drive has no engine that copies between this memory and the host's, so a buffer stays where it
 * is: peers come to it or go without. (In Linux one driver owns queues and memory buffer; here the
 * importer `nvme` may be open on the same drive, as the two share no register.)
 *
 * The layout: `registers` (where the buffer lies), `cmb-window` (the CPU's way to it).
 */
import {
  BARS,
  type Bar,
  DEVICE,
  defineExporter,
  type ExporterDriver,
  type MappingOffer,
  P2P,
  PeerbufError,
  type Placement,
  reason,
  type Services,
  type Storage,
} from "@peerbuf/core";
import { slice } from "../gpu/commands.ts";
import { VramAllocator, type VramRange } from "../gpu/vram-allocator.ts";
import { refuseUnknown } from "../wishes.ts";
import { CmbWindow } from "./cmb-window.ts";
import { findCmb, hideCmb, requireAnswer } from "./registers.ts";

export interface NvmeCmb {
  /** What the drive has, in bytes: CMBSZ.SZ times the unit of SZU, or less where the BAR ends first. */
  readonly sizeBytes: number;
  freeBytes(): number;
}

const TYPES: readonly MappingOffer[] = [{ type: P2P, require: true }];

export const nvmeCmb: ExporterDriver<undefined, NvmeCmb> = defineExporter<undefined, NvmeCmb>({
  name: "nvme-cmb",
  needsDevice: true,

  open(services) {
    const provider = services.get(DEVICE);
    const { registers, window } = openWindow(services, `nvme ${provider.id}`);
    const pages = new VramAllocator(window.sizeBytes, window.sizeBytes);

    return {
      api: { sizeBytes: window.sizeBytes, freeBytes: () => pages.freeBytes("any") },
      allocate(sizeBytes, wishes) {
        refuseUnknown(wishes, [], "nvme-cmb");
        const taken = pages.allocate(sizeBytes, "any");
        window.clear(taken);
        const ranges = window.physical(taken);
        return storageOf({ target: "device", ranges, provider }, window, taken, () =>
          pages.free(taken),
        );
      },
      close: () => hideCmb(registers),
    };
  },
});

function storageOf(
  placement: Placement,
  window: CmbWindow,
  taken: readonly VramRange[],
  release: () => void,
): Storage {
  return {
    types: TYPES,
    reason: DEVICE_MEMORY_ONLY,
    place: () => placement,
    read: async (offset, target) => window.read(slice(taken, offset, target.length), target),
    write: async (offset, source) => window.write(slice(taken, offset, source.length), source),
    release,
  };
}

function openWindow(services: Services, label: string): { registers: Bar; window: CmbWindow } {
  const { memory } = services.get(BARS);
  const registers = memory.find(({ index }) => index === 0);
  if (registers === undefined) {
    throw new PeerbufError("DEVICE_FAILED", `${label} has no memory BAR0 with NVMe registers`);
  }
  const { barIndex, offset, sizeBytes } = findCmb(registers, label);
  const bar = memory.find(({ index }) => index === barIndex);
  if (bar === undefined || offset >= bar.sizeBytes) {
    const where = `byte ${offset} of BAR${barIndex}`;
    throw new PeerbufError(
      "DEVICE_FAILED",
      `${label}: its memory buffer is at ${where}: not there`,
    );
  }
  const answers = (): void => requireAnswer(registers, label);
  return { registers, window: new CmbWindow(bar, offset, sizeBytes, answers) };
}

const DEVICE_MEMORY_ONLY = reason(
  "DEVICE_MEMORY_ONLY",
  "the drive has no engine that copies its memory buffer elsewhere",
);
