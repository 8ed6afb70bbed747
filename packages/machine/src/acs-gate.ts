/**
 * ACS gate: what a function's ACS bits do to a request for a peer (PCIe base specification 5.0, 6.12).
 *
 * Acted upon: P2P Request Redirect, P2P Completion Redirect and P2P Egress Control with its vector.
 * Not acted upon: Source Validation and Translation Blocking (nothing here forges requester ids or
 * sends translated requests), Direct Translated P2P, egress control between root ports (the root
 * complex's profile decides there), and Upstream Forwarding, which is taken as set: a redirected
 * request always finds its way up.
 */
import { ACS, ACS_PRESENT, findCapability, PORT_TYPE, type Topology } from "@peerbuf/topology";

const PCI_EXPRESS = 0x10;
/** Link capabilities, from the PCI Express capability; its last byte is the port number. */
const PORT_NUMBER = 0x0f;

export type Gate = "direct" | "redirect" | "block";

export class AcsGate {
  readonly #topology: Topology;
  /** ACS control by row; 0 for functions without ACS. Starts as captured. */
  readonly #control: Uint16Array;

  constructor(topology: Topology) {
    this.#topology = topology;
    const { acsState, acsControl } = topology.table;
    this.#control = acsControl.map((bits, row) => (acsState[row] === ACS_PRESENT ? bits : 0));
  }

  controlOf(row: number): number {
    return this.#control[row] as number;
  }

  setControl(row: number, bits: number): void {
    this.#control[row] = bits;
  }

  /** A request that entered at `row` wants to leave to its peer `target` on the same bus (table 6-11). */
  request(row: number, target: number): Gate {
    const control = this.#control[row] as number;
    const redirect = (control & ACS.RR) !== 0;
    if ((control & ACS.EC) !== 0) {
      if (!this.#egressBit(row, target)) {
        return "direct";
      }
      return redirect ? "redirect" : "block";
    }
    return redirect ? "redirect" : "direct";
  }

  /** The completion of a read enters at `row` on its way back to a peer: is it sent up instead? */
  redirectsCompletion(row: number): boolean {
    return ((this.#control[row] as number) & ACS.CR) !== 0;
  }

  #egressBit(row: number, target: number): boolean {
    const { egress, egressOffset, egressLength } = this.#topology.table;
    const bit = this.#egressNumber(row, target);
    const byte = bit >> 3;
    return (
      bit >= 0 &&
      byte < (egressLength[row] as number) &&
      (((egress[(egressOffset[row] as number) + byte] as number) >> (bit & 7)) & 1) === 1
    );
  }

  /** A port's vector has a bit for each port number, a multi-function device's for each function; -1: none. */
  #egressNumber(row: number, target: number): number {
    const { portType, devfn } = this.#topology.table;
    const from = devfn[row] as number;
    const to = devfn[target] as number;
    if (portType[row] === PORT_TYPE.SWITCH_DOWNSTREAM) {
      return portType[target] === PORT_TYPE.SWITCH_DOWNSTREAM ? this.#portNumber(target) : -1;
    }
    return from >> 3 === to >> 3 ? to & 7 : -1;
  }

  /** As in link capabilities; the device number where config space was not captured that far. */
  #portNumber(row: number): number {
    const config = this.#topology.configOf(row);
    const capability = findCapability(config, PCI_EXPRESS);
    const captured = capability > 0 ? config[capability + PORT_NUMBER] : undefined;
    return captured ?? (this.#topology.table.devfn[row] as number) >> 3;
  }
}
