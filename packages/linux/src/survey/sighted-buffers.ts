/**
 * Sighted buffers: joins what the sides of a survey saw of each buffer, by its inode.
 */
import type { BufferInfo } from "./buffer-info.ts";
import type { BufferStats } from "./buffer-stats.ts";
import type { Holder, Holdings } from "./holders.ts";
import type { SurveyedBuffer } from "./survey.ts";

/** What is known so far. */
interface Sighting {
  sizeBytes?: number | undefined;
  exporter?: string;
  name?: string;
  info?: BufferInfo;
  referenceCount?: number | undefined;
  readonly holders: Map<number, Holder>;
}

export class SightedBuffers {
  readonly #byInode = new Map<number, Sighting>();

  addStats({ inode, sizeBytes, exporter }: BufferStats): void {
    Object.assign(this.#sighting(inode), { sizeBytes, exporter });
  }

  addInfo(info: BufferInfo): void {
    const { sizeBytes, exporter, name, referenceCount } = info;
    Object.assign(this.#sighting(info.inode), { sizeBytes, exporter, name, referenceCount, info });
  }

  /** What the descriptors say is as good as the kernel's list, and there without root. */
  addHoldings({ pid, command, descriptors, ranges }: Holdings): void {
    for (const { number, info } of descriptors) {
      const sighting = this.#sighting(info.inode);
      const { sizeBytes, exporter, name } = info;
      Object.assign(sighting, { sizeBytes, exporter, name });
      sighting.referenceCount ??= info.referenceCount;
      const holder = holderOf(sighting, pid, command);
      sighting.holders.set(pid, { ...holder, descriptors: [...holder.descriptors, number] });
    }
    for (const { inode, name, sizeBytes, lengthBytes } of ranges) {
      const sighting = this.#sighting(inode);
      sighting.name ??= name;
      sighting.sizeBytes ??= sizeBytes;
      const holder = holderOf(sighting, pid, command);
      sighting.holders.set(pid, {
        ...holder,
        mappingCount: holder.mappingCount + 1,
        mappedBytes: holder.mappedBytes + lengthBytes,
      });
    }
  }

  /** Largest first, then by inode. */
  buffers(): SurveyedBuffer[] {
    return [...this.#byInode]
      .map(([inode, sighting]) => bufferOf(inode, sighting))
      .sort(
        (one, other) => (other.sizeBytes ?? -1) - (one.sizeBytes ?? -1) || one.inode - other.inode,
      );
  }

  #sighting(inode: number): Sighting {
    const known = this.#byInode.get(inode);
    if (known !== undefined) {
      return known;
    }
    const fresh: Sighting = { holders: new Map() };
    this.#byInode.set(inode, fresh);
    return fresh;
  }
}

const holderOf = ({ holders }: Sighting, pid: number, command: string): Holder =>
  holders.get(pid) ?? { pid, command, descriptors: [], mappingCount: 0, mappedBytes: 0 };

function bufferOf(inode: number, sighting: Sighting): SurveyedBuffer {
  const { sizeBytes, exporter, name = "", info, referenceCount } = sighting;
  const holders = [...sighting.holders.values()].sort((one, other) => one.pid - other.pid);
  const seen = holders.reduce(
    (sum, { descriptors, mappingCount }) => sum + descriptors.length + mappingCount,
    0,
  );
  return {
    inode,
    sizeBytes,
    exporter,
    name,
    holders,
    devices: info?.devices,
    fences: info?.fences,
    referenceCount,
    // Taken at two moments: never below none.
    otherReferenceCount:
      referenceCount === undefined ? undefined : Math.max(0, referenceCount - seen),
  };
}
