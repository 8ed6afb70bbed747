/**
 * Data pointer: the memory that a command means, told by PRPs or by an SGL as its PSDT field says.
 */
import type { DevicePort } from "../../device-model.ts";
import { type NvmeCommand, POINTER } from "./command.ts";
import { walkPrps } from "./prp.ts";
import { type DataWay, walkSgl } from "./sgl.ts";
import { STATUS } from "./status.ts";
import type { WalkResult } from "./transfer-runs.ts";

/** `lengthBytes` is positive. */
export function walkData(
  port: Pick<DevicePort, "read">,
  command: NvmeCommand,
  lengthBytes: number,
  way: DataWay,
): WalkResult {
  switch (command.pointer) {
    case POINTER.PRP:
      return walkPrps(port, command.prp1, command.prp2, lengthBytes);
    case POINTER.SGL:
    case POINTER.SGL_WITH_METADATA_SEGMENT: // The namespace has no metadata, so nothing is there.
      return walkSgl(port, command.sgl1, lengthBytes, way);
    default:
      return { status: STATUS.INVALID_FIELD };
  }
}
