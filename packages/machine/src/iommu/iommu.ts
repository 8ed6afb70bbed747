/**
 * IOMMU: translates what devices send through the root complex.
 *
 * Stands where hardware has it: a request that turns round below the root complex never meets it. Finds
 * the domain by the requester, so a peer's mappings are of no use, and a function that was never given
 * a domain reaches nothing. Keeps no policy: what is mapped is the DMA layer's business.
 */
import type { Topology } from "@peerbuf/topology";
import type { AccessKind } from "../root-complex.ts";
import { dmaAliasOf } from "./dma-alias.ts";
import { type Domain, NO_PERMISSION, NOT_PRESENT } from "./domain.ts";
import { IOVA_PAGE_BYTES } from "./iova-allocator.ts";
import { MAY_READ, MAY_WRITE } from "./page-table.ts";

const NO_DOMAIN = -3;

/** Why it did not translate. */
export type IommuFault =
  | "IOMMU_NO_DOMAIN"
  | "IOMMU_NOT_PRESENT"
  | "IOMMU_PERMISSION"
  /** A request that says it is translated, from a function without ATS. */
  | "IOMMU_TRANSLATED_BLOCKED";

export class Iommu {
  readonly #topology: Topology;
  /** By alias. */
  readonly #domains = new Map<number, Domain>();
  /** By row. */
  readonly #byRow: (Domain | undefined)[];
  #reachBytes = 0;

  constructor(topology: Topology) {
    this.#topology = topology;
    this.#byRow = new Array<Domain | undefined>(topology.count).fill(undefined);
  }

  /** The domain of a function and its aliases, made when it is asked for first. */
  domainOf(row: number, make: () => Domain): Domain {
    const known = this.#byRow[row];
    if (known !== undefined) {
      return known;
    }
    const alias = dmaAliasOf(this.#topology, row);
    const domain = this.#domains.get(alias) ?? make();
    this.#domains.set(alias, domain);
    this.#byRow[row] = domain;
    return domain;
  }

  get domains(): Iterable<Domain> {
    return this.#domains.values();
  }

  /**
   * Physical address of the byte at a device address, or a negative number (see `faultOf`). `reachBytes`,
   * up to `lengthBytes`, then says how far what follows lies behind it, or fails for the same reason.
   */
  translate(row: number, iova: number, kind: AccessKind, lengthBytes: number): number {
    const domain = this.#found(row);
    if (domain === undefined) {
      this.#reachBytes = lengthBytes;
      return NO_DOMAIN;
    }
    const right = kind === "read" ? MAY_READ : MAY_WRITE;
    const first = domain.translate(iova, right);
    let reach = stepOf(domain, first, iova);
    while (reach < lengthBytes) {
      const next = domain.translate(iova + reach, right);
      if (next !== (first < 0 ? first : first + reach)) {
        break;
      }
      reach += stepOf(domain, next, iova + reach);
    }
    this.#reachBytes = Math.min(reach, lengthBytes);
    return first;
  }

  get reachBytes(): number {
    return this.#reachBytes;
  }

  /** As `translate` answers for one byte; hardware remembers nothing of it. */
  peek(row: number, iova: number, kind: AccessKind): number {
    const right = kind === "read" ? MAY_READ : MAY_WRITE;
    return this.#found(row)?.peek(iova, right) ?? NO_DOMAIN;
  }

  /** A function behind a bridge to conventional PCI may use what another one there was given. */
  #found(row: number): Domain | undefined {
    // Nobody bears the id.
    if (row < 0) {
      return undefined;
    }
    return this.#byRow[row] ?? this.#domains.get(dmaAliasOf(this.#topology, row));
  }
}

/** Bytes to where the answer may be another one. */
const stepOf = (domain: Domain, answer: number, iova: number): number =>
  answer >= 0 ? domain.reachBytes : IOVA_PAGE_BYTES - (iova % IOVA_PAGE_BYTES);

export function faultOf(answer: number): IommuFault {
  switch (answer) {
    case NOT_PRESENT:
      return "IOMMU_NOT_PRESENT";
    case NO_PERMISSION:
      return "IOMMU_PERMISSION";
    default:
      return "IOMMU_NO_DOMAIN";
  }
}
