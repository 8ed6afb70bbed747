/**
 * Memory region: what a key stands for, as the NIC keeps it after registration.
 *
 * The NIC checks bounds and access itself; nobody else does. A region without a translation is not
 * present: if it is on demand, an access waits while the host is asked for one (a page fault); any
 * other region refuses the access. At most one fault of a region is with the host at a time.
 */
import { RDMA_ACCESS } from "./registers.ts";
import type { Translation } from "./translation.ts";

/** Called once: with `true` when the region is worth another try, `false` when the host has no page for it. */
export type PageWaiter = (found: boolean) => void;

export class MemoryRegion {
  readonly lengthBytes: number;
  /** The protection domain to which its key belongs. */
  readonly domain: number;
  readonly #access: number;
  readonly #reportFault: () => void;
  readonly #waiting = new Set<PageWaiter>();
  #translation: Translation | undefined;
  #zaps = 0;
  #isFaultReported = false;
  /** The other end of a wire was told to try later ... */
  #hasRemoteWaiting = false;
  /** ... and shall hear next time that there is no page. */
  #refusesNext = false;

  constructor(domain: number, lengthBytes: number, access: number, reportFault: () => void) {
    this.domain = domain;
    this.lengthBytes = lengthBytes;
    this.#access = access;
    this.#reportFault = reportFault;
  }

  /** `undefined`: not present. */
  get translation(): Translation | undefined {
    return this.#translation;
  }

  /** How often it was zapped: a translation made before the last zap is not taken. */
  get zaps(): number {
    return this.#zaps;
  }

  get isOnDemand(): boolean {
    return (this.#access & RDMA_ACCESS.ON_DEMAND) !== 0;
  }

  /** To a queue pair of `domain`. */
  allows(domain: number, offset: number, lengthBytes: number, access: number): boolean {
    const isInside = offset + lengthBytes <= this.lengthBytes;
    return this.domain === domain && (this.#access & access) === access && isInside;
  }

  /** Present from now on: who waited goes on. */
  present(translation: Translation): void {
    this.#translation = translation;
    this.#refusesNext = false;
    this.#answerFault(true);
  }

  /** Not present from now on. Returns what it had. */
  zap(): Translation | undefined {
    const translation = this.#translation;
    this.#translation = undefined;
    this.#zaps++;
    return translation;
  }

  /** The host has no page: who waited fails. The next access asks again. */
  fail(): void {
    this.#refusesNext = this.#hasRemoteWaiting;
    this.#answerFault(false);
  }

  /** Its key is gone: who waited shall look again, and find that out. */
  remove(): void {
    this.#answerFault(true);
  }

  /** Asks the host for a page and calls `waiter` when it has answered. */
  waitForPage(waiter: PageWaiter): void {
    this.#waiting.add(waiter);
    this.#fault();
  }

  /** `false`: it was called already. */
  stopWaiting(waiter: PageWaiter): boolean {
    return this.#waiting.delete(waiter);
  }

  /** An access from the wire finds it not present. `later`: the host was asked, the other end shall try again. */
  faultFromWire(): "later" | "refused" {
    if (this.#refusesNext) {
      this.#refusesNext = false;
      return "refused";
    }
    this.#hasRemoteWaiting = true;
    this.#fault();
    return "later";
  }

  #fault(): void {
    if (!this.#isFaultReported) {
      this.#isFaultReported = true;
      this.#reportFault();
    }
  }

  #answerFault(found: boolean): void {
    this.#isFaultReported = false;
    this.#hasRemoteWaiting = false;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const waiter of waiting) {
      waiter(found);
    }
  }
}
