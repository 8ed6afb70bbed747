/** NVMe operations: a buffer to a drive's blocks, blocks to a buffer, or there and back. */
import type { DmaBuf, PhysicalRanges } from "@peerbuf/core";
import { allocateFor } from "./allocate.ts";
import { hashOfRanges } from "./byte-place.ts";
import type { Operation, Workpiece } from "./operation.ts";
import type { Site } from "./site.ts";

/** Every transfer uses the drive's first blocks; they are cleared before, so nothing old can pass for new. */
const FIRST_BLOCK = 0;

/** The buffer's bytes go to the drive. Destination: its namespace. */
export function nvmeWrite({ rig, plan, buffer, pattern }: Workpiece): Operation {
  const drive = rig.drive(plan.importer);
  const site = rig.siteOf(plan.importer);
  return {
    async prepare() {
      await drive.api.identity(); // Started: what follows is the transfer alone.
      drive.medium.clear(buffer.sizeBytes);
      await buffer.write(0, pattern);
    },
    async run() {
      const { elapsedNs } = await drive.api.write(buffer, { lba: FIRST_BLOCK });
      await drive.api.flush();
      return elapsedNs;
    },
    hashes: () => ({
      source: hashOrNull(site, site.traced.lastMappedFor(drive.device)),
      destination: drive.medium.hash(buffer.sizeBytes),
    }),
    [Symbol.dispose]: () => undefined,
  };
}

/** The drive's blocks, filled by the instruments, go to the buffer. Destination: the buffer's memory. */
export function nvmeRead({ rig, plan, buffer, pattern }: Workpiece): Operation {
  const drive = rig.drive(plan.importer);
  const site = rig.siteOf(plan.importer);
  return {
    async prepare() {
      await drive.api.identity(); // Started: what follows is the transfer alone.
      drive.medium.write(pattern);
    },
    async run() {
      const { elapsedNs } = await drive.api.read(buffer, { lba: FIRST_BLOCK });
      return elapsedNs;
    },
    hashes: () => ({
      source: drive.medium.hash(buffer.sizeBytes),
      destination: hashOrNull(site, site.traced.lastMappedFor(drive.device)),
    }),
    [Symbol.dispose]: () => undefined,
  };
}

/** To the drive, and from there into a second buffer of the same exporter. Destination: that buffer's memory. */
export function nvmeWriteRead({ rig, plan, buffer, pattern }: Workpiece): Operation {
  const drive = rig.drive(plan.importer);
  const site = rig.siteOf(plan.importer);
  let back: DmaBuf | undefined;
  let written: PhysicalRanges | undefined;
  return {
    async prepare() {
      await drive.api.identity(); // Started: what follows is the transfer alone.
      drive.medium.clear(buffer.sizeBytes);
      await buffer.write(0, pattern);
    },
    async run() {
      const there = await drive.api.write(buffer, { lba: FIRST_BLOCK });
      written = site.traced.lastMappedFor(drive.device);
      site.traced.forget();
      back = allocateFor(rig, plan, `${plan.name} (read back)`);
      const home = await drive.api.read(back, { lba: FIRST_BLOCK });
      return there.elapsedNs + home.elapsedNs;
    },
    hashes: () => {
      const last = site.traced.lastMappedFor(drive.device);
      return {
        source: hashOrNull(site, written ?? last),
        destination: back === undefined ? null : hashOrNull(site, last),
      };
    },
    [Symbol.dispose]: () => back?.close(),
  };
}

const hashOrNull = ({ machine }: Site, ranges: PhysicalRanges | undefined): string | null =>
  ranges === undefined ? null : hashOfRanges(machine, ranges);
