/**
 * RDMA operations: a buffer through one NIC, over the wire, to where another NIC puts it.
 *
 * Without a remote NIC the NIC talks to itself: loop-back into a buffer of the system heap. With a
 * drive at the other end, the drive writes what arrived to its medium, and that is where it is looked for.
 */
import type { DmaBuf } from "@peerbuf/core";
import type { RdmaRegion } from "@peerbuf/importers";
import { joinPlace, splitPlace } from "../scenario/place-name.ts";
import { SYSTEM_HEAP } from "../scenario/transfer-plan.ts";
import { hashOfRanges } from "./byte-place.ts";
import type { Operation, Workpiece } from "./operation.ts";
import type { Hashes } from "./outcome.ts";
import type { Nic } from "./site.ts";

/** Name of the buffer at the other end. */
export const remoteBufferName = (transferName: string): string => `${transferName} (remote)`;

/** The buffer's NIC writes to the other end's memory. */
export const rdmaWrite = (piece: Workpiece): Operation => new RdmaOperation(piece, "write");

/** The other end's NIC reads the buffer. */
export const rdmaRead = (piece: Workpiece): Operation => new RdmaOperation(piece, "read");

class RdmaOperation implements Operation {
  readonly #piece: Workpiece;
  readonly #verb: "write" | "read";
  readonly #far: string;
  #remote: DmaBuf | undefined;
  #sourceHash: (() => string) | undefined;
  #targetHash: (() => string) | undefined;

  constructor(piece: Workpiece, verb: "write" | "read") {
    this.#piece = piece;
    this.#verb = verb;
    this.#far = piece.plan.remote?.importer ?? piece.plan.importer;
  }

  async prepare(): Promise<void> {
    const { rig, plan, buffer, pattern } = this.#piece;
    await buffer.write(0, pattern);
    if (plan.remote?.drive !== undefined) {
      const drive = rig.drive(plan.remote.drive);
      await drive.api.identity(); // Started: what follows is the transfer alone.
      drive.medium.clear(buffer.sizeBytes);
      this.#targetHash = () => drive.medium.hash(buffer.sizeBytes);
    }
    // Before the counters start: memory is cleared when it is handed out.
    this.#remote = this.#allocateRemote();
  }

  async run(): Promise<number> {
    const { rig, plan, buffer } = this.#piece;
    const near = rig.nic(plan.importer);
    const far = rig.nic(this.#far);
    const remote = this.#remote as DmaBuf;
    const isRead = this.#verb === "read";
    let elapsedNs: number;
    {
      await using local = await near.api.register(buffer, { remoteRead: isRead });
      this.#sourceHash = this.#hashOfMapped(plan.importer);
      await using target = await far.api.register(remote, {
        localWrite: true,
        remoteWrite: !isRead,
      });
      this.#targetHash ??= this.#hashOfMapped(this.#far);
      elapsedNs = await this.#transfer(near, far, local, target);
    }
    return elapsedNs + (await this.#store(remote));
  }

  hashes(): Hashes {
    return {
      source: this.#sourceHash?.() ?? null,
      destination: this.#targetHash?.() ?? null,
    };
  }

  [Symbol.dispose](): void {
    this.#remote?.close();
  }

  /** The memory that was mapped for a NIC just now, to be looked at later. */
  #hashOfMapped(place: string): (() => string) | undefined {
    const { rig } = this.#piece;
    const { traced, machine } = rig.siteOf(place);
    const ranges = traced.lastMappedFor(rig.nic(place).device);
    return ranges && (() => hashOfRanges(machine, ranges));
  }

  #allocateRemote(): DmaBuf {
    const { rig, plan } = this.#piece;
    const heap = joinPlace(splitPlace(this.#far).machine, SYSTEM_HEAP);
    const { exporter = heap, place } = plan.remote ?? {};
    return rig.exporter(exporter).allocate(plan.buffer.size, {
      name: remoteBufferName(plan.name),
      ...(place !== undefined && { place }),
    });
  }

  async #transfer(near: Nic, far: Nic, local: RdmaRegion, target: RdmaRegion): Promise<number> {
    await using nearEnd = await near.api.createQueuePair();
    await using farEnd = await far.api.createQueuePair();
    await nearEnd.connect(farEnd.address);
    await farEnd.connect(nearEnd.address);
    const { elapsedNs } =
      this.#verb === "write"
        ? await nearEnd.write(local, target)
        : await farEnd.read(target, local);
    return elapsedNs;
  }

  /** How long the drive took; 0 without one. */
  async #store(arrived: DmaBuf): Promise<number> {
    const { rig, plan } = this.#piece;
    if (plan.remote?.drive === undefined) {
      return 0;
    }
    const { api } = rig.drive(plan.remote.drive);
    const { elapsedNs } = await api.write(arrived, { lba: 0 });
    await api.flush();
    return elapsedNs;
  }
}
