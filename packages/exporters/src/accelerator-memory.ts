/**
 * Accelerator memory: buffers in an accelerator, for others on its private link and for peers on PCIe.
 *
 * Whoever holds the same link's mapping type value is given addresses on the link, which mean nothing
 * anywhere else; others come through the BAR, as far as it shows the memory. The driver leaves the
 * engine to the importer `accelerator`, so a buffer stays where it is. New memory behind the BAR reads as zeros;
 * what only the link reaches holds what was there before: without an engine the driver cannot clear it.
 */
import {
  ACCEPT,
  BARS,
  type Bar,
  DEVICE,
  type Device,
  defineExporter,
  type ExporterDriver,
  type MappingOffer,
  type MappingType,
  narrow,
  P2P,
  PAGE_BYTES,
  PeerbufError,
  PhysicalRanges,
  type Placement,
  reason,
  type Services,
  type Storage,
} from "@peerbuf/core";
import { hiddenPart } from "./gpu/sharing.ts";
import { VramAllocator, type VramPart, type VramRange } from "./gpu/vram-allocator.ts";
import { oneOf, refuseUnknown } from "./wishes.ts";

export interface AcceleratorMemoryOptions {
  /** The type of the link it is on, made with `interconnect`: the very value that importers have. */
  readonly link?: MappingType;
}

export interface AcceleratorMemory {
  readonly memoryBytes: number;
  /** The part, from its start, that the BAR shows. */
  readonly visibleBytes: number;
  freeBytes(part: VramPart): number;
}

/** Registers of the modelled accelerator (not a real one). */
const REGISTER = { ID: 0x00, LOCAL_PAGES: 0x08, LINK_PORT: 0x0c } as const;
const ID = 0x4b4c_5542;
const REGISTER_BYTES = 256;
const NO_LINK = 0xffff_ffff;
/** Byte `offset` of the device on port `n` is at `n` times this plus `offset` on the link. */
const LINK_PORT_BYTES: number = 2 ** 40;

/** Options of `allocate`: `place`, `visible` (behind the BAR, default), `hidden` (reached over the link only) or `any`. */
export const acceleratorMemory: ExporterDriver<
  AcceleratorMemoryOptions | undefined,
  AcceleratorMemory
> = defineExporter<AcceleratorMemoryOptions | undefined, AcceleratorMemory>({
  name: "accelerator-memory",
  needsDevice: true,

  open(services, { link } = {}) {
    const parts = openMemory(services, link);
    const { memory } = parts;

    return {
      api: {
        memoryBytes: memory.vramBytes,
        visibleBytes: memory.visibleBytes,
        freeBytes: (part) => memory.freeBytes(part),
      },
      allocate(sizeBytes, wishes) {
        refuseUnknown(wishes, ["place"], "accelerator-memory");
        const place = oneOf<VramPart>(wishes, "place", ["visible", "hidden", "any"], "visible");
        const taken = memory.allocate(sizeBytes, place);
        clear(parts, taken);
        return storageOf(parts, taken);
      },
    };
  },
});

interface MemoryParts {
  readonly device: Device;
  readonly memory: VramAllocator;
  readonly window: Bar;
  readonly link: MappingType | undefined;
  /** Where its memory begins on the link; undefined: it is on none. */
  readonly linkStart: number | undefined;
}

function storageOf(parts: MemoryParts, taken: readonly VramRange[]): Storage {
  const { device, memory, window, link, linkStart } = parts;
  const behindBar = placed(device, taken, window.start);
  const onLink = linkStart === undefined ? behindBar : placed(device, taken, linkStart);
  const hiddenBytes = hiddenPart(taken, memory.visibleBytes);
  return {
    types: link === undefined ? [PEERS] : [{ type: link }, PEERS],
    reason: DEVICE_MEMORY_ONLY,
    attach: () => (hiddenBytes === 0 ? ACCEPT : narrow([P2P], notVisible(hiddenBytes))),
    place: ({ pair }) => (pair.type === link ? onLink : behindBar),
    release: () => memory.free(taken),
  };
}

/** Nobody's old bytes, as far as the BAR shows them; the rest only a device on the link could clear. */
function clear({ memory, window }: MemoryParts, taken: readonly VramRange[]): void {
  for (const { offset, lengthBytes } of taken) {
    const end = Math.min(offset + lengthBytes, memory.visibleBytes);
    for (let at = offset; at < end; at += PAGE_BYTES) {
      window.write(at, ZEROS);
    }
  }
}

const ZEROS = new Uint8Array(PAGE_BYTES);
const PEERS: MappingOffer = Object.freeze({ type: P2P, require: true });

function placed(provider: Device, taken: readonly VramRange[], start: number): Placement {
  const rows = taken.flatMap(({ offset, lengthBytes }) => [start + offset, lengthBytes]);
  return { target: "device", ranges: new PhysicalRanges(Float64Array.from(rows)), provider };
}

const notVisible = (hiddenBytes: number): ReturnType<typeof reason> =>
  reason("MEMORY_NOT_VISIBLE", `the BAR does not show ${hiddenBytes} bytes of the buffer`, {
    hiddenBytes,
  });

/** `DEVICE_FAILED` when no accelerator answers, or one that is not on the link it is said to be on. */
function openMemory(services: Services, link: MappingType | undefined): MemoryParts {
  const device = services.get(DEVICE);
  const label = `accelerator-memory ${device.id}`;
  const bySize = [...services.get(BARS).memory].sort(
    (one, other) => one.sizeBytes - other.sizeBytes,
  );
  const window = bySize.findLast(({ prefetchable }) => prefetchable);
  const registers = bySize.find((bar) => !bar.prefetchable && bar.sizeBytes >= REGISTER_BYTES);
  if (window === undefined || registers?.read32(REGISTER.ID) !== ID) {
    throw new PeerbufError("DEVICE_FAILED", `${label}: no accelerator answers`);
  }
  const port = registers.read32(REGISTER.LINK_PORT);
  if (link !== undefined && port === NO_LINK) {
    throw new PeerbufError("DEVICE_FAILED", `${label} is on no link, let alone ${link.name}`);
  }
  const memoryBytes = registers.read32(REGISTER.LOCAL_PAGES) * PAGE_BYTES;
  const memory = new VramAllocator(memoryBytes, Math.min(memoryBytes, window.sizeBytes));
  const linkStart = port === NO_LINK ? undefined : port * LINK_PORT_BYTES;
  return { device, memory, window, link, linkStart };
}

const DEVICE_MEMORY_ONLY = reason(
  "DEVICE_MEMORY_ONLY",
  "the driver has no engine of its own that could copy the bytes elsewhere",
);
