/**
 * Drive importer: an NVMe drive that moves a buffer's bytes by its own DMA (direct I/O).
 *
 * Opened on the drive's PCI function. The kernel judges each request: when it says that there is no
 * peer-to-peer between the two (EREMOTEIO), this driver maps again and asks for system memory; when it
 * cannot pin the buffer's pages (EFAULT: the mapping of a dma-heap or udmabuf has none for direct I/O), it
 * brings memory of its own. Both are on the record with the kernel's word for it.
 */
import {
  type Attachment,
  askSystem,
  DEVICE,
  type Decision,
  type Device,
  DMA,
  type DmaBuf,
  defineImporter,
  type Fence,
  type Importer,
  type ImporterDriver,
  type Mapping,
  type Offer,
  P2P,
  PeerbufError,
  type PhysicalRanges,
  type Proposal,
  type Reason,
  type Route,
  reason,
  TAKE,
  type TakeAnswer,
} from "@peerbuf/core";
import { KERNEL_BUFFERS, type KernelBuffers } from "../platform/kernel-buffers.ts";
import type { BlockDevice } from "../storage/block-device.ts";
import { takeOwnMemory } from "./own-memory.ts";

export interface DriveOptions {
  /** The drive, open; it stays the caller's. */
  readonly drive: BlockDevice;
}

/** How one transfer went. */
export interface DriveTransfer {
  readonly target: Mapping["target"];
  readonly route: Route;
  readonly decisions: readonly Decision[];
}

export interface DriveApi {
  /** The buffer's bytes to the drive at `position` (bytes, whole blocks). */
  write(buffer: DmaBuf, position: number): Promise<DriveTransfer>;
  /** The drive's bytes from `position` into the whole buffer. */
  read(buffer: DmaBuf, position: number): Promise<DriveTransfer>;
}

export const driveImporter: ImporterDriver<DriveOptions, DriveApi> = defineImporter<
  DriveOptions,
  DriveApi
>({
  name: "drive",
  needsDevice: true,

  open(services, { drive }) {
    const device = services.get(DEVICE);
    const buffers = services.get(KERNEL_BUFFERS);
    if (drive.bdf !== device.id) {
      const message = `${drive.path} sits on ${drive.bdf ?? "no PCI function"}, not on ${device.id}`;
      throw new PeerbufError("ARGUMENT_INVALID", message);
    }
    const opened = new Drive(device, drive, buffers);
    return {
      api: {
        write: (buffer, position) => opened.transfer(buffer, position, "write"),
        read: (buffer, position) => opened.transfer(buffer, position, "read"),
      },
    };
  },
});

class Drive {
  readonly #device: Device;
  readonly #drive: BlockDevice;
  readonly #buffers: KernelBuffers;

  constructor(device: Device, drive: BlockDevice, buffers: KernelBuffers) {
    this.#device = device;
    this.#drive = drive;
    this.#buffers = buffers;
  }

  /** At most three times: as it is, in system memory, and through memory of our own. */
  async transfer(buffer: DmaBuf, position: number, use: "read" | "write"): Promise<DriveTransfer> {
    const asked = new AskedImporter(this.#device);
    try {
      return await this.#asAsked(buffer, asked, position, use);
    } catch (error) {
      if (!isRefusal(error, "EFAULT")) {
        throw error;
      }
      const why = `the kernel lets no direct I/O into this buffer: ${error.message}`;
      asked.refusal = reason("KERNEL_EFAULT", why);
    }
    return await this.#throughOwn(buffer, asked, position, use);
  }

  async #asAsked(
    buffer: DmaBuf,
    asked: AskedImporter,
    position: number,
    use: "read" | "write",
  ): Promise<DriveTransfer> {
    using attachment = buffer.attach(asked);
    try {
      return await this.#through(attachment, position, use);
    } catch (error) {
      if (!isRefusal(error, "EREMOTEIO")) {
        throw error;
      }
      asked.refusal = reason("KERNEL_EREMOTEIO", `the kernel maps no such peer: ${error.message}`);
    }
    return await this.#through(attachment, position, use);
  }

  /** The exporter copies, so what others still write comes first. */
  async #throughOwn(
    buffer: DmaBuf,
    asked: AskedImporter,
    position: number,
    use: "read" | "write",
  ): Promise<DriveTransfer> {
    await buffer.reservation.idleBefore("read");
    const own = takeOwnMemory(this.#buffers, buffer.sizeBytes, "drive");
    try {
      asked.own = own.ranges;
      using attachment = buffer.attach(asked);
      return await this.#through(attachment, position, use);
    } finally {
      own.free();
    }
  }

  async #through(
    attachment: Attachment,
    position: number,
    use: "read" | "write",
  ): Promise<DriveTransfer> {
    const mapping = attachment.map(use === "write" ? "to-device" : "from-device");
    try {
      await arrived(mapping.ready);
      let at = position;
      for (const { buffer, offset, lengthBytes } of this.#buffers.stretchesOf(mapping)) {
        await this.#drive[use](buffer, { position: at, offset, lengthBytes });
        at += lengthBytes;
      }
    } finally {
      await arrived(mapping.unmap());
    }
    const { target, route } = mapping;
    return { target, route, decisions: [...attachment.decisions] };
  }
}

/** Takes what it is given, until the kernel has refused it. */
class AskedImporter implements Importer {
  readonly name = "drive";
  readonly device: Device;
  refusal: Reason | undefined;
  own: PhysicalRanges | undefined;

  constructor(device: Device) {
    this.device = device;
  }

  offer(): Offer {
    return this.own === undefined || this.refusal === undefined
      ? { answer: "offer", types: [{ type: P2P }, { type: DMA }] }
      : { answer: "offer", types: [{ type: DMA }], target: this.own, reason: this.refusal };
  }

  take({ target }: Proposal): TakeAnswer {
    return this.refusal !== undefined && target === "device" ? askSystem(this.refusal) : TAKE;
  }
}

const isRefusal = (error: unknown, errno: string): error is PeerbufError =>
  error instanceof PeerbufError && error.errno === errno;

async function arrived(copies: Fence | undefined): Promise<void> {
  const error = await copies?.signaled();
  if (error !== undefined) {
    throw new PeerbufError("DEVICE_FAILED", `bytes were not copied: ${error.message}`, {
      cause: error,
    });
  }
}
