/**
 * RDMA region: one buffer, registered with a NIC.
 *
 * Attached and mapped for as long as it is registered, since a peer may use its key at any time.
 * The NIC has no page faults, so it cannot follow moves: the memory stays pinned (the "pinned"
 * flavour of Linux RDMA drivers, ib_umem_dmabuf_get_pinned).
 */
import {
  type Attachment,
  type Device,
  type DmaBuf,
  type Importer,
  type Mapping,
  PeerbufError,
  type SegmentList,
} from "@peerbuf/core";
import { type Negotiated, negotiatedOf } from "../negotiated.ts";
import { lookAt, offerFor, type PeerOptions } from "../peer-policy.ts";
import { encodeSegments } from "./entries.ts";
import type { Nic } from "./nic.ts";
import { ACCESS, COMMAND } from "./registers.ts";

/** What others may do with a region. The NIC itself may always read it. Default: nothing. */
export interface RdmaAccess {
  /** The NIC may write it: as target of its own reads. Implied by `remoteWrite`. */
  readonly localWrite?: boolean;
  readonly remoteWrite?: boolean;
  readonly remoteRead?: boolean;
}

/** What a peer has to know. Plain data: send it to whoever shall use the region. */
export interface RemoteRegion {
  readonly key: number;
  readonly sizeBytes: number;
}

export interface RdmaRegion extends RemoteRegion, AsyncDisposable {
  readonly negotiated: Negotiated;
  /**
   * Takes the key back and lets the buffer go. Work that still uses it ends with an error. A second
   * time does nothing.
   */
  deregister(): Promise<void>;
}

export class LiveRegion implements RdmaRegion {
  readonly key: number;
  readonly sizeBytes: number;
  readonly negotiated: Negotiated;
  readonly #nic: Nic;
  readonly #attachment: Attachment;
  readonly #mapping: Mapping;
  readonly #gone: () => void;
  #open = true;

  /** Attaches, maps and registers; takes nothing if it throws. `gone` is called once when it is over. */
  static async register(
    nic: Nic,
    device: Device,
    buffer: DmaBuf,
    access: RdmaAccess,
    options: PeerOptions,
    gone: (region: LiveRegion) => void,
  ): Promise<LiveRegion> {
    const flags = accessFlags(access);
    const attachment = buffer.attach(importerFor(device, options));
    try {
      const writes = (flags & ACCESS.LOCAL_WRITE) !== 0;
      const mapping = attachment.map(writes ? "bidirectional" : "to-device");
      try {
        await arrived(buffer, mapping);
        const key = await registerSegments(nic, mapping.segments, buffer.sizeBytes, flags);
        return new LiveRegion(nic, key, attachment, mapping, gone);
      } catch (error) {
        mapping[Symbol.dispose]();
        throw error;
      }
    } catch (error) {
      attachment[Symbol.dispose]();
      throw error;
    }
  }

  private constructor(
    nic: Nic,
    key: number,
    attachment: Attachment,
    mapping: Mapping,
    gone: (region: LiveRegion) => void,
  ) {
    this.#nic = nic;
    this.#attachment = attachment;
    this.#mapping = mapping;
    this.#gone = () => gone(this);
    this.key = key;
    this.sizeBytes = attachment.buffer.sizeBytes;
    this.negotiated = negotiatedOf(attachment, mapping);
  }

  async deregister(): Promise<void> {
    if (!this.#open) {
      return;
    }
    this.#open = false;
    try {
      if (this.#nic.isRunning) {
        const what = `deregistering key ${this.key}`;
        await this.#nic.command({ opcode: COMMAND.DEREGISTER_REGION, handle: this.key }, what);
      }
    } finally {
      this.letGo();
    }
  }

  /** For a NIC that is stopped and has forgotten the key, or was told to. */
  letGo(): void {
    this.#open = false;
    this.#mapping[Symbol.dispose]();
    this.#attachment[Symbol.dispose]();
    this.#gone();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.deregister();
  }
}

/** No `invalidateMappings`: the memory is pinned while mapped. */
function importerFor(device: Device, options: PeerOptions): Importer {
  return {
    name: "rdma",
    device,
    offer: () => offerFor(options, device.limits),
    take: (proposal) => lookAt(options, proposal),
  };
}

function accessFlags({ localWrite, remoteWrite, remoteRead }: RdmaAccess): number {
  const write = localWrite === true || remoteWrite === true ? ACCESS.LOCAL_WRITE : 0;
  const remote = remoteWrite === true ? ACCESS.REMOTE_WRITE : 0;
  return write | remote | (remoteRead === true ? ACCESS.REMOTE_READ : 0);
}

async function arrived(buffer: DmaBuf, mapping: Mapping): Promise<void> {
  const error = await mapping.ready?.signaled();
  if (error !== undefined) {
    const what = `the bytes of "${buffer.name}" did not arrive: ${error.message}`;
    throw new PeerbufError("DEVICE_FAILED", what, { cause: error });
  }
}

/** The NIC fetches the table while the command runs; then it is free again. */
async function registerSegments(
  nic: Nic,
  segments: SegmentList,
  lengthBytes: number,
  access: number,
): Promise<number> {
  const table = encodeSegments(segments);
  const memory = nic.dma.allocateCoherent(table.length);
  try {
    memory.write(0, table);
    const address = memory.deviceAddress;
    const count = segments.count;
    const opcode = COMMAND.REGISTER_REGION;
    return await nic.command({ opcode, address, count, lengthBytes, access }, "registering memory");
  } finally {
    nic.dma.freeCoherent(memory);
  }
}
