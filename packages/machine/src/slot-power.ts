/**
 * Slot power: which functions are there, and which leave together.
 *
 * A card is everything below the port of its slot, or one device number where several devices share a bus.
 * Who is gone neither answers nor issues; the port above has a link that is down then. What config space
 * says of the slot (presence detect, power controller) is not modelled: any card can be pulled.
 */
import { PORT_TYPE, type Topology } from "@peerbuf/topology";

export class SlotPower {
  readonly #topology: Topology;
  /** By row: 1 when the function was taken out. */
  readonly #gone: Uint8Array;

  constructor(topology: Topology) {
    this.#topology = topology;
    this.#gone = new Uint8Array(topology.count);
  }

  isPresent(row: number): boolean {
    return this.#gone[row] === 0;
  }

  setPresent(rows: Iterable<number>, isPresent: boolean): void {
    for (const row of rows) {
      this.#gone[row] = isPresent ? 0 : 1;
    }
  }

  /** A port whose card was taken out. */
  isLinkDown(port: number): boolean {
    const below = this.#topology.childrenOf(port);
    return (
      this.#isPointToPoint(port) && below.length > 0 && below.every((row) => !this.isPresent(row))
    );
  }

  /** The bridge above the card that the function is part of, -1 on a root bus. */
  portOf(row: number): number {
    return this.#topology.parentOf(this.#physicalOf(row));
  }

  /** Rows of the card that the function is part of, in row order. */
  cardOf(row: number): readonly number[] {
    const topology = this.#topology;
    const { devfn, bus } = topology.table;
    const top = this.#physicalOf(row);
    const port = this.portOf(row);
    const isWhole = port >= 0 && this.#isPointToPoint(port);
    const isHead = (other: number): boolean =>
      topology.parentOf(other) === port &&
      (isWhole ||
        (bus[other] === bus[top] &&
          (devfn[other] as number) >> 3 === (devfn[top] as number) >> 3 &&
          topology.rootBusOf(other) === topology.rootBusOf(top)));
    return Array.from({ length: topology.count }, (_, at) => at).filter((at) =>
      this.#chain(at).some(isHead),
    );
  }

  #isPointToPoint(port: number): boolean {
    const kind = this.#topology.table.portType[port];
    return kind === PORT_TYPE.ROOT_PORT || kind === PORT_TYPE.SWITCH_DOWNSTREAM;
  }

  #physicalOf(row: number): number {
    const physical = this.#topology.table.physicalFunction[row] as number;
    return physical < 0 ? row : physical;
  }

  /** The function and the bridges above it; a virtual function goes where its physical function goes. */
  #chain(row: number): number[] {
    const chain: number[] = [];
    for (let at = this.#physicalOf(row); at >= 0; at = this.#topology.parentOf(at)) {
      chain.push(at);
    }
    return chain;
  }
}
