/**
 * Checked engine: a device's engine in the light world, whose completions are its driver's.
 */
import type { PhysicalRanges, SegmentList } from "@peerbuf/core";
import type { DmaEngine } from "../ground/dma-engine.ts";
import type { Client } from "./checked-services.ts";
import { messageOf } from "./fence-book.ts";
import { ruleOfThrown } from "./thrown.ts";
import type { Watch } from "./watch.ts";

export class CheckedEngine implements DmaEngine {
  readonly #inner: DmaEngine;
  readonly #watch: Watch;
  readonly #client: Client;
  /** Pieces of work that were handed to the engine. */
  #begun = 0;

  constructor(inner: DmaEngine, watch: Watch, client: Client) {
    this.#inner = inner;
    this.#watch = watch;
    this.#client = client;
  }

  start(
    segments: SegmentList,
    offset: number,
    lengthBytes: number,
    kind: "read" | "write",
    local: Uint8Array,
    done: (ok: boolean) => void,
  ): void {
    this.#begun++;
    this.#inner.start(segments, offset, lengthBytes, kind, local, (ok) => this.#ended(ok, done));
  }

  copy(from: PhysicalRanges, to: PhysicalRanges, done: (ok: boolean) => void): void {
    const { host, log, moves } = this.#watch;
    if (host.anyFreed(from) || host.anyFreed(to)) {
      log.report("EXP-020", this.#client.name, "lets its engine copy pages that were freed");
    }
    const ranges = [from, to];
    const copying = moves.copies(from);
    host.work.add(ranges);
    this.#begun++;
    this.#inner.copy(from, to, (ok) => {
      host.work.delete(ranges);
      copying.ended();
      this.#ended(ok, done);
    });
  }

  /** The driver's own turn. A fence that it signals while it hears of a failure must carry it. */
  #ended(ok: boolean, done: (ok: boolean) => void): void {
    const { actors, fences, log } = this.#watch;
    const { name } = this.#client;
    const begun = this.#begun;
    const turn = fences.beginCompletion(name, !ok);
    try {
      actors.complete(name, () => done(ok));
    } catch (error) {
      turn.end(true);
      log.report(ruleOfThrown(error), name, `the end of its work threw: ${messageOf(error)}`);
      throw error;
    } finally {
      turn.end(this.#begun > begun);
    }
  }
}
