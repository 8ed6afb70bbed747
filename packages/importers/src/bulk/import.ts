/**
 * Bulk import: one buffer in a device's reach, for the time of one transfer.
 *
 * Attach, map, tell others that the device is at work, wait for the bytes, run, and let go in reverse
 * order on every path. For devices that cannot follow a move while they work.
 */
import {
  type Attachment,
  type Direction,
  type DmaBuf,
  type FenceDomain,
  type Importer,
  type Mapping,
  PeerbufError,
  SoftwareFence,
} from "@peerbuf/core";
import { type Negotiated, negotiatedOf } from "../negotiated.ts";

/** Runs `work` on a mapping of the buffer. Says how it was negotiated. */
export async function withMapping(
  fences: FenceDomain,
  buffer: DmaBuf,
  importer: Importer,
  direction: Direction,
  work: (mapping: Mapping) => Promise<void>,
): Promise<Negotiated> {
  using attachment = buffer.attach(importer);
  using mapping = attachment.map(direction);
  const negotiated = negotiatedOf(attachment, mapping);
  using working = announce(fences, attachment, direction);
  try {
    await arrived(buffer, mapping);
    requireHeld(buffer, mapping);
    await work(mapping);
  } finally {
    working.signal();
  }
  return negotiated;
}

/** Whoever reads, moves or releases the bytes can see that the device is at work on them. */
function announce(
  fences: FenceDomain,
  { buffer, client }: Attachment,
  direction: Direction,
): SoftwareFence {
  const timelineName = `${client.id} on "${buffer.name}"`;
  const context = fences.createContext({ driverName: "bulk", timelineName });
  const working = new SoftwareFence(context, 1);
  buffer.addFence(working, direction === "to-device" ? "read" : "write");
  return working;
}

/** The wait is over, and the memory may be gone: nothing is begun on a mapping that was invalidated. */
function requireHeld({ name }: DmaBuf, { isStale }: Mapping): void {
  if (isStale) {
    throw new PeerbufError("DEVICE_GONE", `"${name}" was taken away before the transfer began`);
  }
}

async function arrived({ name }: DmaBuf, { ready }: Mapping): Promise<void> {
  const error = await ready?.signaled();
  if (error !== undefined) {
    const what = `the bytes of "${name}" did not arrive: ${error.message}`;
    throw new PeerbufError("DEVICE_FAILED", what, { cause: error });
  }
}
