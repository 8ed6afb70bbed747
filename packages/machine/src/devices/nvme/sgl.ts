/**
 * SGL walker: from the descriptor in a command to the memory it means (NVMe 1.4 section 4.4).
 *
 * One data block fits the command itself. Otherwise the descriptor names a segment: a list of
 * descriptors, of which the last may name one more. Data blocks begin and end at any byte; the bytes of
 * a bit bucket are thrown away when the data goes to the host, and there are none when it comes from
 * it. All blocks together are as long as the command's data, neither more nor less (SGLS bit 18 is 0).
 */
import type { DevicePort } from "../../device-model.ts";
import {
  decodeSglDescriptor,
  SGL_DESCRIPTOR_BYTES,
  SGL_TYPE,
  type SglDescriptor,
} from "./sgl-descriptor.ts";
import { STATUS, type Status } from "./status.ts";
import { appendRun, DISCARDED, type TransferRuns, type WalkResult } from "./transfer-runs.ts";

/** Descriptors of one command, in all its segments: past it the list is refused, so a loop ends. */
export const SGL_DESCRIPTORS_MAX = 65_536;

/** Which way the data of the command goes. */
export type DataWay = "to-host" | "from-host";

type Port = Pick<DevicePort, "read">;
type Failure = Exclude<Status, typeof STATUS.SUCCESS>;

interface Walk {
  readonly port: Port;
  readonly way: DataWay;
  readonly runs: TransferRuns;
  /** Bytes of data without a place so far. */
  left: number;
  descriptorsLeft: number;
}

/** Fetches segments through `port` as needed. `lengthBytes` is positive. */
export function walkSgl(
  port: Port,
  first: SglDescriptor,
  lengthBytes: number,
  way: DataWay,
): WalkResult {
  const descriptorsLeft = SGL_DESCRIPTORS_MAX;
  const walk: Walk = { port, way, runs: [], left: lengthBytes, descriptorsLeft };
  const failure = isPointer(first) ? takeSegments(walk, first) : takeData(walk, first);
  if (failure !== undefined) {
    return { status: failure };
  }
  return walk.left === 0
    ? { status: STATUS.SUCCESS, runs: walk.runs }
    : { status: STATUS.DATA_SGL_LENGTH_INVALID };
}

function takeSegments(walk: Walk, first: SglDescriptor): Failure | undefined {
  let pointer: SglDescriptor | undefined = first;
  while (pointer !== undefined) {
    const segment = fetchSegment(walk, pointer);
    if (typeof segment === "number") {
      return segment;
    }
    const next = takeSegment(walk, segment, pointer.type === SGL_TYPE.LAST_SEGMENT);
    if (typeof next === "number") {
      return next;
    }
    pointer = next;
  }
  return undefined;
}

/** All descriptors of one segment. The answer: where the next one is, if there is one. */
function takeSegment(
  walk: Walk,
  segment: DataView,
  isLast: boolean,
): SglDescriptor | Failure | undefined {
  const count = segment.byteLength / SGL_DESCRIPTOR_BYTES;
  for (let index = 0; index < count; index++) {
    const descriptor = decodeSglDescriptor(segment, index * SGL_DESCRIPTOR_BYTES);
    const isEnd = index === count - 1;
    if (isPointer(descriptor)) {
      return pointerAt(descriptor, isEnd, isLast);
    }
    const failure = takeData(walk, descriptor);
    if (failure !== undefined) {
      return failure;
    }
  }
  return isLast ? undefined : STATUS.INVALID_SGL_SEGMENT; // It should have ended with a pointer.
}

function pointerAt(
  descriptor: SglDescriptor,
  isEnd: boolean,
  isLast: boolean,
): SglDescriptor | Failure {
  if (!isEnd) {
    return STATUS.INVALID_SGL_DESCRIPTOR_COUNT;
  }
  return isLast ? STATUS.INVALID_SGL_SEGMENT : descriptor;
}

function fetchSegment(walk: Walk, { address, lengthBytes }: SglDescriptor): DataView | Failure {
  if (lengthBytes === 0 || lengthBytes % SGL_DESCRIPTOR_BYTES !== 0 || address % 8 !== 0) {
    return STATUS.INVALID_SGL_SEGMENT;
  }
  walk.descriptorsLeft -= lengthBytes / SGL_DESCRIPTOR_BYTES;
  if (walk.descriptorsLeft < 0) {
    return STATUS.INVALID_SGL_DESCRIPTOR_COUNT;
  }
  const bytes = new Uint8Array(lengthBytes);
  const { ok } = walk.port.read(address, bytes, 0, lengthBytes);
  return ok ? new DataView(bytes.buffer) : STATUS.DATA_TRANSFER_ERROR;
}

function takeData(walk: Walk, { type, address, lengthBytes }: SglDescriptor): Failure | undefined {
  if (type !== SGL_TYPE.DATA_BLOCK && type !== SGL_TYPE.BIT_BUCKET) {
    return STATUS.SGL_DESCRIPTOR_TYPE_INVALID;
  }
  const isBucket = type === SGL_TYPE.BIT_BUCKET;
  if (lengthBytes === 0 || (isBucket && walk.way === "from-host")) {
    return undefined;
  }
  if (lengthBytes > walk.left) {
    return STATUS.DATA_SGL_LENGTH_INVALID;
  }
  walk.left -= lengthBytes;
  appendRun(walk.runs, isBucket ? DISCARDED : address, lengthBytes);
  return undefined;
}

function isPointer({ type }: SglDescriptor): boolean {
  return type === SGL_TYPE.SEGMENT || type === SGL_TYPE.LAST_SEGMENT;
}
