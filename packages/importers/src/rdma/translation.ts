/**
 * Translation: the mapping behind a key, and how it comes and goes.
 *
 * The order is the promise. Coming: map, wait for the bytes, then tell the NIC. Going: zap the NIC
 * first; what is still under way is a fence in the buffer, and the mapping is given back when that is
 * over. A zap beats a mapping that is on its way to the NIC, because the NIC counts zaps.
 */
import {
  type Attachment,
  type Direction,
  type FenceContext,
  type Mapping,
  PeerbufError,
  type SegmentList,
  SoftwareFence,
} from "@peerbuf/core";
import { type Negotiated, negotiatedOf } from "../negotiated.ts";
import { encodeSegments } from "./entries.ts";
import type { Nic, RegionEvents } from "./nic.ts";
import { COMMAND, STALE } from "./registers.ts";

/** How often one fill starts over because the buffer moved before the NIC had it. */
const MOVES_FOLLOWED_MAX = 16;
/** Of what the NIC was given. */
const MAPPINGS_REMEMBERED = 16;

export interface TranslationParts {
  readonly nic: Nic;
  readonly key: number;
  readonly attachment: Attachment;
  readonly direction: Direction;
  /** Throws when the region is not to be mapped any more. */
  readonly requireUsable: () => void;
}

export class Translation implements RegionEvents {
  readonly #parts: TranslationParts;
  readonly #timeline: FenceContext;
  /** By number of the zap: what to do when the accesses that were under way are over. */
  readonly #draining = new Map<number, () => void>();
  readonly #given: Negotiated[] = [];
  #mapping: Mapping | undefined;
  #zaps = 0;
  #isFilling = false;
  #error: PeerbufError | undefined;

  constructor(parts: TranslationParts) {
    this.#parts = parts;
    const { nic, key, attachment } = parts;
    const timelineName = `${nic.label} key ${key} on "${attachment.buffer.name}"`;
    this.#timeline = nic.fences.createContext({ driverName: "rdma", timelineName });
    nic.watch(key, this);
  }

  /** What the NIC was given, oldest first. */
  get given(): readonly Negotiated[] {
    return this.#given;
  }

  /** Why the last page fault found nothing. */
  get pageError(): PeerbufError | undefined {
    return this.#error;
  }

  /** Maps, and follows moves until the NIC has addresses that are still right. */
  async fill(): Promise<void> {
    this.#isFilling = true;
    try {
      for (let tries = 0; tries <= MOVES_FOLLOWED_MAX; tries++) {
        this.#parts.requireUsable();
        if (await this.#mapOnce()) {
          this.#error = undefined;
          return;
        }
      }
      const { name } = this.#parts.attachment.buffer;
      const what = `"${name}" moved ${MOVES_FOLLOWED_MAX} times before the NIC could use it`;
      throw new PeerbufError("BUFFER_BUSY", what);
    } finally {
      this.#isFilling = false;
    }
  }

  /** The NIC reaches nothing from the moment of the call, but for what is under way. */
  invalidate(): void {
    const mapping = this.#mapping;
    if (mapping === undefined) {
      return;
    }
    this.#mapping = undefined;
    const zap = ++this.#zaps;
    const { nic, key } = this.#parts;
    if (nic.zap(key) === 0) {
      mapping.unmap();
    } else {
      this.#unmapWhenOver(mapping, zap);
    }
  }

  /** The key is gone or the NIC stopped: nothing is touched any more. */
  close(): void {
    this.#parts.nic.unwatch(this.#parts.key);
    this.stopped();
    this.#mapping?.unmap();
    this.#mapping = undefined;
  }

  /** A fill that runs answers this fault as well: it ends only with a mapping that was not zapped since. */
  pageFault(): void {
    if (!this.#isFilling && this.#mapping === undefined) {
      void this.#answerFault();
    }
  }

  drained(zap: number): void {
    const over = this.#draining.get(zap);
    this.#draining.delete(zap);
    over?.();
  }

  stopped(): void {
    for (const zap of [...this.#draining.keys()]) {
      this.drained(zap);
    }
  }

  #unmapWhenOver(mapping: Mapping, zap: number): void {
    const { nic, attachment } = this.#parts;
    const running = new SoftwareFence(this.#timeline, zap);
    const watch = nic.expectAnswer();
    this.#draining.set(zap, () => {
      watch.cancel();
      running.signal();
      mapping.unmap();
    });
    attachment.buffer.addFence(running, "bookkeep"); // Last: if it throws, the rest stands.
  }

  /** `false`: the buffer moved meanwhile, perhaps when the NIC had the mapping already. */
  async #mapOnce(): Promise<boolean> {
    const { attachment, direction } = this.#parts;
    const mapping = attachment.map(direction);
    this.#mapping = mapping;
    try {
      const negotiated = negotiatedOf(attachment, mapping);
      await arrived(attachment, mapping);
      if (this.#mapping !== mapping || !(await this.#tellNic(mapping.segments))) {
        return false;
      }
      this.#remember(negotiated);
      return this.#mapping === mapping;
    } catch (error) {
      if (this.#mapping === mapping) {
        this.#mapping = undefined;
        mapping.unmap();
      }
      throw error;
    }
  }

  /** The NIC fetches the table while the command runs; then it is free again. `false`: zapped meanwhile. */
  async #tellNic(segments: SegmentList): Promise<boolean> {
    const { nic, key } = this.#parts;
    const zaps = this.#zaps;
    const table = encodeSegments(segments);
    const memory = nic.dma.allocateCoherent(table.length);
    try {
      memory.write(0, table);
      const where = { address: memory.deviceAddress, count: segments.count };
      const opcode = COMMAND.MAP_REGION;
      const { status } = await nic.run({ opcode, handle: key, ...where, zaps });
      if (status !== 0 && status !== STALE) {
        throw nic.failure(status, `mapping key ${key}`);
      }
      return status === 0;
    } finally {
      nic.dma.freeCoherent(memory);
    }
  }

  /** The NIC always gets an answer: a translation, or that there is none. */
  async #answerFault(): Promise<void> {
    try {
      await this.fill();
    } catch (error) {
      this.#error = error instanceof PeerbufError ? error : broken(error);
      const { nic, key } = this.#parts;
      await nic.run({ opcode: COMMAND.MAP_REGION, handle: key, count: 0 });
    }
  }

  #remember(negotiated: Negotiated): void {
    const { decisions } = this.#parts.attachment;
    this.#given.push({ ...negotiated, decisions });
    if (this.#given.length > MAPPINGS_REMEMBERED) {
      this.#given.shift();
    }
  }
}

async function arrived({ buffer }: Attachment, mapping: Mapping): Promise<void> {
  const error = await mapping.ready?.signaled();
  if (error !== undefined) {
    const what = `the bytes of "${buffer.name}" did not arrive: ${error.message}`;
    throw new PeerbufError("DEVICE_FAILED", what, { cause: error });
  }
}

function broken(cause: unknown): PeerbufError {
  return new PeerbufError("DRIVER_BROKEN", `a page fault failed: ${String(cause)}`, { cause });
}
