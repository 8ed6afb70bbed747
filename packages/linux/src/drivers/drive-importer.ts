/**
 * Drive importer: an NVMe drive that moves a buffer's bytes by its own DMA (direct I/O).
 *
 * Opened on the drive's PCI function. The kernel judges each request: when it says that there is no
 * peer-to-peer between the two (EREMOTEIO), this driver maps again and asks for system memory, on the
 * record with the kernel's word for it.
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
  type Importer,
  type ImporterDriver,
  type Mapping,
  P2P,
  PeerbufError,
  type Proposal,
  type Reason,
  type Route,
  reason,
  TAKE,
  type TakeAnswer,
} from "@peerbuf/core";
import { KERNEL_BUFFERS, type KernelBuffers } from "../platform/kernel-buffers.ts";
import type { BlockDevice } from "../storage/block-device.ts";

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

  /** At most twice: peer-to-peer, and if the kernel declines that, through system memory. */
  async transfer(buffer: DmaBuf, position: number, use: "read" | "write"): Promise<DriveTransfer> {
    const asked = new AskedImporter(this.#device);
    using attachment = buffer.attach(asked);
    try {
      return await this.#through(attachment, position, use);
    } catch (error) {
      if (asked.refusal !== undefined || !isPeerRefusal(error)) {
        throw error;
      }
      asked.refusal = reason("KERNEL_EREMOTEIO", `the kernel maps no such peer: ${error.message}`);
    }
    return await this.#through(attachment, position, use);
  }

  async #through(
    attachment: Attachment,
    position: number,
    use: "read" | "write",
  ): Promise<DriveTransfer> {
    using mapping = attachment.map(use === "write" ? "to-device" : "from-device");
    await mapping.ready?.signaled();
    let at = position;
    for (const { buffer, offset, lengthBytes } of this.#buffers.stretchesOf(mapping)) {
      await this.#drive[use](buffer, { position: at, offset, lengthBytes });
      at += lengthBytes;
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

  constructor(device: Device) {
    this.device = device;
  }

  offer: Importer["offer"] = () => ({ answer: "offer", types: [{ type: P2P }, { type: DMA }] });

  take({ target }: Proposal): TakeAnswer {
    return this.refusal !== undefined && target === "device" ? askSystem(this.refusal) : TAKE;
  }
}

const isPeerRefusal = (error: unknown): error is PeerbufError =>
  error instanceof PeerbufError && error.errno === "EREMOTEIO";
