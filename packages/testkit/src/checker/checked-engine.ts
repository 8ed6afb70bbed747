/**
 * Checked engine: a device's engine in the light world, whose completions are its driver's.
 */
import type { PhysicalRanges, SegmentList } from "@peerbuf/core";
import type { DmaEngine } from "../ground/dma-engine.ts";
import type { Client } from "./checked-services.ts";
import type { Watch } from "./watch.ts";

export class CheckedEngine implements DmaEngine {
  readonly #inner: DmaEngine;
  readonly #watch: Watch;
  readonly #client: Client;

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
    this.#inner.start(segments, offset, lengthBytes, kind, local, this.#completion(done));
  }

  copy(from: PhysicalRanges, to: PhysicalRanges, done: (ok: boolean) => void): void {
    this.#inner.copy(from, to, this.#completion(done));
  }

  #completion(done: (ok: boolean) => void): (ok: boolean) => void {
    return (ok) => this.#watch.actors.complete(this.#client.name, () => done(ok));
  }
}
