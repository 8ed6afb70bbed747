/**
 * Checked DMA layer: every list that a platform makes, held against what was asked for and what the
 * device can follow (as kernel/dma/debug.c does, Linux 6.12).
 */
import {
  type Device,
  type Direction,
  type DmaLayer,
  type DmaLimits,
  type DmaRefusal,
  type DmaRequest,
  SegmentList,
} from "@peerbuf/core";
import { isChanged, type LiveList, physicalBehind } from "./dma-ledger.ts";
import type { Watch } from "./watch.ts";

/** Lists longer than this are not compared address by address with others of their client. */
const COMPARED_SEGMENTS_MAX = 64;
const ERRNOS: readonly string[] = ["EREMOTEIO", "EIO", "EINVAL", "ENOMEM"];

export class CheckedDma implements DmaLayer {
  readonly name: string;
  readonly #inner: DmaLayer;
  readonly #watch: Watch;

  constructor(inner: DmaLayer, watch: Watch) {
    this.name = inner.name;
    this.#inner = inner;
    this.#watch = watch;
  }

  map(request: DmaRequest): SegmentList | DmaRefusal {
    const answer = this.#inner.map(request);
    return answered(this.#watch, this.name, answer, request, undefined);
  }

  unmap(client: Device, segments: SegmentList, direction: Direction): void {
    const entry = ended(this.#watch, this.name, client, segments, direction);
    const given = entry?.made ?? segments;
    this.#inner.unmap(client, given, direction);
    if (entry !== undefined) {
      this.#watch.dma.end(entry);
    }
  }
}

/** An answer of a DMA layer: checked, remembered, and copied for who asked. */
export function answered(
  watch: Watch,
  layer: string,
  answer: SegmentList | DmaRefusal,
  request: DmaRequest,
  owner: string | undefined,
): SegmentList | DmaRefusal {
  if (answer instanceof SegmentList) {
    const { client, ranges, direction } = request;
    checkList(watch, layer, answer, request);
    const origin = watch.origin();
    const entry = watch.dma.add({ client, made: answer, ranges, direction, owner, origin });
    checkAliases(watch, layer, entry);
    return entry.segments;
  }
  checkRefusal(watch, layer, answer);
  return answer;
}

/** The entry of a list that is given back; its misuse is said, and the platform decides. */
export function ended(
  watch: Watch,
  who: string,
  client: Device,
  segments: SegmentList,
  direction: Direction,
): LiveList | undefined {
  const entry = watch.dma.find(segments);
  if (entry === undefined || entry.client !== client) {
    const text = `unmaps a list that is not mapped for ${client.id}`;
    watch.log.report("PLT-011", who, text);
    return undefined;
  }
  if (entry.direction !== direction) {
    const text = `unmaps ${direction} what was mapped ${entry.direction}`;
    watch.log.report("PLT-012", who, text, entry.origin);
  }
  if (isChanged(entry)) {
    const holder = entry.holder?.importer ?? who;
    watch.log.report("IMP-045", holder, "has written into the list of a mapping", entry.origin);
  }
  if (entry.running > 0) {
    const text = `unmaps memory of ${client.id} while ${entry.running} of its DMA runs`;
    watch.log.report("IMP-028", client.id, text, entry.origin);
  }
  return entry;
}

function checkRefusal(watch: Watch, layer: string, answer: DmaRefusal): void {
  if (typeof (answer as { then?: unknown }).then === "function") {
    watch.log.report("PLT-009", layer, "answers a map with a promise");
    return;
  }
  const { errno, code, text } = answer;
  if (answer.answer !== "refused" || !ERRNOS.includes(errno) || !code || !text) {
    watch.log.report("PLT-010", layer, `refuses with errno ${errno}, code ${code}`);
  }
}

function checkList(watch: Watch, layer: string, list: SegmentList, request: DmaRequest): void {
  const { client, ranges, limits, route } = request;
  const about = `${layer} for ${client.id}`;
  if (watch.dma.isLive(list)) {
    watch.log.report("PLT-007", about, "hands out a list that is in use");
  }
  let sizeBytes = 0;
  let busCount = 0;
  for (let index = 0; index < list.count; index++) {
    sizeBytes += list.lengthBytes(index);
    busCount += list.isBusAddress(index) ? 1 : 0;
    checkSegment(watch, about, list.address(index), list.lengthBytes(index), limits);
  }
  if (sizeBytes !== ranges.sizeBytes || list.sizeBytes !== ranges.sizeBytes) {
    const text = `maps ${sizeBytes} of ${ranges.sizeBytes} bytes`;
    watch.log.report("PLT-001", about, text);
  }
  if (list.count > limits.segmentCountMax) {
    const text = `makes ${list.count} segments, the device takes ${limits.segmentCountMax}`;
    watch.log.report("PLT-004", about, text);
  }
  if (busCount > 0 && route !== "bus-addr") {
    watch.log.report("PLT-008", about, `gives bus addresses for the route ${route}`);
  }
}

function checkSegment(
  watch: Watch,
  about: string,
  address: number,
  lengthBytes: number,
  { addressMax, segmentBytesMax, boundaryBytes, alignmentBytes }: DmaLimits,
): void {
  const last = address + lengthBytes - 1;
  const at = `a segment at 0x${address.toString(16)} of ${lengthBytes} bytes`;
  if (last > addressMax) {
    watch.log.report("PLT-002", about, `${at}, the device reaches 0x${addressMax.toString(16)}`);
  }
  if (lengthBytes > segmentBytesMax) {
    watch.log.report("PLT-003", about, `${at}, the longest is ${segmentBytesMax}`);
  }
  if (boundaryBytes > 0 && crosses(address, last, boundaryBytes)) {
    watch.log.report("PLT-005", about, `${at} crosses a multiple of ${boundaryBytes}`);
  }
  if (address % alignmentBytes !== 0) {
    watch.log.report("PLT-006", about, `${at}, the alignment is ${alignmentBytes}`);
  }
}

const crosses = (first: number, last: number, boundaryBytes: number): boolean =>
  Math.floor(first / boundaryBytes) !== Math.floor(last / boundaryBytes);

/** The same address of one client for other memory. */
function checkAliases(watch: Watch, layer: string, entry: LiveList): void {
  const { segments, client } = entry;
  if (segments.count > COMPARED_SEGMENTS_MAX) {
    return;
  }
  for (let index = 0; index < segments.count; index++) {
    const address = segments.address(index);
    for (const other of watch.dma.at(client, address)) {
      if (other !== entry && physicalBehind(other, address) !== physicalBehind(entry, address)) {
        const text = `0x${address.toString(16)} leads to two places`;
        watch.log.report("PLT-013", `${layer} for ${client.id}`, text);
      }
    }
  }
}
