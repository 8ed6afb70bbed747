/**
 * Steps: what can happen to buffers that several importers share, in any order.
 *
 * Each step does something legal, or something illegal that must be refused without effect, and the
 * world is checked after it.
 */
import { type DmaBuf, type Mapping, PeerbufError } from "@peerbuf/core";
import { expect } from "vitest";
import type { MoverHand } from "./mover.ts";
import type { AttachedView, MappedView, World } from "./world.ts";

/** Numbers that choose: which buffer, importer, attachment, mapping; taken modulo what there is. */
export interface Choice {
  readonly one: number;
  readonly other: number;
}

export type StepName = keyof typeof STEPS;

const DIRECTIONS: readonly Mapping["direction"][] = ["to-device", "from-device", "bidirectional"];
const ATTACHMENTS_MAX = 12;
const MAPPINGS_MAX = 6;
const OLD_KEPT = 16;

const pick = <T>(list: readonly T[], number: number): T | undefined =>
  list.length === 0 ? undefined : list[number % list.length];

export const STEPS = {
  attach(world: World, { one, other }: Choice): void {
    const buffer = one % 2;
    if (world.attached.length < ATTACHMENTS_MAX) {
      refusedIf(world.isRevoked[buffer] === true, "DEVICE_GONE", () =>
        world.attach(buffer, other % 4),
      );
    }
  },

  detach(world: World, { one }: Choice): void {
    const view = pick(world.attached, one);
    if (view === undefined) {
      return;
    }
    const inUse = view.mappings.length > 0 || view.attachment.pinCount > 0;
    refusedIf(inUse, "WRONG_ORDER", () => {
      view.attachment.detach();
      endWork(view);
      world.attached.splice(world.attached.indexOf(view), 1);
    });
  },

  map(world: World, { one, other }: Choice): void {
    const view = pick(world.attached, one);
    if (view === undefined || view.mappings.length >= MAPPINGS_MAX) {
      return;
    }
    const direction = DIRECTIONS[other % 3] ?? "to-device";
    if (world.isRevoked[view.buffer]) {
      refusedIf(true, "DEVICE_GONE", () => world.map(view, direction));
    } else {
      declinedOrDone(world, () => world.map(view, direction));
    }
  },

  unmap(world: World, { one, other }: Choice): void {
    const view = pick(world.attached, one);
    if (view !== undefined && view.mappings.length > 0) {
      world.unmap(view, other % view.mappings.length);
      world.old.splice(0, Math.max(0, world.old.length - OLD_KEPT));
    }
  },

  pin(world: World, { one }: Choice): void {
    const view = pick(world.attached, one);
    if (view !== undefined && !world.isRevoked[view.buffer]) {
      declinedOrDone(world, () => view.attachment.pin());
    }
  },

  unpin(world: World, { one }: Choice): void {
    const view = pick(world.attached, one);
    if (view !== undefined) {
      refusedIf(view.attachment.pinCount === 0, "WRONG_ORDER", () => view.attachment.unpin());
    }
  },

  move(world: World, { one, other }: Choice): void {
    const hand = world.hands[one % 2] as MoverHand;
    const to = other % 2 === 0 ? "system" : "device";
    if (!world.isRevoked[one % 2]) {
      const from = hand.place;
      hand.move(to);
      world.tally.move += from === hand.place ? 0 : 1;
    }
  },

  finishCopy(world: World, { one }: Choice): void {
    const copy = pick((world.hands[one % 2] as MoverHand).copies, 0);
    if (copy?.mayRun) {
      copy.finish();
      world.tally.copy++;
    }
  },

  startWork(world: World, { one }: Choice): void {
    const view = pick(world.attached, one);
    if (view !== undefined && view.work.length < 4 && view.mappings.length > 0) {
      world.startWork(view);
    }
  },

  finishWork(world: World, { one, other }: Choice): void {
    const view = pick(world.attached, one);
    if (view !== undefined && view.work.length > 0) {
      view.work.splice(other % view.work.length, 1)[0]?.signal();
    }
  },

  deviceWrites(world: World, { one, other }: Choice): void {
    const chosen = chooseMapping(world, one, other);
    if (chosen === undefined || !world.isUsable(chosen.mapped)) {
      return;
    }
    const allowed = chosen.mapped.mapping.direction !== "to-device";
    const fill = world.nextFill();
    const at = (other * 97) % (4096 - 64);
    const bytes = new Uint8Array(64).fill(fill);
    const port = world.portOf(chosen.mapped.client);
    const address = chosen.mapped.segments.address(0) + at;
    const isRefused = !hasLiveMapping(world, chosen.mapped) && world.isKeptOut(chosen.mapped);
    if (allowed || isRefused) {
      expect(port.write(address, bytes, 0, 64).ok).toBe(allowed);
    }
    if (allowed) {
      world.tally.write++;
      world.contents[chosen.view.buffer]?.set(bytes, at);
    }
  },

  deviceReads(world: World, { one, other }: Choice): void {
    const chosen = chooseMapping(world, one, other);
    const direction = chosen?.mapped.mapping.direction;
    if (chosen === undefined || direction === "from-device" || !world.isUsable(chosen.mapped)) {
      return;
    }
    const bytes = new Uint8Array(4096);
    const port = world.portOf(chosen.mapped.client);
    expect(port.read(chosen.mapped.segments.address(0), bytes, 0, 4096).ok).toBe(true);
    world.tally.read++;
    expect(
      Buffer.compare(bytes, (world.contents[chosen.view.buffer] as Uint8Array).subarray(0, 4096)),
    ).toBe(0);
  },

  deviceGoesOn(world: World, { one }: Choice): void {
    const dead = [...world.old, ...deadMappings(world)];
    const mapped = pick(dead, one);
    if (mapped === undefined || hasLiveMapping(world, mapped) || !world.isKeptOut(mapped)) {
      return;
    }
    world.tally.dead++;
    const port = world.portOf(mapped.client);
    const address = mapped.segments.address(0);
    const bytes = new Uint8Array(64);
    expect(port.write(address, new Uint8Array(64).fill(0xee), 0, 64).ok).toBe(false);
    expect(port.read(address, bytes, 0, 64).ok).toBe(false);
    expect(bytes.every((byte) => byte === 0xff)).toBe(true);
  },

  revoke(world: World, { one }: Choice): void {
    const buffer = one % 2;
    // A copy under way belongs to the exporter's engine; it ends before the exporter gives up the memory.
    if (!world.isRevoked[buffer] && world.hands[buffer]?.copies.length === 0) {
      const why = { code: "RESET", text: "the device is reset" };
      world.revoking.push((world.hands[buffer] as MoverHand).control.revoke(why));
      world.isRevoked[buffer] = true;
      world.tally.revoke++;
    }
  },
} as const;

/** Unlike the others it has to wait: the memory is back once nobody holds the old mappings. */
export async function restore(world: World, { one }: Choice): Promise<void> {
  const buffer = one % 2;
  const holders = world.attached.filter(
    (view) => view.buffer === buffer && (view.mappings.length > 0 || view.work.length > 0),
  );
  if (
    !world.isRevoked[buffer] ||
    holders.length > 0 ||
    world.buffers[buffer]?.reservation.testSignaled("bookkeep") !== true
  ) {
    return;
  }
  await Promise.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  (world.hands[buffer] as MoverHand).control.restore();
  world.isRevoked[buffer] = false;
  world.tally.restore++;
}

/** The CPU reads and writes within a bracket, or is told that work on the bytes is in its way. */
export async function cpuAccess(world: World, { one, other }: Choice): Promise<void> {
  const buffer = world.buffers[one % 2] as DmaBuf;
  const contents = world.contents[one % 2] as Uint8Array;
  if (world.isRevoked[one % 2]) {
    await expect(buffer.beginCpuAccess("read-write")).rejects.toMatchObject({
      code: "DEVICE_GONE",
    });
    return;
  }
  const isInTheWay = !buffer.reservation.testSignaled("read");
  const opening = buffer.beginCpuAccess("read-write", { timeoutNs: 0 });
  if (isInTheWay) {
    await expect(opening).rejects.toMatchObject({ code: "WAIT_TIMED_OUT" });
    return;
  }
  await using access = await opening;
  const at = (other * 61) % (contents.length - 32);
  const found = await access.read(at, 32);
  expect(Buffer.compare(found, contents.subarray(at, at + 32))).toBe(0);
  const bytes = new Uint8Array(32).fill(world.nextFill());
  await access.write(at, bytes);
  contents.set(bytes, at);
  world.tally.cpu++;
}

function chooseMapping(
  world: World,
  one: number,
  other: number,
): { view: AttachedView; mapped: MappedView } | undefined {
  const view = pick(world.attached, one);
  const mapped = view && pick(view.mappings, other);
  return view && mapped && { view, mapped };
}

const deadMappings = (world: World): MappedView[] =>
  world.attached.flatMap(({ mappings }) => mappings.filter((mapped) => !world.leads(mapped)));

/** The device may reach the same bytes by right, through another mapping. */
function hasLiveMapping(world: World, mapped: MappedView): boolean {
  const { client, segments } = mapped;
  const start = segments.address(0);
  return world.attached.some(({ mappings }) =>
    mappings.some(
      (other) =>
        other !== mapped &&
        other.client === client &&
        world.leads(other) &&
        other.segments.address(0) < start + 4096 &&
        start < other.segments.address(0) + other.segments.sizeBytes,
    ),
  );
}

function endWork(view: AttachedView): void {
  for (const fence of view.work.splice(0)) {
    fence.signal();
  }
}

/** Must be refused with this code and change nothing, or be done. */
function refusedIf(refused: boolean, code: string, act: () => void): void {
  if (refused) {
    expect(act).toThrow(expect.objectContaining({ code }));
  } else {
    act();
  }
}

/** The drivers may decline (somebody has pinned the buffer elsewhere); nothing else may go wrong. */
function declinedOrDone(world: World, act: () => void): void {
  try {
    act();
  } catch (error) {
    world.tally.declined++;
    expect(error).toBeInstanceOf(PeerbufError);
    expect(["MAP_DECLINED", "PIN_DECLINED"]).toContain((error as PeerbufError).code);
  }
}
