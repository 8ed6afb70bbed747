/**
 * Device access: one read or write of a device's engine, against what is mapped for it now.
 */
import { type Device, deviceReads, deviceWrites } from "@peerbuf/core";
import { beginWork, isOwn, ownWork } from "./device-work.ts";
import { type LiveList, POISON_ADDRESS } from "./dma-ledger.ts";
import { nameOf, type Published } from "./fence-book.ts";
import type { Watch } from "./watch.ts";

export interface DeviceAccess {
  readonly client: Device;
  readonly address: number;
  readonly lengthBytes: number;
  readonly kind: "read" | "write";
  /** The engine says nothing of its work but this: each access is held against the fence as a job is. Default `false`. */
  readonly isWork?: boolean;
}

/** May it? What may not is a violation, and the engine should let it reach nothing. */
export function judgeAccess(watch: Watch, access: DeviceAccess): boolean {
  const { client, address, lengthBytes, kind } = access;
  watch.seesDevices = true;
  const text = `${kind}s ${lengthBytes} bytes at 0x${address.toString(16)}`;
  if (address >= POISON_ADDRESS) {
    watch.log.report("IMP-016", client.id, `${text}, which belongs to a mapping that is over`);
    return false;
  }
  const reached = watch.dma.at(client, address);
  if (!isCovered(watch, access)) {
    watch.log.report("IMP-016", client.id, `${text}, which is not mapped for it`);
    return false;
  }
  const allows = kind === "read" ? deviceReads : deviceWrites;
  const allowing = reached.filter(({ direction }) => allows(direction));
  if (allowing.length === 0) {
    const found = reached.map(({ direction }) => direction).join(", ");
    watch.log.report("IMP-021", client.id, `${text}, which is mapped ${found}`);
    return false;
  }
  const late = allowing.every(({ ready }) => ready !== undefined && !ready.poll());
  if (late) {
    const ready = allowing[0]?.ready;
    const fence = ready === undefined ? "its bytes" : nameOf(ready);
    watch.log.report("IMP-022", client.id, `${text} before ${fence} is signaled`);
  }
  checkTurn(watch, access, allowing);
  checkUsage(watch, access, allowing);
  if (access.isWork === true) {
    for (const { segments } of allowing) {
      const { end } = beginWork(watch, segments);
      queueMicrotask(end); // Behind the look at its fence.
    }
  }
  return !late;
}

/** Implicit work that was published later than work in its way which still runs. */
function checkTurn(watch: Watch, { client, kind }: DeviceAccess, lists: readonly LiveList[]): void {
  for (const { holder } of lists) {
    if (holder === undefined) {
      continue;
    }
    const work = watch.fences.workOn(holder.reservation);
    const own = work.find((each) => isImplicit(each.place) && isOwn(each, holder));
    const before = work.find(
      (each) =>
        own !== undefined &&
        each.order < own.order &&
        !isOwn(each, holder) &&
        isInTheWay(each.place, kind),
    );
    if (before !== undefined) {
      const text = `${kind}s "${holder.attachment.buffer.name}" before ${nameOf(before.fence)} is signaled`;
      watch.log.report("IMP-040", client.id, text);
    }
  }
}

/** Who published nothing but reads does not write. */
function checkUsage(watch: Watch, { kind }: DeviceAccess, lists: readonly LiveList[]): void {
  for (const { holder } of kind === "write" ? lists : []) {
    const usages = holder && ownWork(watch, holder).map(({ place }) => place?.usage);
    if (holder && usages?.length && usages.every((usage) => usage === "read")) {
      const text = `its device writes "${holder.attachment.buffer.name}" and has published reads only`;
      watch.log.report("IMP-027", holder.importer, text);
    }
  }
}

const isImplicit = (place: Published["place"]): boolean =>
  place?.usage === "read" || place?.usage === "write";

/** Readers wait for writers, writers for everyone. */
const isInTheWay = (place: Published["place"], kind: DeviceAccess["kind"]): boolean =>
  place?.usage === "write" || (kind === "write" && place?.usage === "read");

/** Every byte lies in some live list of this client. */
function isCovered(watch: Watch, { client, address, lengthBytes }: DeviceAccess): boolean {
  let at = address;
  const end = address + lengthBytes;
  while (at < end) {
    const before = at;
    for (const { made } of watch.dma.at(client, at)) {
      for (let index = 0; index < made.count; index++) {
        const start = made.address(index);
        const stop = start + made.lengthBytes(index);
        at = at >= start && at < stop ? stop : at;
      }
    }
    if (at === before) {
      return false;
    }
  }
  return true;
}
