/**
 * Held buffer: a buffer with bytes in it and an importer that looks on while something happens to it.
 */
import {
  type Attachment,
  type DmaBuf,
  type Lifetime,
  type Mapping,
  type OpenedExporter,
  SoftwareFence,
} from "@peerbuf/core";
import type { RuleId } from "../rules/rule.ts";
import { arrived, type ExporterUnderTest } from "./exporter-under-test.ts";
import type { Probe } from "./probe.ts";
import { difference, NotClaimed, patternOf, type Session, Stopped } from "./session.ts";

/** The suite itself, as producer of fences and holder of locks. */
export const SUITE = "fence suite";
/** An odd number of pages: what is rounded shows. */
export const HELD_BYTES: number = 5 * 4096;

/** The ability that the driver's check names; without it the check does not apply. */
export function claimed<T>(ability: T | undefined, what: string): T {
  if (ability === undefined) {
    throw new NotClaimed(`check.${what} is not given`);
  }
  return ability;
}

/** Makes the driver move or revoke, as its check says. */
export class HeldBuffer<Options, Api> {
  readonly buffer: DmaBuf;
  readonly probe: Probe;
  readonly attachment: Attachment;
  mapping: Mapping;
  readonly #session: Session;
  readonly #api: Api;
  readonly #tested: ExporterUnderTest<Options, Api>;
  /** How often the importer had been told when the last move began. */
  #toldBefore = 0;
  /** Of the bytes that were written last. */
  #seed = 1;

  constructor(
    tested: ExporterUnderTest<Options, Api>,
    session: Session,
    exporter: OpenedExporter<Api>,
    lifetime: Lifetime,
  ) {
    this.#session = session;
    this.#api = exporter.api;
    this.#tested = tested;
    this.buffer = exporter.allocate(HELD_BYTES, tested.check.wishes ?? {});
    this.probe = session.probe(0, lifetime);
    this.attachment = this.buffer.attach(this.probe);
    this.mapping = this.attachment.map("bidirectional");
  }

  /** Bytes of the device's, by the mapping that is held. */
  async fill(seed: number = this.#seed): Promise<void> {
    this.#seed = seed;
    await arrived(this.#session, this.mapping);
    if (this.#session.world.transfer !== undefined) {
      await this.#session.transfer(this.mapping, 0, "write", patternOf(seed, HELD_BYTES));
    }
  }

  /** As an eviction would; a refusal is the driver's right. */
  async move(): Promise<void> {
    const { check } = this.#tested;
    const move = claimed(check.move, "move");
    this.#toldBefore = this.probe.told;
    await this.#session.refusal(() => move.call(check, this.#api, this.buffer), "a move");
    await this.#session.ticks(2); // Some evict in a task of their own.
    const { reservation } = this.buffer;
    const { holder } = reservation;
    if (holder !== undefined && holder.label !== SUITE && reservation.testSignaled("bookkeep")) {
      const text = `${holder.label} keeps the lock of "${this.buffer.name}" after a move`;
      this.#session.demand("SYN-015", false, text);
      throw new Stopped(text);
    }
  }

  /** Its importer heard of the last move, once. */
  get wasTold(): boolean {
    return this.mapping.isStale && this.probe.told === this.#toldBefore + 1;
  }

  /** Unless the buffer moves in quiet times, what follows a move cannot be looked at. */
  async moveSurely(): Promise<void> {
    await this.move();
    if (!this.mapping.isStale) {
      throw new NotClaimed("it does not move");
    }
    this.remap();
    await arrived(this.#session, this.mapping);
  }

  remap(): void {
    this.mapping.unmap();
    this.mapping = this.attachment.map("bidirectional");
  }

  /** A fence of somebody's work that runs until it is signaled. */
  work(name: string, usage: "read" | "write" | "bookkeep"): SoftwareFence {
    const { domain } = this.buffer.reservation;
    const names = { driverName: SUITE, timelineName: name };
    const work = new SoftwareFence(domain.createContext(names), 1);
    this.buffer.addFence(work, usage);
    this.#session.atLast(() => {
      if (!work.isSignaled) {
        work.signal();
      }
    });
    return work;
  }

  /** The bytes that were written last, at the moment in which they are said to be there and after it. */
  async stillThere(rule: RuleId): Promise<void> {
    const session = this.#session;
    const bytes = patternOf(this.#seed, HELD_BYTES);
    await session.whenReady(this.mapping, 0, (seen) => {
      const wrong = difference(seen, bytes);
      session.demand(rule, wrong === undefined, `said to be there and are not: ${wrong}`);
    });
    if (session.world.transfer !== undefined) {
      const seen = new Uint8Array(HELD_BYTES);
      await session.transfer(this.mapping, 0, "read", seen);
      const wrong = difference(seen, bytes);
      session.demand(rule, wrong === undefined, `bytes were lost: ${wrong}`);
    }
  }

  letGo(): void {
    this.mapping.unmap();
    this.attachment.detach();
    this.buffer.close();
  }
}
