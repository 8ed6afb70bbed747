/**
 * Loss report: who logs what of a request that reached nothing (PCIe base specification 5.0, 6.2).
 */

import { PORT_TYPE, type Topology } from "@peerbuf/topology";
import type { ErrorRegisters, Header } from "./error-registers.ts";
import { CPU, type Requester } from "./requester.ts";
import type { AccessKind } from "./root-complex.ts";
import { type LossReason, lostAt, ROOT_COMPLEX, type Route } from "./route.ts";
import { headerOf } from "./tlp-header.ts";

/** A request, or the piece of it, that was lost. */
export interface LostRequest {
  readonly requester: Requester;
  readonly kind: AccessKind;
  /** As the requester put it on the bus. */
  readonly address: number;
  readonly lengthBytes: number;
}

/** Sets the bits that hardware would set. `route`: the one on which it was lost. */
export function reportLoss(
  registers: ErrorRegisters,
  topology: Topology,
  request: LostRequest,
  reason: LossReason,
  route: Route,
): void {
  const { requester, kind } = request;
  const at = lostAt(route);
  const isRead = kind === "read";
  const header: Header = () => headerOf(topology, request);
  switch (reason) {
    case "UNCLAIMED":
    case "MEMORY_OFF":
    case "LINK_DOWN":
    case "BUS_MASTER_OFF": {
      const isOwn = at === requester.row && requester.row !== CPU;
      const detector = at === ROOT_COMPLEX ? portOf(topology, route.rootPort) : at;
      if (isOwn && (reason === "BUS_MASTER_OFF" || reason === "LINK_DOWN")) {
        return; // It never left the function.
      }
      if (detector >= 0) {
        registers.detect(detector, "UNSUPPORTED_REQUEST", isRead, header);
      }
      receive(registers, requester, isRead, false);
      return;
    }
    case "ACS_NOT_FORWARDED":
      registers.detect(at, "UNSUPPORTED_REQUEST", isRead, header);
      receive(registers, requester, isRead, false);
      return;
    case "ACS_BLOCKED":
    case "ACS_SOURCE_INVALID":
    case "ACS_TRANSLATED_BLOCKED":
      registers.detect(at, "ACS_VIOLATION", isRead, header);
      if (isRead) {
        registers.signalAbort(at);
      }
      receive(registers, requester, isRead, true);
      return;
    case "COMPLETER_ABORT":
      registers.detect(at, "COMPLETER_ABORT", isRead, header);
      if (isRead) {
        registers.signalAbort(at);
      }
      receive(registers, requester, isRead, true);
      return;
    case "COMPLETION_LOST":
      if (at >= 0) {
        registers.detect(at, "UNEXPECTED_COMPLETION", true);
      }
      registers.detect(requester.row, "COMPLETION_TIMEOUT", false);
      return;
    case "COMPLETION_DROPPED":
      registers.detect(requester.row, "COMPLETION_TIMEOUT", false);
      return;
    case "IOMMU_NO_DOMAIN":
    case "IOMMU_NOT_PRESENT":
    case "IOMMU_PERMISSION":
    case "IOMMU_TRANSLATED_BLOCKED":
      receive(registers, requester, isRead, false);
      return;
    case "ROOT_COMPLEX_DROPS":
    case "NOTHING_BEHIND_BAR":
    case "NOT_MAPPED":
      return;
  }
}

/** The completion of a read says so to whose id the request bears; if that is another, who asked waits in vain. */
function receive(
  registers: ErrorRegisters,
  { row, idRow }: Requester,
  isRead: boolean,
  isCompleterAbort: boolean,
): void {
  if (!isRead || row === CPU) {
    return;
  }
  if (row === idRow) {
    registers.receiveAbort(row, isCompleterAbort);
    return;
  }
  if (idRow >= 0) {
    registers.detect(idRow, "UNEXPECTED_COMPLETION", true);
  }
  registers.detect(row, "COMPLETION_TIMEOUT", false);
}

/** What the root complex finds wrong with a request is logged by the root port it came through. */
function portOf(topology: Topology, row: number): number {
  return row >= 0 && topology.table.portType[row] === PORT_TYPE.ROOT_PORT ? row : -1;
}
