/**
 * Kernel DMA: core's DMA layer where the kernel does the mapping.
 *
 * A mapping for a device is an attachment made by its kernel driver; the addresses that core is given are
 * the names of the address book, because a process never sees DMA addresses. A refusal of the kernel is
 * passed on with its errno: EREMOTEIO is how it says that there is no peer-to-peer between the two.
 */
import {
  type Device,
  type DmaLayer,
  type DmaRefusal,
  type DmaRequest,
  PeerbufError,
  SegmentList,
  segmentsAtOffset,
} from "@peerbuf/core";
import { LinuxBuffer } from "../buffers/linux-buffer.ts";
import { failure } from "../sys/errno.ts";
import type { AddressBook } from "./address-book.ts";
import type { KernelAttachment, KernelImporter } from "./kernel-importer.ts";

const EINVAL = 22;
/** Errors that core's DMA layer knows; anything else of the kernel is an EIO with its name in the text. */
const PASSED_ON: readonly string[] = ["EREMOTEIO", "EIO", "EINVAL", "ENOMEM"];

export class KernelDma implements DmaLayer {
  readonly name = "linux";
  readonly #book: AddressBook;
  readonly #importerOf: (device: Device) => KernelImporter | undefined;
  readonly #attachments = new Map<SegmentList, readonly KernelAttachment[]>();

  constructor(book: AddressBook, importerOf: (device: Device) => KernelImporter | undefined) {
    this.#book = book;
    this.#importerOf = importerOf;
  }

  /** Mappings that were not given back. */
  get liveMappings(): number {
    return this.#attachments.size;
  }

  map({ client, ranges, limits, route, direction }: DmaRequest): SegmentList | DmaRefusal {
    const segments = segmentsAtOffset(ranges, 0, limits, route === "bus-addr");
    if (!(segments instanceof SegmentList)) {
      return { answer: "refused", errno: "EIO", code: segments.code, text: segments.text };
    }
    const importer = this.#importerOf(client);
    const attached: KernelAttachment[] = [];
    try {
      for (let index = 0; importer !== undefined && index < ranges.count; index++) {
        const { buffer } = this.#book.find(ranges.start(index), ranges.lengthBytes(index));
        if (!(buffer instanceof LinuxBuffer)) {
          throw failure(EINVAL, `${client.id} takes dma-bufs, and this memory is none`);
        }
        attached.push(importer.attach(buffer, direction));
      }
    } catch (error) {
      detachAll(attached);
      return refusalOf(error);
    }
    this.#attachments.set(segments, attached);
    return segments;
  }

  unmap(_client: Device, segments: SegmentList): void {
    const attached = this.#attachments.get(segments) ?? [];
    this.#attachments.delete(segments);
    detachAll(attached);
  }

  /** What the kernel calls the buffers of a mapping, in order; empty for a device without a kernel driver. */
  handlesOf(segments: SegmentList): readonly number[] {
    return (this.#attachments.get(segments) ?? []).map(({ handle }) => handle);
  }
}

/** All of them, whatever one of them says; the first thing said is thrown. */
function detachAll(attached: readonly KernelAttachment[]): void {
  const said: unknown[] = [];
  for (const attachment of attached.toReversed()) {
    try {
      attachment.detach();
    } catch (error) {
      said.push(error);
    }
  }
  const [first] = said.filter((error) => !isGone(error));
  if (first !== undefined) {
    throw first;
  }
}

/** A device that was pulled out has let go already. */
const isGone = (error: unknown): boolean =>
  error instanceof PeerbufError && error.errno === "ENODEV";

/** Only what the kernel said is an answer; anything else is a bug and stays one. */
function refusalOf(error: unknown): DmaRefusal {
  if (!(error instanceof PeerbufError) || error.code !== "SYSCALL_FAILED") {
    throw error;
  }
  const errno = PASSED_ON.find((name) => name === error.errno) as DmaRefusal["errno"] | undefined;
  return {
    answer: "refused",
    errno: errno ?? "EIO",
    code: `KERNEL_${error.errno}`,
    text: `the kernel declines: ${error.message}`,
  };
}
