/**
 * ACS gate: what a function's ACS bits do to requests and completions (PCIe base specification 5.0, 6.12).
 *
 * A downstream port (of a switch, or a root port) looks at what comes from below: Source Validation at the
 * requester id, Translation Blocking at the address type. What turns towards a peer is sent up or blocked by
 * P2P Request Redirect and P2P Egress Control with its vector (table 6-11), unless it is translated and
 * Direct Translated P2P is set; Completion Redirect does the same to completions without relaxed ordering.
 * What targets the port's own egress goes on upwards with Upstream Forwarding only.
 *
 * Two choices of this model: a port that could do Upstream Forwarding and does not ends redirected requests as
 * unsupported; one that cannot, or of which nothing is known, passes them up.
 * Of multi-function devices, only functions of one device number are each other's peers: ARI's groups are not known here.
 */
import { ACS, ACS_PRESENT, findCapability, PORT_TYPE, type Topology } from "@peerbuf/topology";
import type { Requester } from "./requester.ts";

const PCI_EXPRESS = 0x10;
/** Link capabilities, from the PCI Express capability; its last byte is the port number. */
const PORT_NUMBER = 0x0f;

export type Gate = "direct" | "redirect" | "block";
/** Why a port does not take a request from below. */
export type IngressViolation = "ACS_SOURCE_INVALID" | "ACS_TRANSLATED_BLOCKED";

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

  /** A request comes to the bridge from below. */
  violationFromBelow(row: number, requester: Requester): IngressViolation | undefined {
    if (!isDownstreamPort(this.#topology.table.portType[row] as number)) {
      return undefined;
    }
    if (this.#isSet(row, ACS.SV) && !this.#isBelow(row, requester)) {
      return "ACS_SOURCE_INVALID";
    }
    const isTranslated = requester.attributes.translated === true;
    return isTranslated && this.#isSet(row, ACS.TB) ? "ACS_TRANSLATED_BLOCKED" : undefined;
  }

  /** A request that entered at `row` wants to leave to its peer `target` on the same bus (table 6-11). */
  request(row: number, target: number, isTranslated = false): Gate {
    if (isTranslated && this.#isSet(row, ACS.DT)) {
      return "direct";
    }
    const redirect = this.#isSet(row, ACS.RR);
    if (this.#isSet(row, ACS.EC)) {
      if (!this.#egressBit(row, target)) {
        return "direct";
      }
      return redirect ? "redirect" : "block";
    }
    return redirect ? "redirect" : "direct";
  }

  /** A completion enters at `row` on its way back to a peer: is it sent up instead? */
  redirectsCompletion(row: number, requester: Requester): boolean {
    return requester.attributes.relaxedOrdering !== true && this.#isSet(row, ACS.CR);
  }

  /** What came from below the port and belongs below it: does it go up all the same? `undefined`: no bit for it. */
  forwardsUp(row: number): boolean | undefined {
    const { acsState, acsCapability } = this.#topology.table;
    const canForward =
      acsState[row] === ACS_PRESENT && ((acsCapability[row] as number) & ACS.UF) !== 0;
    return canForward ? this.#isSet(row, ACS.UF) : undefined;
  }

  #isSet(row: number, bit: number): boolean {
    return ((this.#control[row] as number) & bit) !== 0;
  }

  /** Ports whose bus numbers are not known let every source pass. */
  #isBelow(row: number, { bus }: Requester): boolean {
    const { secondaryBus, subordinateBus } = this.#topology.table;
    const first = secondaryBus[row] as number;
    const last = subordinateBus[row] as number;
    return first < 0 || last < 0 || (bus >= first && bus <= last);
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
    const kind = portType[row] as number;
    if (isDownstreamPort(kind)) {
      return portType[target] === kind ? this.#portNumber(target) : -1;
    }
    const from = devfn[row] as number;
    const to = devfn[target] as number;
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

const isDownstreamPort = (portType: number): boolean =>
  portType === PORT_TYPE.SWITCH_DOWNSTREAM || portType === PORT_TYPE.ROOT_PORT;
