/**
 * Protection domains: who may use which keys.
 *
 * A region and a queue pair belong to one domain each, for life; a queue pair uses keys of its own domain
 * only, on either side of the wire. A domain that something belongs to cannot be released.
 */
import { RDMA_PROTECTION_DOMAINS_MAX } from "./registers.ts";

export class ProtectionDomains {
  /** Regions and queue pairs in each. */
  readonly #members = new Map<number, number>();

  /** Its number, from 1 on; `undefined` when there are as many as there may be. */
  allocate(): number | undefined {
    for (let domain = 1; domain <= RDMA_PROTECTION_DOMAINS_MAX; domain++) {
      if (!this.#members.has(domain)) {
        this.#members.set(domain, 0);
        return domain;
      }
    }
    return undefined;
  }

  has(domain: number): boolean {
    return this.#members.has(domain);
  }

  enter(domain: number): void {
    this.#members.set(domain, (this.#members.get(domain) ?? 0) + 1);
  }

  leave(domain: number): void {
    this.#members.set(domain, (this.#members.get(domain) ?? 1) - 1);
  }

  release(domain: number): "released" | "busy" | "unknown" {
    const members = this.#members.get(domain);
    if (members === undefined) {
      return "unknown";
    }
    if (members > 0) {
      return "busy";
    }
    this.#members.delete(domain);
    return "released";
  }

  /** Forgets everything. */
  clear(): void {
    this.#members.clear();
  }
}
