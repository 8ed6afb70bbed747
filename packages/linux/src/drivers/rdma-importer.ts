/**
 * RDMA importer: registers a buffer with a NIC and gives its keys, for a user's own queue pairs.
 *
 * The kernel is asked first: it attaches the NIC to the buffer, peer memory included. A NIC whose driver
 * takes no dma-bufs (EOPNOTSUPP), or that cannot reach this one (EREMOTEIO), is given system memory of this
 * driver's own instead, which the exporter fills and takes back: on the record, with the kernel's word for it.
 */
import {
  type Attachment,
  type CopyPolicy,
  DEVICE,
  type Decision,
  type Device,
  type Direction,
  DMA,
  type DmaBuf,
  defineImporter,
  type Importer,
  type ImporterDriver,
  type Mapping,
  NegotiationError,
  P2P,
  PeerbufError,
  type PhysicalRanges,
  type Reason,
  reason,
} from "@peerbuf/core";
import { KERNEL_BUFFERS, type KernelBuffers } from "../platform/kernel-buffers.ts";
import type { MemoryRegion } from "../rdma/memory-region.ts";
import type { RdmaNic } from "../rdma/rdma-nic.ts";
import { type OwnMemory, takeOwnMemory } from "./own-memory.ts";

export interface RdmaOptions {
  /** The NIC of the device that the driver is opened on; it stays the platform's. */
  readonly nic: RdmaNic;
}

/** A buffer that the NIC may reach, until it is given back. */
export interface RdmaRegistration {
  /** Keys, for each stretch of the buffer in order; addresses within each begin at 0. */
  readonly regions: readonly MemoryRegion[];
  readonly target: Mapping["target"];
  readonly route: Mapping["route"];
  /** `true`: the NIC works on a copy; what it wrote is in the buffer when `close` has resolved. */
  readonly isCopy: boolean;
  /** Who said what, the first try included. */
  readonly decisions: readonly Decision[];
  /** All work of the NIC must be over. `HANDLE_CLOSED` the second time, `DEVICE_FAILED` when a copy failed. */
  close(): Promise<void>;
}

export interface RdmaApi {
  /**
   * Resolves when the bytes are there: where they are copied, others' writes come first. `MAP_DECLINED` or
   * `NO_COMMON_TYPE` with everybody's reasons. `copy` as at `DmaBuf.attach`; default `allowed`.
   */
  register(
    buffer: DmaBuf,
    direction: Direction,
    options?: { readonly copy?: CopyPolicy },
  ): Promise<RdmaRegistration>;
}

export const rdmaImporter: ImporterDriver<RdmaOptions, RdmaApi> = defineImporter<
  RdmaOptions,
  RdmaApi
>({
  name: "rdma",
  needsDevice: true,

  open(services, { nic }) {
    const device = services.get(DEVICE);
    if (nic.device !== device) {
      const message = `the NIC ${nic.device.id} is not the device ${device.id} of this driver`;
      throw new PeerbufError("ARGUMENT_INVALID", message);
    }
    const parts: Parts = { device, nic, buffers: services.get(KERNEL_BUFFERS) };
    return {
      api: {
        register: (buffer, direction, { copy = "allowed" } = {}) =>
          register(parts, { buffer, direction, copy }),
      },
    };
  },
});

interface Parts {
  readonly device: Device;
  readonly nic: RdmaNic;
  readonly buffers: KernelBuffers;
}

/** The kernel's answers after which memory of our own can help. */
const HELPED: ReadonlySet<string> = new Set(["KERNEL_EOPNOTSUPP", "KERNEL_EREMOTEIO"]);

/** What was asked. */
interface Wanted {
  readonly buffer: DmaBuf;
  readonly direction: Direction;
  readonly copy: CopyPolicy;
}

async function register(parts: Parts, wanted: Wanted): Promise<RdmaRegistration> {
  const { buffer, direction, copy } = wanted;
  if (copy === "required") {
    return await throughOwnMemory(parts, wanted, { why: COPY_WANTED, earlier: [] });
  }
  const first = buffer.attach(importerOf(parts.device), { copy });
  try {
    return await registered(parts, first, direction, { earlier: [], own: undefined });
  } catch (error) {
    const why = refusalIn(error);
    if (why === undefined || !(error instanceof NegotiationError)) {
      throw error;
    }
    return await throughOwnMemory(parts, wanted, { why, earlier: error.decisions });
  }
}

const COPY_WANTED = reason("COPY_WANTED", "the user wants a copy");

async function throughOwnMemory(
  parts: Parts,
  { buffer, direction, copy }: Wanted,
  { why, earlier }: { readonly why: Reason; readonly earlier: readonly Decision[] },
): Promise<RdmaRegistration> {
  await buffer.reservation.idleBefore("read");
  const own = takeOwnMemory(parts.buffers, buffer.sizeBytes, "rdma");
  const { ranges } = own;
  let attachment: Attachment;
  try {
    attachment = buffer.attach(importerOf(parts.device, { ranges, why }), { copy });
  } catch (error) {
    own.free();
    throw error;
  }
  return await registered(parts, attachment, direction, { earlier, own });
}

interface Attempt {
  readonly earlier: readonly Decision[];
  readonly own: OwnMemory | undefined;
}

/** Maps and waits for the bytes. Gives everything back when that fails. */
async function registered(
  { nic, buffers }: Parts,
  attachment: Attachment,
  direction: Direction,
  { earlier, own }: Attempt,
): Promise<RdmaRegistration> {
  let mapping: Mapping | undefined;
  try {
    mapping = attachment.map(direction);
    await arrived(mapping.ready?.signaled(), attachment);
  } catch (error) {
    // Memory of our own must stay until nothing is copied from it any more.
    await mapping?.unmap()?.signaled();
    attachment.detach();
    own?.free();
    throw error;
  }
  const regions = buffers
    .handlesOf(mapping)
    .map((handle) => nic.regionOf(handle))
    .filter((region) => region !== undefined);
  return new Registration(attachment, mapping, regions, { earlier, own });
}

class Registration implements RdmaRegistration {
  readonly regions: readonly MemoryRegion[];
  readonly target: Mapping["target"];
  readonly route: Mapping["route"];
  readonly isCopy: boolean;
  readonly #attachment: Attachment;
  readonly #mapping: Mapping;
  readonly #attempt: Attempt;

  constructor(
    attachment: Attachment,
    mapping: Mapping,
    regions: readonly MemoryRegion[],
    attempt: Attempt,
  ) {
    ({ target: this.target, route: this.route, copied: this.isCopy } = mapping);
    this.regions = regions;
    this.#attachment = attachment;
    this.#mapping = mapping;
    this.#attempt = attempt;
  }

  get decisions(): readonly Decision[] {
    return [...this.#attempt.earlier, ...this.#attachment.decisions];
  }

  async close(): Promise<void> {
    const back = this.#mapping.unmap();
    try {
      await arrived(back?.signaled(), this.#attachment);
    } finally {
      this.#attachment.detach();
      this.#attempt.own?.free();
    }
  }
}

function importerOf(
  device: Device,
  own?: { readonly ranges: PhysicalRanges; readonly why: Reason },
): Importer {
  return {
    name: "rdma",
    device,
    offer: () =>
      own === undefined
        ? { answer: "offer", types: [{ type: P2P }, { type: DMA }] }
        : { answer: "offer", types: [{ type: DMA }], target: own.ranges, reason: own.why },
  };
}

/** Why the kernel declined, if memory of our own can help. */
function refusalIn(error: unknown): Reason | undefined {
  if (!(error instanceof NegotiationError)) {
    return undefined;
  }
  const said = error.decisions.findLast(({ reason: { code } }) => HELPED.has(code))?.reason;
  return said === undefined
    ? undefined
    : reason(said.code, `${said.text}; memory of this driver's own instead`);
}

async function arrived(
  work: Promise<Error | undefined> | undefined,
  { buffer }: Attachment,
): Promise<void> {
  const error = await work;
  if (error !== undefined) {
    const what = `the bytes of "${buffer.name}" were not copied: ${error.message}`;
    throw new PeerbufError("DEVICE_FAILED", what, { cause: error });
  }
}
