/**
 * Watched buffer: who attaches to it, who puts work on it, and who touches it with the CPU.
 */
import { type CpuAccess, type DmaBuf, PeerbufError } from "@peerbuf/core";
import { checkedImporter, nameOfImporter } from "./checked-importer.ts";
import { messageOf } from "./fence-book.ts";
import type { Watch } from "./watch.ts";
import { onlyWrites, type WatchedAttachment, watchAttachment } from "./watched-attachment.ts";
import { watchReservation } from "./watched-reservation.ts";

/** Watches a buffer in place; `attached` collects what is attached to any of them. */
export function watchBuffer(watch: Watch, buffer: DmaBuf, attached: Set<WatchedAttachment>): void {
  watchReservation(watch, buffer.reservation);
  watchAttach(watch, buffer, attached);
  watchFences(watch, buffer, attached);
  watchCpu(watch, buffer);
}

function watchAttach(watch: Watch, buffer: DmaBuf, attached: Set<WatchedAttachment>): void {
  const { attach } = buffer;
  buffer.attach = (importer, options) => {
    const name = nameOfImporter(importer);
    if (watch.actors.invalidating > 0) {
      watch.log.report("IMP-019", name, "attaches inside invalidateMappings");
    }
    const attachment = attach.call(buffer, checkedImporter(watch, importer), options);
    attached.add(watchAttachment(watch, attachment, name, attached));
    return attachment;
  };
}

function watchFences(watch: Watch, buffer: DmaBuf, attached: Set<WatchedAttachment>): void {
  const { addFence } = buffer;
  buffer.addFence = (fence, usage) => {
    if (usage === "read") {
      const { current } = watch.actors;
      const all = [...attached].filter(({ attachment }) => attachment.buffer === buffer);
      const mine = all.filter(({ importer }) => importer === current);
      const writers = mine.length > 0 ? mine : all;
      if (writers.length > 0 && writers.every(onlyWrites)) {
        const text = `work on "${buffer.name}" is published as a read; the mappings only write`;
        watch.atEnd({
          ask() {
            if (!watch.seesDevices) {
              watch.log.report("IMP-027", writers[0]?.importer ?? current, text);
            }
          },
        });
      }
    }
    addFence.call(buffer, fence, usage);
  };
}

function watchCpu(watch: Watch, buffer: DmaBuf): void {
  const { beginCpuAccess } = buffer;
  buffer.beginCpuAccess = async (use, options) => {
    const origin = watch.origin();
    const access = await beginCpuAccess.call(buffer, use, options);
    watchAccess(watch, buffer, access, origin);
    return access;
  };
}

function watchAccess(
  watch: Watch,
  buffer: DmaBuf,
  access: CpuAccess,
  origin: string | undefined,
): void {
  const subject = `CPU access (${access.use}) to "${buffer.name}"`;
  const question = { ask: () => watch.log.report("SYN-018", subject, "is never ended", origin) };
  watch.atEnd(question);
  const { read, write, end } = access;
  const bracketed = async <T>(step: () => Promise<T>): Promise<T> => {
    try {
      return await step();
    } catch (error) {
      if (error instanceof PeerbufError && error.code === "ACCESS_FAULT") {
        watch.log.report("SYN-017", subject, messageOf(error), origin);
      }
      throw error;
    }
  };
  access.read = (offset, lengthBytes) => bracketed(() => read.call(access, offset, lengthBytes));
  access.write = (offset, source) => bracketed(() => write.call(access, offset, source));
  access.end = async () => {
    watch.settled(question);
    try {
      await end.call(access);
    } catch (error) {
      if (error instanceof PeerbufError && error.code === "HANDLE_CLOSED") {
        watch.log.report("SYN-018", subject, "is ended a second time", origin);
      }
      throw error;
    }
  };
}
