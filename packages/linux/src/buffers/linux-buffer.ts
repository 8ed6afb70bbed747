/**
 * Linux buffer: a dma-buf, or a memfd where there are none, that this process holds by a descriptor.
 *
 * Wherever it comes from (heap, udmabuf, a GPU, another process) it behaves alike: bytes in place between
 * brackets, fences to wait for, a name, and one close. A memfd has no device, so its brackets and waits
 * have nothing to do; everything else is the same, which lets programs run where no dma-buf exists.
 */
import { PeerbufError } from "@peerbuf/core";
import { type BracketedBuffer, Brackets, type CpuAccess, within } from "../cpu-access/bracket.ts";
import { MapCache, type Mapped } from "../cpu-access/map-cache.ts";
import type { Descriptor } from "../sys/descriptor.ts";
import { statusOf } from "../sys/file-status.ts";
import { ioctl } from "../sys/ioctl.ts";
import { MemoryMap } from "../sys/memory-map.ts";
import { POLL_IN, POLL_OUT, ready } from "../sys/poller.ts";
import { limitsOf, type ReadinessOptions } from "../sys/wait-limits.ts";
import { type BufferIdentity, type BufferKind, factsOf, fdInfoOf } from "./descriptor-facts.ts";
import {
  checkUse,
  DMA_BUF_IOCTL_SYNC,
  DMA_BUF_SET_NAME,
  NAME_BYTES_MAX,
  SYNC_ARGUMENTS,
  type Use,
} from "./dma-buf-requests.ts";

/** One for the process: the limit is about its address space. */
const mapCache = new MapCache();

export class LinuxBuffer implements Disposable {
  readonly kind: BufferKind;
  readonly sizeBytes: number;
  /** Equal exactly when it is the same buffer, whatever the descriptor's number. */
  readonly identity: BufferIdentity;
  readonly #descriptor: Descriptor;
  /** Made with the first bracket: many buffers are only passed on. */
  #brackets: Brackets | undefined;
  #mapped: Mapped | undefined;
  #map: MemoryMap | undefined;

  /**
   * Takes the descriptor over; closes it when it is not a buffer. `NOT_A_BUFFER` for what is neither a
   * dma-buf nor a memfd sealed against shrinking.
   */
  constructor(descriptor: Descriptor) {
    try {
      const { kind, sizeBytes, identity } = factsOf(descriptor);
      this.kind = kind;
      this.sizeBytes = sizeBytes;
      this.identity = identity;
    } catch (error) {
      descriptor.close();
      throw error;
    }
    this.#descriptor = descriptor;
  }

  /** The descriptor, which stays this object's: duplicate it to keep it. `HANDLE_CLOSED` after `close`. */
  get descriptor(): Descriptor {
    this.#descriptor.number;
    return this.#descriptor;
  }

  get isOpen(): boolean {
    return this.#descriptor.isOpen;
  }

  /** Who made it, as the kernel says: `system`, `udmabuf`, `vgem`, ...; `memfd` for a memfd. */
  get exporterName(): string {
    return this.kind === "memfd" ? "memfd" : (fdInfoOf(this.descriptor).get("exp_name") ?? "");
  }

  /** The name given by `setName`, here or elsewhere; empty when there is none. */
  get name(): string {
    return fdInfoOf(this.descriptor).get("name") ?? "";
  }

  /** At most 31 bytes of UTF-8, seen by everybody who looks at the buffer. A memfd keeps its first name. */
  setName(name: string): void {
    this.descriptor.number;
    const isText = typeof name === "string" && !name.includes("\0");
    const bytes = new TextEncoder().encode(`${String(name)}\0`);
    if (!isText || bytes.length > NAME_BYTES_MAX + 1) {
      throw new PeerbufError(
        "ARGUMENT_INVALID",
        `the name "${String(name)}" is no text of at most ${NAME_BYTES_MAX} bytes`,
      );
    }
    if (this.kind === "dma-buf") {
      ioctl(this.descriptor, DMA_BUF_SET_NAME, bytes, `name it "${name}"`);
    }
  }

  /**
   * Opens a bracket: the bytes may be touched until it ends. Blocks in the kernel while devices work on
   * the buffer; `await idle(use)` first, or use `withBytes`.
   */
  beginCpuAccess(use: Use): CpuAccess {
    this.#brackets ??= new Brackets(this.#bracketed());
    return this.#brackets.begin(use);
  }

  /**
   * Runs `work` within a bracket that ends on every path. `ARGUMENT_INVALID` when `work` is asynchronous: the
   * bytes are gone before it goes on.
   */
  withBytesSync<T>(use: Use, work: (bytes: Uint8Array<ArrayBuffer>) => T): T {
    return within(this.beginCpuAccess(use), work);
  }

  /** Waits for devices without blocking, then runs `work` within a bracket that ends when its promise does. */
  async withBytes<T>(
    use: Use,
    work: (bytes: Uint8Array<ArrayBuffer>) => T | Promise<T>,
    options?: ReadinessOptions,
  ): Promise<T> {
    await this.idle(use, options);
    using access = this.beginCpuAccess(use);
    return await work(access.bytes);
  }

  /**
   * Resolves when nothing is in the way: writers for a reader, readers too for a writer (poll(2) of a
   * dma-buf). `WAIT_TIMED_OUT`, `WAIT_INTERRUPTED`.
   */
  async idle(use: Use, options?: ReadinessOptions): Promise<void> {
    checkUse(use);
    const { descriptor } = this;
    limitsOf(options, descriptor.what);
    if (this.kind === "dma-buf") {
      await ready(descriptor, use === "read" ? POLL_IN : POLL_OUT, options);
    }
  }

  /** Another handle on the same buffer; each is closed by itself. */
  duplicate(): LinuxBuffer {
    return new LinuxBuffer(this.descriptor.duplicate());
  }

  isSameAs(other: LinuxBuffer): boolean {
    return (
      this.identity.device === other.identity.device && this.identity.inode === other.identity.inode
    );
  }

  /** `BUFFER_BUSY` while a bracket is open, `HANDLE_CLOSED` the second time. */
  close(): void {
    const { descriptor } = this;
    const openCount = this.#brackets?.openCount ?? 0;
    if (openCount > 0) {
      throw new PeerbufError(
        "BUFFER_BUSY",
        `${descriptor.what} has ${openCount} open CPU access; end it first`,
      );
    }
    this.#unmap();
    descriptor.close();
  }

  /** Closes unless `close` did. */
  [Symbol.dispose](): void {
    if (this.isOpen) {
      this.close();
    }
  }

  #bracketed(): BracketedBuffer {
    return {
      what: this.#descriptor.what,
      bytes: () => this.#mappedBytes(),
      sync: (use, edge) => this.#sync(use, edge),
      rest: (isSeen) => {
        if (isSeen && this.#map?.revokeViews() === false) {
          this.#forgetMap();
        }
        mapCache.trim();
      },
    };
  }

  #cacheEntry(): Mapped {
    const isInUse = (): boolean => (this.#brackets?.openCount ?? 0) > 0;
    const { sizeBytes } = this;
    return {
      sizeBytes,
      get isInUse() {
        return isInUse();
      },
      unmap: () => this.#unmap(),
    };
  }

  #mappedBytes(): ArrayBuffer {
    this.#map ??= this.#newMap();
    this.#mapped ??= this.#cacheEntry();
    mapCache.touch(this.#mapped);
    return this.#map.bytes;
  }

  /** A descriptor whose number somebody else has by now may be of a shorter file, and bytes past its end fatal. */
  #newMap(): MemoryMap {
    const { descriptor, identity } = this;
    const { device, inode } = statusOf(descriptor);
    if (device !== identity.device || inode !== identity.inode) {
      throw new PeerbufError(
        "HANDLE_CLOSED",
        `the descriptor of ${descriptor.what} was closed by somebody else, and its number is another file's`,
      );
    }
    return new MemoryMap(descriptor, this.sizeBytes);
  }

  #sync(use: Use, edge: "start" | "end"): void {
    if (this.kind === "dma-buf") {
      const what = `${edge} CPU access to ${use}`;
      ioctl(this.descriptor, DMA_BUF_IOCTL_SYNC, SYNC_ARGUMENTS[edge][use], what);
    }
  }

  #unmap(): void {
    this.#map?.unmap();
    this.#forgetMap();
  }

  #forgetMap(): void {
    this.#map = undefined;
    if (this.#mapped !== undefined) {
      mapCache.forget(this.#mapped);
    }
  }
}
