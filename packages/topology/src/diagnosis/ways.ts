/**
 * Ways: facts of every function that are asked for each pair, worked out once.
 *
 * A diagnosis looks at every ordered pair of its scope, which can be millions; nothing here allocates for a pair.
 */
import type { Answer } from "../rules/host-bridge.ts";
import { redirectAnswer } from "../rules/judge-pair.ts";
import type { KernelRules } from "../rules/kernel-rules.ts";
import type { Topology } from "../topology.ts";
import { socketOf } from "./path-class-of.ts";
import { translationsOf } from "./translation.ts";

/** Answers as they are kept in a byte. */
const TRANSLATION_ORDER: readonly Answer[] = ["no", "yes", "unknown"];
const YES = TRANSLATION_ORDER.indexOf("yes");
const UNKNOWN = TRANSLATION_ORDER.indexOf("unknown");

export class Ways {
  readonly #topology: Topology;
  /** By row: functions above it, and the highest of them. */
  readonly #depth: Uint16Array;
  readonly #top: Int32Array;
  readonly #redirects: Uint8Array;
  readonly #isTranslated: Uint8Array;
  readonly #socket: Int32Array;

  constructor(topology: Topology, rules: KernelRules) {
    const { count } = topology;
    this.#topology = topology;
    this.#depth = new Uint16Array(count);
    this.#top = new Int32Array(count);
    this.#redirects = new Uint8Array(count);
    this.#isTranslated = new Uint8Array(count);
    this.#socket = new Int32Array(count);
    const translationAt = translationsOf(topology);
    for (let row = 0; row < count; row++) {
      this.#redirects[row] = redirectAnswer(topology, rules, row) === "yes" ? 1 : 0;
      this.#isTranslated[row] = TRANSLATION_ORDER.indexOf(translationAt(row).isTranslated);
      this.#socket[row] = socketOf(topology, row);
      this.#climb(row);
    }
  }

  #climb(row: number): void {
    let depth = 0;
    let top = row;
    for (let above = row; above >= 0; above = this.#topology.upstreamOf(above)) {
      depth += 1;
      top = above;
    }
    this.#depth[row] = depth;
    this.#top[row] = top;
  }

  /** Is there a function above both? */
  meetBelowRoot(one: number, other: number): boolean {
    return this.#top[one] === this.#top[other];
  }

  isTranslated(row: number): boolean {
    return this.#isTranslated[row] === YES;
  }

  /** Does the capture leave open whether an IOMMU translates its requests? */
  isTranslationOpen(row: number): boolean {
    return this.#isTranslated[row] === UNKNOWN;
  }

  /** Are both sockets known, and different? */
  crossesSockets(one: number, other: number): boolean {
    const [near, far] = [this.#socket[one] as number, this.#socket[other] as number];
    return near !== far && near !== -1 && far !== -1;
  }

  /**
   * Puts the rows that redirect between a pair and its common function, that one included, into `rows`.
   * @returns how many there are; 0 for a pair that meets only in the root complex
   */
  addRedirects(one: number, other: number, rows: Set<number>): number {
    if (!this.meetBelowRoot(one, other)) {
      return 0;
    }
    let near = one;
    let far = other;
    let count = 0;
    while (near !== far) {
      const isNearDeeper = (this.#depth[near] as number) >= (this.#depth[far] as number);
      const at = isNearDeeper ? near : far;
      count += this.#addRedirect(at, rows);
      near = isNearDeeper ? this.#topology.upstreamOf(near) : near;
      far = isNearDeeper ? far : this.#topology.upstreamOf(far);
    }
    return count + this.#addRedirect(near, rows);
  }

  /** Puts the rows that redirect on the whole way from a function to the root complex into `rows`. */
  addRedirectsAbove(row: number, rows: Set<number>): void {
    for (let at = row; at >= 0; at = this.#topology.upstreamOf(at)) {
      this.#addRedirect(at, rows);
    }
  }

  #addRedirect(row: number, rows: Set<number>): number {
    if (this.#redirects[row] === 0) {
      return 0;
    }
    rows.add(row);
    return 1;
  }
}
