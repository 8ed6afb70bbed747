/**
 * RDMA operations: a buffer through one NIC, over the wire, to where another NIC puts it.
 *
 * Without a remote NIC the NIC talks to itself: loop-back into a buffer of the system heap.
 */
import type { DmaBuf, PhysicalRanges } from "@peerbuf/core";
import type { RdmaRegion } from "@peerbuf/importers";
import { SYSTEM_HEAP } from "../scenario/scenario.ts";
import { hashOfRanges } from "./byte-place.ts";
import type { Operation, Workpiece } from "./operation.ts";
import type { Nic } from "./rig.ts";

/** Name of the buffer at the other end. */
export const remoteBufferName = (transferName: string): string => `${transferName} (remote)`;

/** The buffer's NIC writes to the other end's memory. */
export const rdmaWrite = (piece: Workpiece): Operation => new RdmaOperation(piece, "write");

/** The other end's NIC reads the buffer. */
export const rdmaRead = (piece: Workpiece): Operation => new RdmaOperation(piece, "read");

class RdmaOperation implements Operation {
  readonly #piece: Workpiece;
  readonly #verb: "write" | "read";
  #remote: DmaBuf | undefined;
  #sourceRanges: PhysicalRanges | undefined;
  #targetRanges: PhysicalRanges | undefined;

  constructor(piece: Workpiece, verb: "write" | "read") {
    this.#piece = piece;
    this.#verb = verb;
  }

  async prepare(): Promise<void> {
    const { buffer, pattern } = this.#piece;
    await buffer.write(0, pattern);
  }

  async run(): Promise<void> {
    const { rig, plan, buffer } = this.#piece;
    const near = rig.nic(plan.importer);
    const far = rig.nic(plan.remote?.importer ?? plan.importer);
    this.#remote = this.#allocateRemote();
    const isRead = this.#verb === "read";
    await using local = await near.api.register(buffer, { remoteRead: isRead });
    this.#sourceRanges = rig.traced.lastMappedFor(near.device);
    await using target = await far.api.register(this.#remote, {
      localWrite: true,
      remoteWrite: !isRead,
    });
    this.#targetRanges = rig.traced.lastMappedFor(far.device);
    await this.#transfer(near, far, local, target);
  }

  hashes(): { source: string | null; destination: string | null } {
    const { machine } = this.#piece.rig;
    const hash = (ranges: PhysicalRanges | undefined): string | null =>
      ranges === undefined ? null : hashOfRanges(machine, ranges);
    return { source: hash(this.#sourceRanges), destination: hash(this.#targetRanges) };
  }

  [Symbol.dispose](): void {
    this.#remote?.close();
  }

  #allocateRemote(): DmaBuf {
    const { rig, plan } = this.#piece;
    const { exporter = SYSTEM_HEAP, place } = plan.remote ?? {};
    return rig.exporter(exporter).allocate(plan.buffer.size, {
      name: remoteBufferName(plan.name),
      ...(place !== undefined && { place }),
    });
  }

  async #transfer(near: Nic, far: Nic, local: RdmaRegion, target: RdmaRegion): Promise<void> {
    await using nearEnd = await near.api.createQueuePair();
    await using farEnd = await far.api.createQueuePair();
    await nearEnd.connect(farEnd.address);
    await farEnd.connect(nearEnd.address);
    if (this.#verb === "write") {
      await nearEnd.write(local, target);
    } else {
      await farEnd.read(target, local);
    }
  }
}
